"""The steps of a Keras 3 network in the order in which they run, with those of nested networks among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras


@dataclass(eq=False)
class Value:
    """A tensor between steps.

    Attributes:
        readers: the steps that take it as an argument.
        is_output: True if the network returns it.
    """

    readers: list[Step] = field(default_factory=list)
    is_output: bool = False

    @property
    def only_reader(self) -> Step | None:
        """The step that alone reads it; `None` if others do, or the network returns it."""
        return self.readers[0] if len(self.readers) == 1 and not self.is_output else None


@dataclass(eq=False)
class Step:
    """One call of a layer, or of an operation.

    Attributes:
        operation: the layer or operation.
        args, kwargs: what it is called on, with a `Value` in place of each tensor.
        outputs: the tensors that it returns.
    """

    operation: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    outputs: Sequence[Value]


@dataclass(eq=False)
class Structure:
    """A network.

    Attributes:
        inputs: its inputs, in order.
        steps: its steps, each after those that compute its arguments.
        returned: its outputs as it returns them, with a `Value` in place of each tensor.
    """

    inputs: Sequence[Value]
    steps: Sequence[Step]
    returned: Any

    def calls(self, operation: Any) -> int:
        """How often the network calls a layer."""
        return Counter(id(step.operation) for step in self.steps)[id(operation)]


def structure_of(model: Any) -> Structure:
    """The steps of a functional or sequential model.

    Args:
        model: a `keras.Model` with known inputs. Models in it are entered, if they are functional or
            sequential; others are one step.
    """
    steps: list[Step] = []

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph(operation):
            return run(operation, keras.tree.flatten((args, kwargs)))
        outputs = [Value() for _ in operation._inbound_nodes[0].output_tensors]
        step = Step(operation, args, kwargs, outputs)
        for value in dict.fromkeys(values_in((args, kwargs))):
            value.readers.append(step)
        steps.append(step)
        return outputs

    def run(graph: Any, values: Sequence[Any]) -> Any:
        given = [value for value in values if isinstance(value, Value)]
        # Keras has no public way through a graph that meets nested models with other values than tensors.
        return _graph(graph)._run_through_graph(given, operation_fn=lambda each: partial(call, each))

    inputs = [Value() for _ in model.inputs]
    returned = run(model, inputs)
    for value in values_in(returned):
        value.is_output = True
    return Structure(inputs, steps, returned)


def is_graph(operation: Any) -> bool:
    """True for functional and sequential models whose inputs are known."""
    return isinstance(operation, keras.Function) or (
        isinstance(operation, keras.Sequential) and bool(operation.built and operation.inputs)
    )


def values_in(tree: Any) -> list[Value]:
    """The values in a nest of arguments, in order."""
    return [leaf for leaf in keras.tree.flatten(tree) if isinstance(leaf, Value)]


def _graph(model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs)
    return model
