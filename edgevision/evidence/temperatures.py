"""Temperature scaling of scores, and their calibration error before and after.

Guo et al. 2017, On Calibration of Modern Neural Networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.classification import Members, reliability
from edgevision.metrics.intervals import Groups, Interval
from edgevision.metrics.reliability import Reliability
from edgevision.tasks.classify import class_scores
from edgevision.tasks.temperature import Scores, log_scores, logistic, logits_of

#: Search range of the temperature.
LOWEST, HIGHEST = 0.05, 20.0
#: Bisection steps, enough for more than six digits.
_HALVINGS = 40
_RESAMPLES = 1000
_Numbers = NDArray[np.float64]


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
    def of(
        cls, scores: Scores, true: Members, floor: float, multi_label: bool, groups: Groups | None = None
    ) -> ScoreQuality:
        """Measure float32 scores against bool labels, both ``(images, classes)``, of images in groups."""
        losses = log_losses(scores, true, floor, multi_label)
        found = reliability(scores, true, multi_label, groups=groups)
        return cls(round(float(losses.mean()), 6) + 0.0, found)


@dataclass(frozen=True)
class ScaledScores:
    """Quality of one model's scores on the evaluation set, before and after temperature scaling.

    Attributes:
        temperature: fitted on the calibration set.
        before, after: without and with the temperature.
        change: 95 % interval of the rise of the log loss, in nats, on the same images; `None` in evidence of
            earlier releases.
    """

    temperature: float
    before: ScoreQuality
    after: ScoreQuality
    change: Interval | None = None


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
    """The evidence, with a warning unless the evaluation set shows that the temperature improves the scores.

    It is judged by the log loss, which has no bias in a small set, unlike the calibration error; and by the
    unfavourable end of its interval.
    """
    before, after, change = artifact.before, artifact.after, artifact.change
    if after.nll < before.nll and change is not None and change.high < 0:
        return TemperatureEvidence(source, artifact)
    limits = (
        "" if change is None else f" (95 % interval of the change: {change.low:+.4f} to {change.high:+.4f})"
    )
    losses = f"from {before.nll:.4f} to {after.nll:.4f} nats{limits}"
    if after.nll <= before.nll:
        warning = (
            f"the evaluation set does not show that temperature scaling improves the scores: the log loss "
            f"goes {losses}; evaluate on more images, or remove --calibrate-scores"
        )
    else:
        shown = change is not None and change.low > 0
        warning = (
            f"temperature scaling {'makes' if shown else 'seems to make'} the scores worse on the evaluation "
            f"set: the log loss rises {losses}; check that the model was not trained on the calibration set"
        )
    return TemperatureEvidence(source, artifact, (warning,))


def log_losses(scores: Scores, true: Members, floor: float, multi_label: bool) -> NDArray[np.float64]:
    """The negative log-likelihood of the labels of each image, in nats; the mean of independent scores.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        true: bool labels of the same shape.
        floor: from `edgevision.tasks.temperature.score_floor`.
        multi_label: whether each class has an independent score.

    Returns:
        ``(images,)``.
    """
    likelihoods = np.where(true, scores, 1 - scores) if multi_label else scores[true]
    losses = -log_scores(likelihoods, floor).astype(np.float64)
    return losses.mean(axis=1) if multi_label else losses


def change_interval(
    before: NDArray[np.float64], after: NDArray[np.float64], groups: Groups | None = None
) -> Interval | None:
    """95 % interval of the mean change of the log loss of images, by the bootstrap-t.

    A few images with large losses make the mean skewed; its studentized form is less so (Efron and Tibshirani
    1993, chapter 12).

    Args:
        before, after: ``(images,)``, from `log_losses`.
        groups: int ``(images,)``, the group of each image; groups are resampled. `None`: every image is one.

    Returns:
        `None` if the images cannot bound it, because all have the same change.
    """
    changes = after - before
    numbers = np.arange(len(changes)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums, sizes = np.bincount(numbers, changes), np.bincount(numbers).astype(np.float64)
    parts = np.column_stack([sums, sizes, sums**2, sums * sizes, sizes**2])
    mean, spread = (float(one[0]) for one in _mean_and_error(parts.sum(axis=0)[None]))
    if not spread > 1e-12:
        return None
    means, spreads = _mean_and_error(_resampled_sums(parts))
    known = spreads > 1e-6 * spread
    low, high = np.quantile((means[known] - mean) / spreads[known], (0.025, 0.975))
    limits = mean - float(high) * spread, mean - float(low) * spread
    return Interval(round(limits[0], 6), round(limits[1], 6), "bootstrap-t")


def _resampled_sums(parts: _Numbers) -> _Numbers:
    """The sums of ``(groups, k)`` over resamples of the groups, ``(_RESAMPLES, k)``."""
    random, count = np.random.default_rng(len(parts)), len(parts)
    drawn = (np.bincount(random.integers(0, count, count), minlength=count) for _ in range(_RESAMPLES))
    return np.stack([times @ parts for times in drawn])


def _mean_and_error(totals: _Numbers) -> tuple[_Numbers, _Numbers]:
    """The mean per image and its standard error, from sums over groups ``(n, 5)``; see `change_interval`."""
    sums, sizes, squares, products, sizes_squared = totals.T
    means = sums / sizes
    residuals = squares - 2 * means * products + means**2 * sizes_squared
    return means, np.sqrt(np.maximum(residuals, 0)) / sizes


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


def log_loss_change(scaled: ScaledScores) -> str:
    """The change of the log loss with its interval, such as ``-0.1203 (-0.1410 … -0.1021)``."""
    change = f"{scaled.after.nll - scaled.before.nll:+.4f}"
    interval = scaled.change
    return change if interval is None else f"{change} ({interval.low:+.4f} … {interval.high:+.4f})"
