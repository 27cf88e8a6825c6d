"""The way of the activations through the operators of a float TFLite file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision_keras.quantization.tflite_file import (
    NOT_COMPUTED,
    Operator,
    constants,
    float_tensors,
    operators,
)


@dataclass(frozen=True)
class Flow:
    """The operators of a float graph, and who computes and reads each activation.

    Attributes:
        steps: the operators, in the order in which they run.
        producer: index of a tensor -> index in `steps`.
        readers: index of a tensor -> indices in `steps`.
        sizes: index of a float activation -> number of its elements.
    """

    steps: Sequence[Operator]
    producer: Mapping[int, int]
    readers: Mapping[int, Sequence[int]]
    sizes: Mapping[int, int]

    def activations(self, step: int) -> list[int]:
        """The float activations that an operator reads, each once."""
        return [tensor for tensor in dict.fromkeys(self.steps[step].inputs) if tensor in self.sizes]

    def results(self, step: int) -> list[int]:
        """The float activations that it computes."""
        return [tensor for tensor in self.steps[step].outputs if tensor in self.sizes]

    def size(self, step: int) -> int:
        """Number of elements of its largest activation."""
        return max((self.sizes[index] for index in (*self.activations(step), *self.results(step))), default=0)


def read_flow(model: Any) -> Flow:
    """The operators of the first subgraph of a float file, a `ModelT`."""
    graph = model.subgraphs[0]
    steps = [step for step in operators(model) if step.operation not in NOT_COMPUTED]
    activations = float_tensors(graph) - constants(model)
    sizes = {index: int(np.prod(np.abs(_shape(graph.tensors[index])))) for index in activations}
    producer = {tensor: number for number, step in enumerate(steps) for tensor in step.outputs}
    readers: dict[int, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        for tensor in dict.fromkeys(step.inputs):
            readers[tensor].append(number)
    return Flow(steps, producer, readers, sizes)


def _shape(tensor: Any) -> Sequence[int]:
    return () if tensor.shape is None else tensor.shape
