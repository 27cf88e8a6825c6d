"""Is a map an explanation? What happens to the score when the pixels that it names are shown or hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats
from edgevision.explaining.attribution import MaskedRuns


@dataclass(frozen=True, eq=False)
class ExplanationCurves:
    """The score while pixels are shown or hidden, the most important first.

    Attributes:
        shares: float64 ``(steps + 1,)``: the share of the image's pixels, 0…1.
        insertion: float64, likewise: the score with only these shown.
        deletion: float64, likewise: the score with these hidden.
    """

    shares: NDArray[np.float64]
    insertion: NDArray[np.float64]
    deletion: NDArray[np.float64]

    @property
    def insertion_area(self) -> float:
        """The mean of the score over the shares: the higher, the better the map."""
        return _area(self.insertion)

    @property
    def deletion_area(self) -> float:
        """The mean of the score over the shares: the lower, the better the map."""
        return _area(self.deletion)


def curves(runs: MaskedRuns, found: NDArray[np.float64] | Floats, steps: int = 32) -> ExplanationCurves:
    """Insertion and deletion (Petsiuk et al. 2018) of a map.

    Args:
        runs: the image, with parts of it hidden.
        found: the map, ``(h, w)`` as `MaskedRuns.size_hw`.
        steps: between nothing and everything.
    """
    order = np.argsort(-np.asarray(found, np.float64).ravel(), kind="stable")
    shares = np.linspace(0.0, 1.0, steps + 1)
    counts = np.rint(shares * order.size).astype(int)

    def masks(shown: float) -> Iterator[Floats]:
        for count in counts:
            mask = np.full(order.size, 1.0 - shown, np.float32)
            mask[order[:count]] = shown
            yield mask.reshape(runs.size_hw)

    lines = [np.array([runs.scores([mask])[0] for mask in masks(shown)]) for shown in (1.0, 0.0)]
    return ExplanationCurves(shares, lines[0], lines[1])


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's correlation of two maps of one shape, -1…1, 0 if one is constant; ties: their mean rank."""
    ranks = [_ranks(np.asarray(each, np.float64).ravel()) for each in (one, other)]
    deviations = [each - each.mean() for each in ranks]
    norm = float(np.sqrt(np.square(deviations[0]).sum() * np.square(deviations[1]).sum()))
    return 0.0 if norm == 0 else float((deviations[0] * deviations[1]).sum()) / norm


def top_overlap(one: Floats, other: Floats, share: float = 0.1) -> float:
    """The share that the most important pixels of two maps have in common, 0…1: intersection over union.

    Args:
        one, other: maps of one shape.
        share: of the pixels, that count as the most important, above 0 and below 1.
    """
    count = max(1, round(share * one.size))
    best = [set(np.argsort(-each.ravel(), kind="stable")[:count].tolist()) for each in (one, other)]
    return len(best[0] & best[1]) / len(best[0] | best[1])


def share_within(found: Floats, box_xyxy: tuple[float, float, float, float]) -> float:
    """The share of what raises the score that lies within a box, 0…1; 0 where nothing raises it."""
    raised = np.maximum(found, 0.0)
    left, top, right, bottom = (max(0, round(value)) for value in box_xyxy)
    total = float(raised.sum(dtype=np.float64))
    return float(raised[top:bottom, left:right].sum(dtype=np.float64)) / total if total > 0 else 0.0


def _area(scores: NDArray[np.float64]) -> float:
    """The mean of a line through the scores."""
    return float(((scores[:-1] + scores[1:]) / 2).mean())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse.ravel()]
    return ranks
