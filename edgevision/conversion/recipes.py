"""Ours against plain: of two int8 artifacts, the one with the smaller error on held-out images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgevision.artifact import Artifact, QuantizationRecord
from edgevision.converter import CalibrationData, Source, split_calibration
from edgevision.errors import EdgeVisionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evidence.quantization import OWN, PLAIN, RecipeComparison
from edgevision.metrics.output_errors import output_errors
from edgevision.tasks.batches import parts
from edgevision.tasks.description import ClassifyTask, GenerateTask
from edgevision.tensors import Array

#: Standard errors of the mean difference that are noise: one-sided, 95 %.
_NOISE = 1.645
#: A difference of the errors below this, or below this share of the plain error, makes no difference in use.
_NEGLIGIBLE, _NEGLIGIBLE_SHARE = 0.001, 0.05

#: Bytes of inputs and outputs that are kept for the comparison, but of so many images at least.
_MOST_BYTES, _FEWEST_IMAGES = 128_000_000, 4

_MEASURES = {"softmax": "log probabilities", "sigmoid": "log odds"}


class HeldOut:
    """The calibration images that set no range, and the source's outputs for them.

    Args:
        source: the trained model.
        data: the whole calibration set, as converters get it.
        evaluator: knows which outputs its task reads, and what they hold.
    """

    def __init__(self, source: Source, data: CalibrationData, evaluator: Evaluator) -> None:
        self._source = source
        self._data = data
        self._task = evaluator.task

    @cached_property
    def inputs(self) -> dict[str, Array]:
        """Input name -> float32 ``(n, …)``."""
        calls = self._data if isinstance(self._data, Sized) else list(self._data)
        places = evenly(split_calibration(len(calls))[1], self._most)
        chosen = [call for place, call in enumerate(calls) if place in places]
        return {name: np.concatenate([call[name] for call in chosen]) for name in chosen[0]}

    @property
    def _most(self) -> int:
        """The most images whose inputs and outputs stay in memory."""
        specs = [*self._source.inputs, *self._source.outputs]
        bytes_of_one = sum(4 * math.prod(spec.with_batch(1)) for spec in specs)
        return max(_FEWEST_IMAGES, _MOST_BYTES // max(1, bytes_of_one))

    @property
    def measure(self) -> str:
        """The unit of the errors, in words."""
        values = _MEASURES.get(next(iter(self._score_kinds.values()), ""), "outputs")
        return f"mean squared error of the {values}, relative to their variance"

    def errors(self, outputs: Mapping[str, Array]) -> NDArray[np.float64]:
        """The error of an artifact's outputs for each image, ``(n,)``; see `output_errors`."""
        return output_errors(self._expected, outputs, self._score_kinds)

    @cached_property
    def _expected(self) -> dict[str, Array]:
        """The outputs of the source that the task reads."""
        count = len(next(iter(self.inputs.values())))
        rows = [
            self._source.run({name: values[part] for name, values in self.inputs.items()})
            for part in parts(count, dynamic_batch=True)
        ]
        read = [self._task.output] if isinstance(self._task, (ClassifyTask, GenerateTask)) else list(rows[0])
        return {name: np.concatenate([row[name] for row in rows]) for name in read}

    @property
    def _score_kinds(self) -> dict[str, str]:
        task = self._task
        return {task.output: task.score_kind} if isinstance(task, ClassifyTask) else {}


@dataclass(frozen=True, eq=False)
class Converted:
    """The result of one recipe.

    Attributes:
        artifact: `None` if it could not be converted and run.
        errors: of the artifact on each held-out image; see `HeldOut.errors`.
        failure: why there is no artifact.
    """

    artifact: Artifact | None = None
    errors: NDArray[np.float64] | None = None
    failure: EdgeVisionError | None = None


def choose_recipe(own: Converted, plain: Converted, held_out: HeldOut) -> tuple[Artifact, RecipeComparison]:
    """The artifact to write: our own, unless the plain converter's is better beyond noise, or the only one.

    Better means that the mean of the differences of the two errors on each image, less 1.645 of its standard
    errors, is above 0, and the difference is large enough to matter.

    Raises:
        EdgeVisionError: neither could be converted and run; the failure of our own.
    """
    if own.failure is not None and plain.failure is not None:
        raise own.failure
    is_plain = own.errors is None or (plain.errors is not None and _is_worse(own.errors, plain.errors))
    chosen, verdict = (plain, PLAIN) if is_plain else (own, OWN)
    assert chosen.artifact is not None  # noqa: S101 (for the type checker)
    comparison = RecipeComparison(
        images=len(next(iter(held_out.inputs.values()))),
        measure=held_out.measure,
        error=_mean(own.errors),
        plain_error=_mean(plain.errors),
        verdict=verdict,
        reason=str(own.failure or plain.failure or ""),
    )
    record = chosen.artifact.quantization or QuantizationRecord(verdict, "")
    return replace(chosen.artifact, quantization=replace(record, recipe=verdict)), comparison


def evenly(places: Sequence[int], most: int) -> list[int]:
    """At most that many of these places, evenly spread, in order."""
    if len(places) <= most:
        return list(places)
    return [places[int((index + 0.5) * len(places) / most)] for index in range(most)]


def _is_worse(errors: NDArray[np.float64], than: NDArray[np.float64]) -> bool:
    differences = errors - than
    if len(differences) < 2:
        return False
    mean = differences.mean()
    noise = _NOISE * differences.std(ddof=1) / np.sqrt(len(differences))
    return bool(mean > noise and mean > max(_NEGLIGIBLE, _NEGLIGIBLE_SHARE * than.mean()))


def _mean(errors: NDArray[np.float64] | None) -> float | None:
    return None if errors is None else float(errors.mean())
