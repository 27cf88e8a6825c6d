"""The error of an artifact's raw outputs for each example, relative to the variance of the source's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import ConversionError
from edgevision.tensors import Array

#: Smallest probability that an 8-bit output shows.
_LEAST_PROBABILITY = 1 / 256
#: Smallest spread of an output, of its size or of logits, that rounding is compared with.
_LEAST_SPREAD = 0.01
#: The error of outputs that are not finite.
_WORST = 1e6


def output_errors(
    source: Mapping[str, Array], artifact: Mapping[str, Array], score_kinds: Mapping[str, str]
) -> NDArray[np.float64]:
    """The mean squared error of each example, relative to the variance of the source's outputs.

    Probabilities are compared by their logits, as far as they show these: by log probabilities (``softmax``)
    or log odds (``sigmoid``), of probabilities of 1/256 or more. Near 0 and 1 a probability changes little
    while the logits move far, and another image is decided by that.

    In an output of shape ``(n, a, b)``, values that lie in 0…1 throughout a channel (scores) and the others
    (boxes, in pixels) are compared apart, since the small ones would vanish beside the large ones. Channels
    are the shorter axis.

    Args:
        source, artifact: output name -> float32 ``(n, …)``, of the same examples.
        score_kinds: output name -> ``softmax`` or ``sigmoid``; of other outputs the values are compared as
            they are. Only outputs of the source are compared.

    Raises:
        ConversionError: the artifact lacks an output, or has one of another shape.

    Returns:
        ``(n,)``: 0 if all outputs are equal; the mean over the outputs.
    """
    pairs = _pairs(source, artifact, score_kinds)
    return np.asarray(np.mean([_relative_errors(one.expected, one.got) for one in pairs], axis=0))


def rounding_errors(
    source: Mapping[str, Array], artifact: Mapping[str, Array], score_kinds: Mapping[str, str]
) -> NDArray[np.float64]:
    """The root mean square error of each example, relative to the size of the source's outputs.

    As `output_errors`, but for artifacts that compute the same in float. Floats are rounded relative to their
    size: the scale of an output is its standard deviation, but at least a hundredth of its root mean square
    and, of logits, at least 0.01, so that an output that is nearly constant has one, too.

    Args:
        source, artifact, score_kinds: as for `output_errors`.

    Raises:
        ConversionError: as `output_errors`.

    Returns:
        ``(n,)``: the largest over the outputs.
    """
    pairs = _pairs(source, artifact, score_kinds)
    return np.asarray(np.max([_rounding_errors(one) for one in pairs], axis=0))


@dataclass(frozen=True, eq=False)
class _Pair:
    """The values of one output that are compared in one unit, float64 ``(n, …)``."""

    expected: NDArray[np.float64]
    got: NDArray[np.float64]
    are_logits: bool = False


def _pairs(
    source: Mapping[str, Array], artifact: Mapping[str, Array], score_kinds: Mapping[str, str]
) -> list[_Pair]:
    for name in source:
        if name not in artifact:
            raise ConversionError(f"no output '{name}'; it has: {', '.join(artifact)}")
    return [
        pair
        for name, values in source.items()
        for pair in _comparable(values, artifact[name], score_kinds.get(name, ""))
    ]


def _comparable(expected: Array, got: Array, score_kind: str) -> Iterator[_Pair]:
    """The parts of one output that are compared in one unit each."""
    if got.shape != expected.shape:
        raise ConversionError(f"an output is {got.shape}, and {expected.shape} in the source")
    expected, got = expected.astype(np.float64), got.astype(np.float64)
    if score_kind in ("softmax", "sigmoid"):
        yield _Pair(_logits(expected, score_kind), _logits(got, score_kind), are_logits=True)
    elif expected.ndim == 3:
        channels = 1 if expected.shape[1] < expected.shape[2] else 2
        expected, got = (np.moveaxis(values, channels, 1) for values in (expected, got))
        are_scores = ((expected >= 0) & (expected <= 1)).all(axis=(0, 2))
        for chosen in (are_scores, ~are_scores):
            if chosen.any():
                yield _Pair(expected[:, chosen], got[:, chosen])
    else:
        yield _Pair(expected, got)


def _logits(probabilities: Array, score_kind: str) -> Array:
    high = 1.0 if score_kind == "softmax" else 1 - _LEAST_PROBABILITY
    clipped = np.clip(probabilities, _LEAST_PROBABILITY, high)
    logits: Array = np.log(clipped) if score_kind == "softmax" else np.log(clipped) - np.log1p(-clipped)
    return logits


def _relative_errors(expected: Array, got: Array) -> NDArray[np.float64]:
    squares = np.square(got - expected).reshape(len(expected), -1).mean(axis=1)
    # A constant output has no variance; its error is then measured by its size.
    variance = expected.var() or np.square(expected).mean() or 1.0
    errors: NDArray[np.float64] = np.nan_to_num(squares / variance, nan=_WORST, posinf=_WORST)
    return np.minimum(errors, _WORST, out=errors)


def _rounding_errors(pair: _Pair) -> NDArray[np.float64]:
    squares = np.square(pair.got - pair.expected).reshape(len(pair.got), -1).mean(axis=1)
    floor = _LEAST_SPREAD * float(np.sqrt(np.square(pair.expected).mean()))
    if pair.are_logits:
        floor = max(floor, _LEAST_SPREAD)
    scale = max(float(pair.expected.std()), floor) or 1.0
    errors: NDArray[np.float64] = np.nan_to_num(np.sqrt(squares) / scale, nan=_WORST, posinf=_WORST)
    return np.minimum(errors, _WORST, out=errors)
