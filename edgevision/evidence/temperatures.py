"""Temperature scaling of scores, and their calibration error before and after.

Guo et al. 2017, On Calibration of Modern Neural Networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.classification import Members, reliability
from edgevision.metrics.reliability import Reliability
from edgevision.tasks.classify import class_scores
from edgevision.tasks.temperature import Scores, log_scores, logistic, logits_of

#: Search range of the temperature.
LOWEST, HIGHEST = 0.05, 20.0
#: Bisection steps, enough for more than six digits.
_HALVINGS = 40


@dataclass(frozen=True)
class ScoreQuality:
    """How well scores match the observed frequencies.

    Attributes:
        nll: mean negative log-likelihood of the labels, in nats; lower is better. A score of 0 counts as half
            a quantization step of its output. For independent scores, the mean over images and classes.
        reliability: expected calibration error, with its bins of confidence.
    """

    nll: float
    reliability: Reliability

    @classmethod
    def of(cls, scores: Scores, true: Members, floor: float, multi_label: bool) -> ScoreQuality:
        """Measure float32 scores against bool labels, both ``(images, classes)``."""
        likelihoods = np.where(true, scores, 1 - scores) if multi_label else scores[true]
        nll = -float(log_scores(likelihoods, floor).astype(np.float64).mean())
        return cls(round(nll, 6) + 0.0, reliability(scores, true, multi_label))


@dataclass(frozen=True)
class ScaledScores:
    """Quality of one model's scores on the evaluation set, before and after temperature scaling.

    Attributes:
        temperature: fitted on the calibration set.
        before, after: without and with the temperature.
    """

    temperature: float
    before: ScoreQuality
    after: ScoreQuality


@dataclass(frozen=True)
class TemperatureEvidence:
    """Effect of temperature scaling on the scores of an artifact and its source.

    Attributes:
        source, artifact: each with a temperature of its own; the bundle holds the artifact's.
        warnings: shown to the reader beside the metrics.
    """

    source: ScaledScores
    artifact: ScaledScores
    warnings: tuple[str, ...] = ()


def temperature_evidence(source: ScaledScores, artifact: ScaledScores) -> TemperatureEvidence:
    """The evidence, with a warning if the temperature does not improve the scores on the evaluation set."""
    before, after = artifact.before, artifact.after
    if after.nll <= before.nll:
        return TemperatureEvidence(source, artifact)
    warning = (
        f"temperature scaling makes the scores worse on the evaluation set: the log loss rises from "
        f"{before.nll:.4f} to {after.nll:.4f} nats; check that the model was not trained on the "
        f"calibration set"
    )
    return TemperatureEvidence(source, artifact, (warning,))


def fit_temperature(scores: Scores, true: Members, floor: float, multi_label: bool) -> float | None:
    """The temperature that maximizes the likelihood of the labels.

    The negative log-likelihood is convex in 1 / T, so its slope has a single zero, found by bisection.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        true: bool labels of the same shape.
        floor: from `edgevision.tasks.temperature.score_floor`.
        multi_label: whether each class has an independent score.

    Returns:
        The temperature to six digits; `None` if the optimum is not between `LOWEST` and `HIGHEST`, because
        the scores are never wrong or carry no information.
    """
    logits = (logits_of if multi_label else log_scores)(scores, floor).astype(np.float64)
    low, high = math.log(LOWEST), math.log(HIGHEST)
    if not _slope(logits, true, LOWEST, multi_label) > 0 > _slope(logits, true, HIGHEST, multi_label):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(logits, true, math.exp(middle), multi_label) > 0:
            low = middle
        else:
            high = middle
    return float(f"{math.exp(low):.6g}")


def scaled_scores(scores: Scores, temperature: float, floor: float, multi_label: bool) -> Scores:
    """Scores at a temperature, equal to those of a `Classifier` with that temperature up to rounding.

    Args:
        scores: float32 ``(images, classes)`` of 0…1, without temperature.
        temperature: above 0.
        floor: from `edgevision.tasks.temperature.score_floor`.
        multi_label: whether each class has an independent score.
    """
    factor = np.float32(1 / temperature)
    if multi_label:
        return logistic(logits_of(scores, floor) * factor)
    return class_scores(log_scores(scores, floor) * factor, "logits")


def _slope(logits: NDArray[np.float64], true: Members, temperature: float, multi_label: bool) -> float:
    """Derivative of the negative log-likelihood with respect to 1 / T."""
    scaled = logits / temperature
    if multi_label:
        probabilities = np.exp(-np.logaddexp(0.0, -scaled))
    else:
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
    return float(((probabilities - true) * logits).sum())
