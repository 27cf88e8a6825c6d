"""Which operators of a graph compute in int8: the assignment that takes the least time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from edgevision_keras.quantization.flow import Flow
from edgevision_keras.quantization.minimum_cut import UNLIMITED, CutGraph


@dataclass(frozen=True)
class Costs:
    """The times of a runtime's operators, where a copy of one element with one addition takes 1.

    Attributes:
        int8_over_float: time of an operation in int8 over that in float; `None` without an int8 kernel.
        conversion: time of a conversion of one element between int8 and float.
        overhead: time of any operator, in elements.
        expensive: operation -> time of one element in float, where that is not 1.
        free: operations that take no time.
        float_results: int8 operations whose results can be float at no cost.
    """

    int8_over_float: Callable[[str], float | None]
    conversion: float
    overhead: float
    expensive: Mapping[str, float] = field(default_factory=dict)
    free: Collection[str] = frozenset()
    float_results: Collection[str] = frozenset()

    def float_time(self, operation: str, size: int) -> int:
        """Time of an operation in float, of so many elements."""
        if operation in self.free:
            return 1
        return round(self.expensive.get(operation, 1.0) * size + self.overhead)


def integer_operators(
    flow: Flow,
    costs: Costs,
    fixed: Collection[int],
    bound: Collection[int],
    inputs: Mapping[int, int],
    outputs: Mapping[int, int],
) -> set[int]:
    """The operators that are int8 in the assignment that takes the least time: a minimum cut.

    The source's side of the cut is int8, the sink's float. A tensor is converted once, however many read it.

    Args:
        flow: the operators.
        costs: their times.
        fixed: those that are float; those without an int8 kernel always are.
        bound: those that are int8.
        inputs, outputs: tensor of the interface -> 0 for int8, 1 for float: the ends of the cut.
    """
    graph = CutGraph()
    nodes = [graph.add_node() for _ in flow.steps]
    for step, node in enumerate(nodes):
        operation = flow.steps[step].operation
        float_time = costs.float_time(operation, flow.size(step))
        graph.add_edge(0, node, UNLIMITED if step in bound else float_time)
        ratio = costs.int8_over_float(operation)
        int8_time = UNLIMITED if step in fixed or ratio is None else round(float_time * ratio)
        graph.add_edge(node, 1, int8_time)
    for tensor, size in flow.sizes.items():
        is_float_for_free = False
        if tensor in flow.producer:
            first = nodes[flow.producer[tensor]]
            is_float_for_free = flow.steps[flow.producer[tensor]].operation in costs.float_results
        elif tensor in inputs:
            first = inputs[tensor]
        else:
            continue
        ends = [nodes[reader] for reader in flow.readers.get(tensor, ())]
        ends += [outputs[tensor]] if tensor in outputs else []
        conversion = round(costs.conversion * size + costs.overhead)
        to_float, to_int8 = graph.add_node(), graph.add_node()
        graph.add_edge(first, to_float, 0 if is_float_for_free else conversion)
        graph.add_edge(to_int8, first, conversion)
        for end in ends:
            graph.add_edge(to_float, end, UNLIMITED)
            graph.add_edge(end, to_int8, UNLIMITED)
    side = graph.source_side()
    return {step for step, node in enumerate(nodes) if node in side}
