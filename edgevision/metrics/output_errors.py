"""The error of an artifact's raw outputs for each example, relative to the variance of the source's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import ConversionError
from edgevision.tensors import Array

#: Smallest probability that an 8-bit output shows.
_LEAST_PROBABILITY = 1 / 256
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
    for name in source:
        if name not in artifact:
            raise ConversionError(f"no output '{name}'; it has: {', '.join(artifact)}")
    rows = [
        _relative_errors(*pair)
        for name, values in source.items()
        for pair in _comparable(values, artifact[name], score_kinds.get(name, ""))
    ]
    return np.asarray(np.mean(rows, axis=0))


def _comparable(expected: Array, got: Array, score_kind: str) -> Iterator[tuple[Array, Array]]:
    """The values of one output that are compared in one unit."""
    if got.shape != expected.shape:
        raise ConversionError(f"an output is {got.shape}, and {expected.shape} in the source")
    expected, got = expected.astype(np.float64), got.astype(np.float64)
    if score_kind in ("softmax", "sigmoid"):
        yield _logits(expected, score_kind), _logits(got, score_kind)
    elif expected.ndim == 3:
        channels = 1 if expected.shape[1] < expected.shape[2] else 2
        expected, got = (np.moveaxis(values, channels, 1) for values in (expected, got))
        are_scores = ((expected >= 0) & (expected <= 1)).all(axis=(0, 2))
        for chosen in (are_scores, ~are_scores):
            if chosen.any():
                yield expected[:, chosen], got[:, chosen]
    else:
        yield expected, got


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
