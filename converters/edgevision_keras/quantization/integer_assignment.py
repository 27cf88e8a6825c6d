"""Which operators of a graph compute in int8: the assignment that takes the least time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from edgevision_keras.quantization.flow import Flow
from edgevision_keras.quantization.minimum_cut import UNLIMITED, CutGraph


@dataclass(frozen=True)
class Times:
    """Time of an operator in either form, where a copy of one element with one addition takes 1.

    Attributes:
        in_float: in float.
        in_int8: with int8 activations; `None` without a kernel for these.
        has_float_results: the int8 kernel can also give its results in float, at no cost.
    """

    in_float: int
    in_int8: int | None
    has_float_results: bool = False


def integer_operators(
    flow: Flow,
    times: Sequence[Times],
    conversion: Callable[[int], int],
    fixed: Collection[int],
    bound: Collection[int],
    inputs: Mapping[int, int],
    outputs: Mapping[int, int],
) -> set[int]:
    """The operators that are int8 in the assignment that takes the least time: a minimum cut.

    The source's side of the cut is int8, the sink's float. A tensor is converted once, however many read it.

    Args:
        flow: the operators.
        times: of each operator.
        conversion: time of a conversion between int8 and float of so many elements.
        fixed: those that are float; those without an int8 kernel always are.
        bound: those that are int8.
        inputs, outputs: tensor of the interface -> 0 for int8, 1 for float: the ends of the cut.
    """
    graph = CutGraph()
    nodes = [graph.add_node() for _ in flow.steps]
    for step, node in enumerate(nodes):
        time = times[step]
        graph.add_edge(0, node, UNLIMITED if step in bound else time.in_float)
        graph.add_edge(node, 1, UNLIMITED if step in fixed or time.in_int8 is None else time.in_int8)
    for tensor, size in flow.sizes.items():
        is_float_for_free = False
        if tensor in flow.producer:
            first = nodes[flow.producer[tensor]]
            is_float_for_free = times[flow.producer[tensor]].has_float_results
        elif tensor in inputs:
            first = inputs[tensor]
        else:
            continue
        ends = [nodes[reader] for reader in flow.readers.get(tensor, ())]
        ends += [outputs[tensor]] if tensor in outputs else []
        to_float, to_int8 = graph.add_node(), graph.add_node()
        graph.add_edge(first, to_float, 0 if is_float_for_free else conversion(size))
        graph.add_edge(to_int8, first, conversion(size))
        for end in ends:
            graph.add_edge(to_float, end, UNLIMITED)
            graph.add_edge(end, to_int8, UNLIMITED)
    side = graph.source_side()
    return {step for step, node in enumerate(nodes) if node in side}
