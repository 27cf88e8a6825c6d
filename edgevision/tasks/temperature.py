"""Scores at a temperature: as if the network's logits had been divided by it before they became scores.

Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2. Above 1 the scores become less sure,
below 1 surer; which class has the highest stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InferenceError
from edgevision.tensors import Array, TensorSpec, all_finite, dequantizer

Scores = NDArray[np.float32]

#: What float32 can tell from 1; and the least that it holds at full precision.
_STEP_BELOW_ONE = 2.0**-24
_LEAST = float(np.finfo(np.float32).tiny)


def score_floor(output: TensorSpec, score_kind: str) -> float:
    """The least score that an output can mean: a 0 says no more than that the score is below it.

    Half a step of an integer output: its softmax is 0 wherever the score rounds to 0, and the logarithm of 0
    would make it impossible. Of real numbers, what float32 can tell from 0, or of independent scores from 1.
    """
    if score_kind == "logits":
        return _LEAST
    if output.quantization is not None:
        return output.quantization.scale / 2
    independent = score_kind == "sigmoid" or output.shape[-1] == 1
    return _STEP_BELOW_ONE if independent else _LEAST


def log_scores(scores: Scores, floor: float) -> Scores:
    """Logits of scores ``(images, classes)`` that sum to 1: their logarithms."""
    return np.asarray(np.log(np.maximum(scores, np.float32(floor))))


def logits_of(scores: Scores, floor: float) -> Scores:
    """Logits of independent scores, each by itself; neither it nor its complement is below `floor`."""
    return log_scores(scores, floor) - log_scores(np.float32(1) - scores, floor)


def logistic(logits: Scores) -> Scores:
    """Independent scores of logits; the inverse of `logits_of`, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(np.float32(0), -logits)))


def scaled_reader(
    output: TensorSpec, score_kind: str, temperature: float
) -> tuple[Callable[[Array], Scores], str]:
    """Reads an output at a temperature.

    Of 8 bits there are 256 values, so what each stands for is computed once, here.

    Args:
        output: the output with the scores.
        score_kind: what it holds.
        temperature: above 0.

    Returns:
        From the output's own numbers to real ones, and the kind of scores that these are. The reader
        raises `InferenceError` where a score is NaN or infinite.
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
