"""Temperature scaling: scores as if the network's logits had been divided by a temperature.

Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2. Temperatures above 1 lower the
confidence, those below 1 raise it; the top class stays the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InferenceError
from edgevision.tensors import Array, TensorSpec, all_finite, dequantizer

Scores = NDArray[np.float32]

#: The distance from 1 to the float32 below it, and the smallest float32 of full precision.
_STEP_BELOW_ONE = 2.0**-24
_LEAST = float(np.finfo(np.float32).tiny)


def score_floor(output: TensorSpec, score_kind: str) -> float:
    """The lowest score that an output can represent: a 0 means only that the score is below it.

    For an integer output, half a step: a score that rounds to 0 is not impossible, as the logarithm of 0
    would have it. For a float output, the float32 next to 0, or for independent scores next to 1.
    """
    if score_kind == "logits":
        return _LEAST
    if output.quantization is not None:
        return output.quantization.scale / 2
    independent = score_kind == "sigmoid" or output.shape[-1] == 1
    return _STEP_BELOW_ONE if independent else _LEAST


def log_scores(scores: Scores, floor: float) -> Scores:
    """Logits from scores ``(images, classes)`` that sum to 1: their logarithms."""
    return np.asarray(np.log(np.maximum(scores, np.float32(floor))))


def logits_of(scores: Scores, floor: float) -> Scores:
    """Logits from independent scores; each score and its complement are `floor` or above."""
    return log_scores(scores, floor) - log_scores(np.float32(1) - scores, floor)


def logistic(logits: Scores) -> Scores:
    """Independent scores from logits; the inverse of `logits_of`, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(np.float32(0), -logits)))


def scaled_reader(
    output: TensorSpec, score_kind: str, temperature: float
) -> tuple[Callable[[Array], Scores], str]:
    """A reader of an output at a temperature.

    An output of 8 bits has 256 values, so the result for each is computed once, here.

    Args:
        output: the output with the scores.
        score_kind: its kind.
        temperature: above 0.

    Returns:
        A function from the output's own numbers to scaled ones, and the score kind of these. The
        function raises `InferenceError` if a score is NaN or infinite.
    """
    share, floor = np.float32(1 / temperature), score_floor(output, score_kind)
    if score_kind == "logits":
        return dequantizer(output, lambda values: values * share), "logits"
    if output.shape[-1] == 1:
        return dequantizer(output, lambda values: logits_of(_finite(values), floor) * share), "logits"
    if score_kind == "softmax":
        return dequantizer(output, lambda values: log_scores(_finite(values), floor) * share), "logits"
    return dequantizer(output, lambda values: logistic(logits_of(_finite(values), floor) * share)), score_kind


def _finite(values: Scores) -> Scores:
    if not all_finite(values):
        raise InferenceError("the network gave NaN or infinity; expected finite scores")
    return values
