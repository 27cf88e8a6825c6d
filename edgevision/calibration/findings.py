"""Findings about a source and its calibration set, and the coverage of activation ranges, in evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """The finding of one check of a set, or of how the source is used.

    Attributes:
        check: name of the check, such as ``near-duplicates``.
        severity: ``note``, or ``warning``, which fails the conversion under ``--strict``.
        text: the finding, its consequence and the next step.
        images: names of the images concerned; if truncated, `text` has their number.
    """

    check: str
    severity: str
    text: str
    images: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The subject of the finding: ``source``, ``evaluation set`` or ``calibration set``."""
        if self.check in _SOURCE_CHECKS:
            return "source"
        return "evaluation set" if self.check in _EVALUATION_CHECKS else "calibration set"


def listed(names: Sequence[str], count: int) -> str:
    """Names for a text: ``a, b, and 3 more``.

    Args:
        names: the first of all that there are.
        count: how many there are.
    """
    more = f", and {count - len(names)} more" if count > len(names) else ""
    return ", ".join(names) + more


#: Checks of how the source is used, which images of any set can show.
_SOURCE_CHECKS = frozenset(
    ("source-accuracy", "input-contradiction", "value-range", "colour-order", "interpolation")
)
#: Checks of how images of the evaluation set depend on each other and on the calibration set.
COPIES = "copies-in-evaluation"
FRAMES = "frames-of-one-file"
NEAR_DUPLICATES_IN_EVALUATION = "near-duplicates-in-evaluation"
UNCHECKED_GROUPS = "groups-of-one-set"
_EVALUATION_CHECKS = frozenset((COPIES, FRAMES, NEAR_DUPLICATES_IN_EVALUATION, UNCHECKED_GROUPS))


@dataclass(frozen=True)
class LayerCoverage:
    """Activations of one layer of the source, on calibration images and on evaluation images.

    Attributes:
        layer: name of the layer.
        low, high: range of the whole calibration sample.
        halves: (low, high) of each half of the sample.
        unsteady: largest difference of the halves' limits, as a share of the whole range.
        clipped: share of the activations on evaluation images that lie outside the whole range by more than
            half of 1/255 of it, which rounding to int8 loses in any case.
    """

    layer: str
    low: float
    high: float
    halves: tuple[tuple[float, float], tuple[float, float]]
    unsteady: float
    clipped: float


@dataclass(frozen=True)
class Coverage:
    """How well the activation ranges of a calibration set hold for an evaluation set, measured in the source.

    The ranges extend from the lowest to the highest activation of a sample. More images widen them, and a
    quantizer that narrows them clips more; the values here are the same for every format.

    Attributes:
        calibration_images: size of the calibration sample, both halves.
        evaluation_images: size of the evaluation sample.
        layers: number of layers measured.
        clipped: share of all activations on evaluation images that are clipped, as in `LayerCoverage`.
        unsteady: median over the layers.
        worst: the layers with the most clipping, then those whose halves differ most.
    """

    calibration_images: int
    evaluation_images: int
    layers: int
    clipped: float
    unsteady: float
    worst: tuple[LayerCoverage, ...]


def finding_from(row: Mapping[str, Any]) -> Finding:
    """A `Finding` from its JSON document."""
    return Finding(**{**row, "images": tuple(row["images"])})


def coverage_from(row: Mapping[str, Any] | None) -> Coverage | None:
    """A `Coverage` from its JSON document."""
    return None if row is None else Coverage(**{**row, "worst": tuple(map(_layer_from, row["worst"]))})


def _layer_from(row: Mapping[str, Any]) -> LayerCoverage:
    first, second = row["halves"]
    return LayerCoverage(**{**row, "halves": (tuple(first), tuple(second))})
