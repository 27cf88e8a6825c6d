"""The source's outputs on some network inputs, and the errors of an artifact's outputs for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgevision.converter import CalibrationData, Source
from edgevision.evaluation.evaluator import Evaluator
from edgevision.metrics.output_errors import output_errors, rounding_errors
from edgevision.tasks.batches import parts
from edgevision.tensors import Array

#: Bytes of inputs and outputs that are kept, but of so many examples at least.
_MOST_BYTES, _FEWEST_EXAMPLES = 128_000_000, 4

_MEASURES = {"softmax": "log probabilities", "sigmoid": "log odds"}


class ExpectedOutputs:
    """The source's outputs on some network inputs; both are computed when they are first needed.

    Args:
        source: the trained model.
        data: network inputs, as converters get them.
        evaluator: knows which outputs its task reads, and what they hold.
        places: from the number of calls in `data` to the positions of those to use, in order.
    """

    def __init__(
        self,
        source: Source,
        data: CalibrationData,
        evaluator: Evaluator,
        places: Callable[[int], Sequence[int]],
    ) -> None:
        self._source = source
        self._data = data
        self._task = evaluator.task
        self._places = places

    @cached_property
    def inputs(self) -> dict[str, Array]:
        """Input name -> float32 ``(n, …)``."""
        calls = self._data if isinstance(self._data, Sized) else list(self._data)
        places = set(evenly(self._places(len(calls)), self._most))
        chosen = [call for place, call in enumerate(calls) if place in places]
        return {name: np.concatenate([call[name] for call in chosen]) for name in chosen[0]}

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(next(iter(self.inputs.values())))

    @property
    def _most(self) -> int:
        """The most examples whose inputs and outputs stay in memory."""
        specs = [*self._source.inputs, *self._source.outputs]
        bytes_of_one = sum(4 * math.prod(spec.with_batch(1)) for spec in specs)
        return max(_FEWEST_EXAMPLES, _MOST_BYTES // max(1, bytes_of_one))

    @property
    def measure(self) -> str:
        """The unit of the errors, in words."""
        values = _MEASURES.get(next(iter(self._score_kinds.values()), ""), "outputs")
        return f"mean squared error of the {values}, relative to their variance"

    def errors(self, outputs: Mapping[str, Array]) -> NDArray[np.float64]:
        """The error of an artifact's outputs for each example, ``(n,)``; see `output_errors`."""
        return output_errors(self._expected, outputs, self._score_kinds)

    def rounding_errors(self, outputs: Mapping[str, Array]) -> NDArray[np.float64]:
        """The error of an artifact in float for each example, ``(n,)``; see `rounding_errors`."""
        return rounding_errors(self._expected, outputs, self._score_kinds)

    @cached_property
    def _expected(self) -> dict[str, Array]:
        """The outputs of the source that the task reads."""
        rows = [
            self._source.run({name: values[part] for name, values in self.inputs.items()})
            for part in parts(self.count, dynamic_batch=True)
        ]
        read = self._read_outputs or dict.fromkeys(rows[0], "")
        return {name: np.concatenate([row[name] for row in rows]) for name in read}

    @property
    def _score_kinds(self) -> dict[str, str]:
        return {name: kind for name, kind in self._read_outputs.items() if kind}

    @property
    def _read_outputs(self) -> Mapping[str, str]:
        """The outputs that the task reads, with the kinds of their scores; empty for all of them."""
        read: Mapping[str, str] = getattr(self._task, "read_outputs", {})
        return read


def evenly(places: Sequence[int], most: int) -> list[int]:
    """At most that many of these places, evenly spread, in order."""
    if len(places) <= most:
        return list(places)
    return [places[int((index + 0.5) * len(places) / most)] for index in range(most)]
