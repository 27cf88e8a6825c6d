"""Reliability of scores: the calibration error without its bias, with its interval, and consistency bands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.intervals import Groups, Interval
from edgevision.system.arguments import array, check_lengths, whole_number

_Numbers = NDArray[np.float64]

#: Draws of the labels of a model, for what chance does to the error. The same for every model.
_DRAWS = 2000
_Z = 1.959963984540054
_TAIL = 0.025
_HALVINGS = 30
#: Numbers drawn at a time, which limits the memory.
_BLOCK_NUMBERS = 4_000_000
_DIGITS = 6
#: More have no meaning.
_MOST_BINS = 100_000


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions whose confidence lies in one bin.

    Attributes:
        count: number of predictions.
        confidence: their mean confidence, 0…1.
        accuracy: share of them that is correct.
        low, high: consistency band (Bröcker and Smith 2007, Weather and Forecasting 22:651): the accuracy of
            a perfectly calibrated model with these scores is between them for 95 % of sets of this size.
            `None` in an empty bin, and in evidence of earlier releases.
    """

    count: int
    confidence: float
    accuracy: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Reliability:
    """How well the confidence of predictions matches their accuracy (Guo et al. 2017, section 2).

    The error of the bins of a small set is above 0 for every model, because their accuracies are those of a
    few images: compare it with `calibrated`, or read `debiased` and `interval`.

    Attributes:
        ece: expected calibration error, 0…1: mean distance of confidence and accuracy in these images, bin by
            bin; lower is better.
        bins: 15 bins of equal width from 0 to 1, empty ones included.
        debiased: the error without its bias (Kumar, Liang and Ma 2019, Verified Uncertainty Calibration: the
            accuracies of bins are taken as normal). They subtract the bias at the measured distances, which
            leaves about half of it where scores are well calibrated; here the distances are scaled until the
            error to be expected from them is the measured one. 0 if chance alone gives such an error.
        interval: 95 % interval of the error on all images of this kind, with these bins: from the measured
            error where chance adds nothing to it, down to the distances that would hardly ever give it.
        calibrated: error that a perfectly calibrated model with these scores shows on so many images: in the
            mean, and exceeded by one of twenty such sets.

        The last three are `None` without predictions, and in evidence of earlier releases.
    """

    ece: float
    bins: tuple[ReliabilityBin, ...]
    debiased: float | None = None
    interval: Interval | None = None
    calibrated: tuple[float, float] | None = None

    @classmethod
    def of(
        cls,
        confidence: NDArray[np.float32],
        correct: NDArray[np.bool_],
        bins: int = 15,
        *,
        groups: Groups | None = None,
    ) -> Reliability:
        """Sort predictions, float32 ``(n,)`` of 0…1 and bool ``(n,)``, into bins ``(low, high]``.

        Args:
            confidence, correct: of each prediction.
            bins: number of bins, 1 or more.
            groups: int ``(n,)``: predictions of one group, such as the labels of one image or the images of
                one patient, depend on each other. `None`: every prediction is its own.

        Raises:
            OptionError: these are not such arrays, of the same length, or `bins` is out of range.
        """
        bins = whole_number(bins, "bins", 1, _MOST_BINS)
        array(confidence, "confidence", "f", axes=(1,))
        array(correct, "correct", "b", axes=(1,))
        check_lengths(confidence=confidence, correct=correct)
        places = (np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1).clip(0, bins - 1)
        counts = np.bincount(places, minlength=bins)
        least = np.maximum(counts, 1)
        confidences = np.bincount(places, confidence, minlength=bins) / least
        accuracies = np.bincount(places, correct, minlength=bins) / least
        filled = np.flatnonzero(counts)
        if len(filled) == 0:
            return cls(0.0, (ReliabilityBin(0, 0.0, 0.0),) * bins)
        error = float((counts * np.abs(confidences - accuracies)).sum() / len(correct))
        noise = _Noise.of(places, correct, confidences, accuracies, filled, groups)
        lows, highs = np.zeros(bins), np.zeros(bins)
        lows[filled], highs[filled], calibrated = noise.of_calibrated(confidences[filled])
        debiased, interval = noise.corrected(accuracies[filled] - confidences[filled])
        rows = tuple(
            ReliabilityBin(n, round(c, _DIGITS), round(a, _DIGITS), *(band if n else ()))
            for n, c, a, *band in zip(
                counts.tolist(),
                confidences.tolist(),
                accuracies.tolist(),
                lows.round(_DIGITS).tolist(),
                highs.round(_DIGITS).tolist(),
                strict=True,
            )
        )
        return cls(round(error, _DIGITS), rows, round(debiased, _DIGITS), interval, calibrated)


@dataclass(frozen=True, eq=False)
class _Noise:
    """The effect of chance on the accuracies of bins that are not empty.

    Attributes:
        weights: share of the predictions, ``(bins,)``.
        effective: number of independent predictions that the bin is worth, ``(bins,)``.
        spread: standard deviation of the accuracy, ``(bins,)``.
        draws: deviations of the accuracies in sets of this size, ``(_DRAWS, bins)``, normal; with groups they
            have the correlations of these.
    """

    weights: _Numbers
    effective: _Numbers
    spread: _Numbers
    draws: _Numbers

    @classmethod
    def of(
        cls,
        places: NDArray[np.int64],
        correct: NDArray[np.bool_],
        confidences: _Numbers,
        accuracies: _Numbers,
        filled: NDArray[np.intp],
        groups: Groups | None,
    ) -> _Noise:
        counts = np.bincount(places, minlength=len(confidences))[filled]
        hits, c = accuracies[filled] * counts, confidences[filled]
        # Of a bin that is all right or all wrong the images alone give no spread (Agresti and Coull 1998).
        smoothed = (hits + 0.5) / (counts + 1)
        spread = np.sqrt(np.maximum(smoothed * (1 - smoothed), c * (1 - c)) / counts)
        random = np.random.default_rng(0)
        draws = random.standard_normal((_DRAWS, len(filled)))
        if groups is None:
            return cls(counts / counts.sum(), counts.astype(np.float64), spread, draws * spread)
        sums = _group_sums(places, correct - accuracies[places], groups, filled)
        of_groups = np.sqrt((sums**2).sum(axis=0)) / counts * math.sqrt(len(sums) / max(1, len(sums) - 1))
        independent = np.sqrt(np.maximum(accuracies[filled] * (1 - accuracies[filled]), 1e-12) / counts)
        design = np.maximum(1.0, of_groups / independent)  # of a deviation: the root of the design effect
        drawn = _drawn_sums(random, sums)
        deviation = drawn.std(axis=0)
        draws = np.where(deviation > 0, drawn / np.maximum(deviation, 1e-12), draws)
        spread = spread * design
        return cls(counts / counts.sum(), counts / design**2, spread, draws * spread)

    def of_calibrated(self, confidences: _Numbers) -> tuple[_Numbers, _Numbers, tuple[float, float]]:
        """The band of each bin, and the error in the mean and at its 95 % quantile, of a calibrated model."""
        trials = np.maximum(1, np.round(self.effective)).astype(np.int64)
        hits = np.random.default_rng(1).binomial(trials, confidences.clip(0, 1), (_DRAWS, len(trials)))
        accuracies = hits / trials
        low, high = np.quantile(accuracies, (_TAIL, 1 - _TAIL), axis=0, method="inverted_cdf")
        errors = np.abs(accuracies - confidences) @ self.weights
        mean, most = float(errors.mean()), float(np.quantile(errors, 0.95))
        return low, high, (round(mean, _DIGITS), round(most, _DIGITS))

    def corrected(self, distances: _Numbers) -> tuple[float, Interval]:
        """The error without its bias, and its interval.

        Args:
            distances: accuracy less confidence, ``(bins,)``.
        """
        measured = float(np.abs(distances) @ self.weights)
        signed = np.abs(distances)
        debiased = 0.0
        if float(_expected(np.zeros_like(signed), self.spread) @ self.weights) < measured:
            scale = _last(
                lambda scale: float(_expected(scale * signed, self.spread) @ self.weights) < measured, 1
            )
            debiased = scale * measured
        # What is beyond chance: smaller distances are bins at 0, which add their noise to the error.
        clear = np.where(signed > 2 * self.spread, signed, 0.0)
        clear = clear if clear.any() else signed
        whole = float(clear @ self.weights)

        def is_rare(scale: float) -> bool:
            """True if such distances hardly ever give the measured error, or a larger one."""
            errors = np.abs(scale * clear + self.draws) @ self.weights
            return bool((errors >= measured).mean() <= _TAIL)

        low = _last(is_rare, 64) * whole if is_rare(0) else 0.0
        signs = np.where(distances < 0, -1.0, 1.0)
        high = measured + _Z * float((self.draws @ (self.weights * signs)).std())
        low, high = min(low, debiased), min(1.0, high)
        return debiased, Interval(round(low, _DIGITS), round(high, _DIGITS), "calibration-error")


def _expected(distances: _Numbers, spread: _Numbers) -> _Numbers:
    """The mean of the size of a normal variable, of its mean and its standard deviation, both 0 or more."""
    spread = np.maximum(spread, 1e-12)
    ratio = distances / spread
    below = np.array([0.5 * math.erfc(one / math.sqrt(2)) for one in ratio.tolist()])
    mean: _Numbers = spread * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + distances * (1 - 2 * below)
    return mean


def _last(holds: Callable[[float], bool], high: float) -> float:
    """The largest number from 0 to `high` for which a condition holds that holds at 0 and not beyond it."""
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _group_sums(
    places: NDArray[np.int64], residuals: _Numbers, groups: Groups, filled: NDArray[np.intp]
) -> _Numbers:
    """The sum of the residuals of each group in each bin that is not empty, ``(groups, bins)``."""
    names, numbers = np.unique(groups, return_inverse=True)
    columns = np.searchsorted(filled, places)
    cells: _Numbers = np.bincount(
        numbers * len(filled) + columns, residuals, len(names) * len(filled)
    ).astype(np.float64)
    return cells.reshape(len(names), len(filled))


def _drawn_sums(random: np.random.Generator, sums: _Numbers) -> _Numbers:
    """Sums over groups with normal multipliers, ``(_DRAWS, bins)``: they keep their correlations."""
    drawn = np.zeros((_DRAWS, sums.shape[1]))
    rows = max(1, _BLOCK_NUMBERS // _DRAWS)
    for start in range(0, len(sums), rows):
        part = sums[start : start + rows]
        drawn += random.standard_normal((_DRAWS, len(part))) @ part
    return drawn
