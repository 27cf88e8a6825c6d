"""The way of the activations through the operators of a float file, in whichever format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        operation: the format's name, such as ``CONV_2D`` or ``Conv``.
        name: identifies the operator in its file.
        inputs, outputs: numbers of its tensors, without optional ones that are absent.
    """

    operation: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class FloatOperator:
    """An operator of an int8 file that computes in float.

    Attributes:
        operation: the format's name, such as ``RSQRT``.
        name: identifies the operator in its file.
        reason: as in `edgevision.artifact.FloatOperation`.
    """

    operation: str
    name: str
    reason: str


@dataclass(frozen=True)
class Flow:
    """The operators of a float graph, and who computes and reads each activation.

    Attributes:
        steps: the operators, in the order in which they run.
        producer: number of a tensor -> index in `steps`.
        readers: number of a tensor -> indices in `steps`.
        sizes: number of a float activation -> number of its elements.
    """

    steps: Sequence[Operator]
    producer: Mapping[int, int]
    readers: Mapping[int, Sequence[int]]
    sizes: Mapping[int, int]

    @classmethod
    def of(cls, steps: Iterable[Operator], sizes: Mapping[int, int]) -> Flow:
        """The flow through these operators, which are in the order in which they run."""
        steps = list(steps)
        producer = {tensor: number for number, step in enumerate(steps) for tensor in step.outputs}
        readers: dict[int, list[int]] = defaultdict(list)
        for number, step in enumerate(steps):
            for tensor in dict.fromkeys(step.inputs):
                readers[tensor].append(number)
        return cls(steps, producer, readers, sizes)

    def activations(self, step: int) -> list[int]:
        """The float activations that an operator reads, each once."""
        return [tensor for tensor in dict.fromkeys(self.steps[step].inputs) if tensor in self.sizes]

    def results(self, step: int) -> list[int]:
        """The float activations that it computes."""
        return [tensor for tensor in self.steps[step].outputs if tensor in self.sizes]

    def size(self, step: int) -> int:
        """Number of elements of its largest activation."""
        return max((self.sizes[index] for index in (*self.activations(step), *self.results(step))), default=0)

    def before(self, step: int) -> set[int]:
        """The operators that compute what an operator reads."""
        return {self.producer[tensor] for tensor in self.activations(step) if tensor in self.producer}

    def after(self, step: int) -> set[int]:
        """The operators that read what an operator computes."""
        return {reader for tensor in self.results(step) for reader in self.readers.get(tensor, ())}

    def ahead(self, starts: Collection[int]) -> set[int]:
        """These operators, and all that depend on what they compute."""
        found, pending = set(starts), list(starts)
        while pending:
            new = self.after(pending.pop()) - found
            found |= new
            pending += new
        return found

    def behind(self, ends: Collection[int]) -> set[int]:
        """These operators, and all that they depend on."""
        found, pending = set(ends), list(ends)
        while pending:
            new = self.before(pending.pop()) - found
            found |= new
            pending += new
        return found
