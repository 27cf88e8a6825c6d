"""Ours against plain: of two int8 artifacts, the one with the smaller error on held-out images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevision.artifact import Artifact, QuantizationRecord
from edgevision.conversion.expected_outputs import ExpectedOutputs
from edgevision.converter import CalibrationData, Source, split_calibration
from edgevision.errors import EdgeVisionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evidence.quantization import OWN, PLAIN, RecipeComparison

#: Standard errors of the mean difference that are noise: one-sided, 95 %.
_NOISE = 1.645
#: A difference of the errors below this, or below this share of the plain error, makes no difference in use.
_NEGLIGIBLE, _NEGLIGIBLE_SHARE = 0.001, 0.05


class HeldOut(ExpectedOutputs):
    """The source's outputs for the calibration images that set no range.

    Args:
        source: the trained model.
        data: the whole calibration set, as converters get it.
        evaluator: knows which outputs its task reads, and what they hold.
    """

    def __init__(self, source: Source, data: CalibrationData, evaluator: Evaluator) -> None:
        super().__init__(source, data, evaluator, lambda count: split_calibration(count)[1])


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
        images=held_out.count,
        measure=held_out.measure,
        error=_mean(own.errors),
        plain_error=_mean(plain.errors),
        verdict=verdict,
        reason=str(own.failure or plain.failure or ""),
    )
    record = chosen.artifact.quantization or QuantizationRecord(verdict, "")
    return replace(chosen.artifact, quantization=replace(record, recipe=verdict)), comparison


def _is_worse(errors: NDArray[np.float64], than: NDArray[np.float64]) -> bool:
    differences = errors - than
    if len(differences) < 2:
        return False
    mean = differences.mean()
    noise = _NOISE * differences.std(ddof=1) / np.sqrt(len(differences))
    return bool(mean > noise and mean > max(_NEGLIGIBLE, _NEGLIGIBLE_SHARE * than.mean()))


def _mean(errors: NDArray[np.float64] | None) -> float | None:
    return None if errors is None else float(errors.mean())
