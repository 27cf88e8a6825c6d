"""The temperature of a model's scores, and how honest they are before and after.

Guo et al. 2017, On Calibration of Modern Neural Networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.changes import Reliability
from edgevision.metrics.classification import Members, reliability
from edgevision.tasks.classify import class_scores
from edgevision.tasks.temperature import Scores, log_scores, logistic, logits_of

#: Temperatures that are looked among.
LOWEST, HIGHEST = 0.05, 20.0
#: Halvings of their range, which end far below what six digits show.
_HALVINGS = 40


@dataclass(frozen=True)
class ScoreQuality:
    """How far scores are what they say.

    Attributes:
        nll: mean negative log-likelihood of the truth, in nats; lower is better. A score of 0 counts as half
            a step of its output. Of independent scores, the mean over images and classes.
        reliability: bins of confidence, and the expected calibration error.
    """

    nll: float
    reliability: Reliability

    @classmethod
    def of(cls, scores: Scores, true: Members, floor: float, multi_label: bool) -> ScoreQuality:
        """Of float32 scores and bool truth, both ``(images, classes)``."""
        right = np.where(true, scores, 1 - scores) if multi_label else scores[true]
        nll = -float(log_scores(right, floor).astype(np.float64).mean())
        return cls(round(nll, 6) + 0.0, reliability(scores, true, multi_label))


@dataclass(frozen=True)
class ScaledScores:
    """One model's scores on the evaluation set, as they are and at its temperature.

    Attributes:
        temperature: that was fitted on the calibration set.
        before, after: without it, and with it.
    """

    temperature: float
    before: ScoreQuality
    after: ScoreQuality


@dataclass(frozen=True)
class TemperatureEvidence:
    """Whether an artifact's scores are more honest at its temperature.

    Attributes:
        source, artifact: each at a temperature of its own; the bundle holds the artifact's.
        warnings: what a reader must know.
    """

    source: ScaledScores
    artifact: ScaledScores
    warnings: tuple[str, ...] = ()


def temperature_evidence(source: ScaledScores, artifact: ScaledScores) -> TemperatureEvidence:
    """With a warning where the evaluation set does not show what the calibration set promised."""
    before, after = artifact.before, artifact.after
    if after.nll <= before.nll:
        return TemperatureEvidence(source, artifact)
    warning = (
        f"at its temperature the scores are less honest on the evaluation set than without: {after.nll:.4f} "
        f"nats, before {before.nll:.4f}; was the model trained on the calibration set?"
    )
    return TemperatureEvidence(source, artifact, (warning,))


def fit_temperature(scores: Scores, true: Members, floor: float, multi_label: bool) -> float | None:
    """The temperature at which the truth is likeliest.

    The negative log-likelihood is convex in 1 / T, so its slope has one zero, found by halving.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        true: bool of that shape.
        floor: as `edgevision.tasks.temperature.score_floor` gives it.
        multi_label: whether each class has a score of its own.

    Returns:
        In six digits; `None` where none from `LOWEST` to `HIGHEST` is the best: the scores are never wrong,
        or tell nothing.
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
    """Scores at a temperature, from those without: what a `Classifier` with it gives, but for rounding.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        temperature: above 0.
        floor: as `edgevision.tasks.temperature.score_floor` gives it.
        multi_label: whether each class has a score of its own.
    """
    share = np.float32(1 / temperature)
    if multi_label:
        return logistic(logits_of(scores, floor) * share)
    return class_scores(log_scores(scores, floor) * share, "logits")


def _slope(logits: NDArray[np.float64], true: Members, temperature: float, multi_label: bool) -> float:
    """Of the negative log-likelihood over 1 / T."""
    scaled = logits / temperature
    if multi_label:
        likely = np.exp(-np.logaddexp(0.0, -scaled))
    else:
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        likely = powers / powers.sum(axis=1, keepdims=True)
    return float(((likely - true) * logits).sum())
