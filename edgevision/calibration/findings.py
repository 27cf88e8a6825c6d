"""What evidence says of a calibration set: what was found in it, and how well its ranges hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What one check found in a calibration set.

    Attributes:
        check: which, such as ``near-duplicates``.
        severity: ``note``, or ``warning``, which ``--strict`` makes a refusal.
        text: what was found, what it means, and what to do.
        images: names of the images that it is about; may be cut short, then `text` has their number.
    """

    check: str
    severity: str
    text: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerCoverage:
    """The activations of one layer of the source: on calibration images and on evaluation images.

    Attributes:
        layer: its name.
        low, high: the range of the whole calibration sample.
        halves: (low, high) of one half of the sample and of the other.
        unsteady: how far the halves' ranges differ at either end, as a share of the whole range.
        clipped: share of the evaluation images' activations that lie outside the whole range, by more
            than half a step of 255, which is what rounding to int8 loses anyway.
    """

    layer: str
    low: float
    high: float
    halves: tuple[tuple[float, float], tuple[float, float]]
    unsteady: float
    clipped: float


@dataclass(frozen=True)
class Coverage:
    """How well the ranges of a calibration set hold for an evaluation set, measured in the source.

    The ranges are whole, from the lowest to the highest activation, of a sample: more images widen
    them, and a quantizer that narrows them clips more. So the shares are the same for every format.

    Attributes:
        calibration_images: in the sample, both halves.
        evaluation_images: in the sample.
        layers: how many were measured.
        clipped: share of all activations on evaluation images that were clipped, as in `LayerCoverage`.
        unsteady: the median over layers.
        worst: the layers that clip most, then those whose halves differ most.
    """

    calibration_images: int
    evaluation_images: int
    layers: int
    clipped: float
    unsteady: float
    worst: tuple[LayerCoverage, ...]


def finding_from(row: Mapping[str, Any]) -> Finding:
    """What `dataclasses.asdict` and JSON have made of a `Finding`."""
    return Finding(**{**row, "images": tuple(row["images"])})


def coverage_from(row: Mapping[str, Any] | None) -> Coverage | None:
    """What `dataclasses.asdict` and JSON have made of a `Coverage`."""
    return None if row is None else Coverage(**{**row, "worst": tuple(map(_layer_from, row["worst"]))})


def _layer_from(row: Mapping[str, Any]) -> LayerCoverage:
    first, second = row["halves"]
    return LayerCoverage(**{**row, "halves": (tuple(first), tuple(second))})
