"""Simulated evaluation sets: what is not so is shown in at most 2.5 % of them, for each kind of metric.

Each set is drawn from a model whose true value lies just outside the limit. The sets are too small to show
what is asked, or just large enough; either way a pass is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from edgevision.conversion.plan import PlannedArtifact
from edgevision.conversion.search import PrecisionSearch
from edgevision.evaluation.classification import compare_scores
from edgevision.evidence.requirements import Budget
from edgevision.metrics.comparison import Comparison, pair
from edgevision.metrics.intervals import clopper_pearson
from edgevision.metrics.measures import MetricValue, share_of
from edgevision.target import Target

DRAWS = 200
#: Largest share of wrong passes: 2.5 %, and three standard errors of the simulation.
MOST = 0.025 + 3 * (0.025 * 0.975 / DRAWS) ** 0.5


def _wrong_passes(draw: Callable[[np.random.Generator], Comparison], budget: Budget) -> float:
    """The share of simulated sets on which an artifact outside its limit passes."""
    random = np.random.default_rng(0)
    passed = [
        all(one.passed for one in budget.requirements(draw(random), default_agreement=0.95))
        for _ in range(DRAWS)
    ]
    return sum(passed) / DRAWS


def _with_drop(source: MetricValue, artifact: MetricValue, images: int) -> Comparison:
    return Comparison(images, 1.0, 0.0, 0.0, pair([source], [artifact]))


@pytest.mark.parametrize("images", [1, 20, 60, 300])
def test_an_agreement_below_the_default_is_not_shown(images: int) -> None:
    def draw(random: np.random.Generator) -> Comparison:
        classes = random.integers(0, 3, images)
        other = np.where(random.random(images) < 0.051, (classes + 1) % 3, classes)
        return compare_scores(*(np.eye(3, dtype=np.float32)[one] for one in (classes, other)), None)

    assert _wrong_passes(draw, Budget()) <= MOST


@pytest.mark.parametrize("images", [1, 50, 300])
def test_an_agreement_on_present_labels_below_the_default_is_not_shown(images: int) -> None:
    """Labels that are rarely there: the agreement on all decisions is high whatever becomes of them."""

    def draw(random: np.random.Generator) -> Comparison:
        source = random.random((images, 4)) < 0.1
        artifact = source & (random.random(source.shape) >= 0.098)  # F1 of 0.9484
        scores = (one.astype(np.float32) for one in (source, artifact))
        return compare_scores(*scores, None, multi_label=True)

    assert _wrong_passes(draw, Budget()) <= MOST


@pytest.mark.parametrize("images", [1, 50, 200, 1000])
@pytest.mark.parametrize(("lost", "gained"), [(0.0101, 0.0), (0.0301, 0.02)])
def test_a_drop_in_accuracy_above_the_limit_is_not_shown(images: int, lost: float, gained: float) -> None:
    def draw(random: np.random.Generator) -> Comparison:
        right, change = random.random(images) < 0.8, random.random(images)
        after = np.where(right, change >= lost / 0.8, change < gained / 0.2)
        return _with_drop(share_of("accuracy", right), share_of("accuracy", after), images)

    assert _wrong_passes(draw, Budget(max_drop=1.0)) <= MOST


CANDIDATES = 24
LAYERS = [(f"layer{number}", 1.0) for number in range(36)]


def _search() -> tuple[PrecisionSearch, list[PlannedArtifact]]:
    """A search, and all the candidates that it may try."""
    precisions = ("int8", "int8-float-io", "int8-dynamic", "int16x8", "float16")
    target = Target("device", "a device", "tflite", "tflite", precisions)
    search = PrecisionSearch((target,), True, lambda fmt: LAYERS)
    names = [name for name, _ in LAYERS]
    mixed = [
        PlannedArtifact("tflite", "int8-mixed", (target,), tuple(names[:count])) for count in range(1, 19)
    ]
    return search, [*(PlannedArtifact("tflite", one, (target,)) for one in precisions), *mixed]


def test_the_shares_of_all_candidates_of_a_search_sum_to_those_of_one() -> None:
    search, candidates = _search()
    assert len(candidates) == CANDIDATES - 1
    assert all(search.may_try(one) for one in candidates)
    assert sum(1 - search.confidence(one) for one in candidates) == pytest.approx(0.05)


def _shares_of_searches_that_pass(images: int, confidences: Sequence[float]) -> float:
    """The share of evaluation sets on which any candidate passes; all agree a bit less than is required."""
    random = np.random.default_rng(0)

    @cache
    def passes(hits: int, confidence: float) -> bool:
        agreement, interval = hits / images, clopper_pearson(hits, images)
        comparison = Comparison(images, agreement, 0.1, 0.1, agreement_interval=interval)
        requirements = Budget().requirements(comparison, 0.95, confidence=confidence)
        return all(requirement.passed for requirement in requirements)

    hits = random.binomial(images, 0.9499, (4000, len(confidences)))
    searches = [any(map(passes, row, confidences)) for row in hits.tolist()]
    return sum(searches) / len(searches)


def test_of_24_candidates_just_outside_the_limit_none_passes_in_more_than_one_set_in_forty() -> None:
    search, candidates = _search()
    adjusted = [search.confidence(one) for one in candidates]
    noise = 3 * (0.025 * 0.975 / 4000) ** 0.5
    assert _shares_of_searches_that_pass(600, adjusted) <= 0.025 + noise
    assert _shares_of_searches_that_pass(600, [0.95] * CANDIDATES) > 0.2, "without the adjustment"
