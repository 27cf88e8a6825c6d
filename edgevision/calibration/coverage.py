"""How well the activation ranges of a calibration set hold: between its halves, and on the evaluation set.

Measured in the source, layer by layer, because runtimes do not expose their activations. The result does not
depend on the format that the set calibrates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from edgevision.calibration.findings import Coverage, Finding, LayerCoverage
from edgevision.converter import Activations, ActivationSource, CalibrationData
from edgevision.system.decimals import percent
from edgevision.tensors import Array

#: Images sampled from the calibration set (both halves) and from the evaluation set: a hundred set most of a
#: range.
SAMPLE = 128
#: Share of a layer's activations outside the range above which there is a warning. On ResNet-8 the layer that
#: clips most clips 0.0008 of them if both sets are photos, and 0.17 if the evaluation set is noise.
CLIPPED = 0.01
#: Median difference of the halves' ranges above which there is a warning; it is 0.04 for halves of 32 photos.
UNSTEADY = 0.2

_BATCH = 16
_WORST = 8
_INT8_STEPS = 255


def measure_coverage(
    source: ActivationSource, calibration: CalibrationData, evaluation: CalibrationData
) -> Coverage:
    """Measure how well the activation ranges of calibration inputs hold for evaluation inputs.

    Args:
        source: source model that exposes its activations.
        calibration: up to `SAMPLE` inputs with a batch of one; every second one belongs to the first half.
        evaluation: up to `SAMPLE` inputs of the evaluation set.
    """
    inputs = list(calibration)
    first = _run(source, inputs[::2])
    second = _run(source, inputs[1::2] or inputs)
    ranges = [(min(a.low, b.low), max(a.high, b.high)) for a, b in zip(first, second, strict=True)]
    limits = [(low - step, high + step) for low, high in ranges for step in ((high - low) / _INT8_STEPS / 2,)]
    counted = 0

    def counting() -> Iterator[Mapping[str, Array]]:
        nonlocal counted
        for tensors in evaluation:
            counted += 1
            yield tensors

    seen = _run(source, counting(), limits)
    layers = [
        LayerCoverage(
            layer=whole.layer,
            low=low,
            high=high,
            halves=((a.low, a.high), (b.low, b.high)),
            unsteady=_difference(a, b, high - low),
            clipped=whole.outside / whole.values,
        )
        for whole, a, b, (low, high) in zip(seen, first, second, ranges, strict=True)
    ]
    return Coverage(
        calibration_images=len(inputs),
        evaluation_images=counted,
        layers=len(layers),
        clipped=sum(one.outside for one in seen) / max(1, sum(one.values for one in seen)),
        unsteady=float(np.median([one.unsteady for one in layers])) if layers else 0.0,
        worst=tuple(sorted(layers, key=lambda one: (-one.clipped, -one.unsteady))[:_WORST]),
    )


def coverage_findings(coverage: Coverage) -> Iterator[Finding]:
    """Warnings about clipped activations and unsteady ranges."""
    sample = f"{coverage.calibration_images} calibration images"
    # The worst come first; several activations may belong to one layer, which is named once.
    clipping: dict[str, float] = {}
    for one in coverage.worst:
        if one.clipped > CLIPPED:
            clipping.setdefault(one.layer, one.clipped)
    if clipping:
        worst = ", ".join(f"{layer} ({percent(share, 1)})" for layer, share in list(clipping.items())[:3])
        yield Finding(
            "clipped-activations",
            "warning",
            f"on evaluation images, activations exceed the ranges set on {sample}, most in {worst}; "
            "calibrate on images like those in use",
        )
    if coverage.unsteady > UNSTEADY:
        yield Finding(
            "unsteady-ranges",
            "warning",
            f"activation ranges set on the two halves of {sample} differ by "
            f"{percent(coverage.unsteady, 0)} in the median layer; calibrate on more images",
        )


def _run(
    source: ActivationSource,
    inputs: Iterable[Mapping[str, Array]],
    limits: Sequence[tuple[float, float]] = (),
) -> list[Activations]:
    """Activations of all inputs, one entry per layer."""
    total: list[Activations] = []
    for batch in _batches(inputs):
        layers = source.activations(batch, limits)
        total = [_merged(a, b) for a, b in zip(total, layers, strict=True)] if total else list(layers)
    return total


def _batches(inputs: Iterable[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
    iterator = iter(inputs)
    while block := list(islice(iterator, _BATCH)):
        yield {name: np.concatenate([one[name] for one in block]) for name in block[0]}


def _merged(a: Activations, b: Activations) -> Activations:
    return Activations(
        a.layer, min(a.low, b.low), max(a.high, b.high), a.outside + b.outside, a.values + b.values
    )


def _difference(a: Activations, b: Activations, width: float) -> float:
    return max(abs(a.low - b.low), abs(a.high - b.high)) / width if width > 0 else 0.0
