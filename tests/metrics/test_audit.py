"""Metrics and intervals as an auditor recomputes them, with statsmodels, scikit-learn and scikit-image."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from edgevision.metrics.classification import classify_measures
from edgevision.metrics.image_similarity import psnr_db, ssim
from edgevision.metrics.intervals import clopper_pearson, paired_drop
from edgevision.metrics.measures import drop_interval, share_of
from edgevision.metrics.paired_tests import mcnemar


@pytest.mark.parametrize(("hits", "count"), [(0, 60), (8, 10), (57, 60), (4999, 5000), (5000, 5000)])
def test_the_exact_interval_is_that_of_statsmodels_and_near_wilsons(hits: int, count: int) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion", reason="needs the extra `dev`")
    found = clopper_pearson(hits, count)
    low, high = proportion.proportion_confint(hits, count, method="beta")
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    wilson = proportion.proportion_confint(hits, count, method="wilson")
    assert (found.low, found.high) == (pytest.approx(wilson[0], abs=0.05), pytest.approx(wilson[1], abs=0.05))


@pytest.mark.parametrize(("lost", "gained"), [(0, 5), (3, 3), (12, 2), (80, 110)])
def test_mcnemars_test_is_that_of_statsmodels(lost: int, gained: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason="needs the extra `dev`")
    expected = tables.mcnemar([[40, lost], [gained, 60]], exact=True).pvalue
    counts = [40, lost, gained, 60]
    pair = np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)
    assert mcnemar(*pair) == pytest.approx(expected)


# The first is an example of Newcombe 1998, table II.
@pytest.mark.parametrize(
    ("both", "lost", "gained", "neither"), [(36, 12, 2, 0), (700, 30, 20, 250), (43, 0, 1, 7)]
)
def test_the_interval_of_a_drop_is_near_those_of_newcombe_and_tango(
    both: int, lost: int, gained: int, neither: int
) -> None:
    count = both + lost + gained + neither
    found = paired_drop(lost, gained, count)
    tango = _tango(lost, gained, count)
    assert found.low - 0.002 <= tango[0] < tango[1] <= found.high + 0.002, "exact limits are not inside"
    assert found.high - found.low < 1.4 * (tango[1] - tango[0])


def _tango(lost: int, gained: int, count: int) -> tuple[float, float]:
    """Tango 1998, Statistics in Medicine 17:891: the drops that the score test does not reject."""

    def score(drop: float) -> float:
        b = -lost - gained + (2 * count - lost + gained) * drop
        q = (np.sqrt(b * b + 8 * count * gained * drop * (1 - drop)) - b) / (4 * count)
        return float((lost - gained - count * drop) / np.sqrt(count * (2 * q + drop * (1 - drop)) + 1e-300))

    def root(low: float, high: float, level: float) -> float:
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if score(middle) > level else (low, middle)
        return low

    return root(-1 + 1e-9, 1 - 1e-9, 1.959964), root(-1 + 1e-9, 1 - 1e-9, -1.959964)


def test_every_class_metric_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra `dev`")
    random = np.random.default_rng(7)
    for classes, images in ((2, 30), (7, 60), (40, 50)):
        truth = random.integers(0, classes, images)
        decided = np.where(random.random(images) < 0.6, truth, random.integers(0, classes, images))
        scores = np.eye(classes, dtype=np.float32)[decided]
        found = classify_measures(scores, truth, [f"{n}" for n in range(classes)], multi_label=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes without predictions
            macro = metrics.precision_recall_fscore_support(truth, decided, average="macro")[:3]
        assert [one.value for one in found.metrics] == pytest.approx(
            [metrics.accuracy_score(truth, decided), *macro]
        )


def test_psnr_and_ssim_are_those_of_scikit_image() -> None:
    similarity = pytest.importorskip("skimage.metrics", reason="needs the extra `dev`")
    random = np.random.default_rng(8)
    first = random.integers(0, 256, (40, 30, 3), np.uint8)
    second = np.clip(first.astype(int) + random.integers(-9, 10, first.shape), 0, 255).astype(np.uint8)
    assert psnr_db(first, second) == pytest.approx(similarity.peak_signal_noise_ratio(first, second))
    # As its documentation says for the implementation of Wang et al.
    expected = similarity.structural_similarity(
        first,
        second,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert ssim(first, second) == pytest.approx(expected)


def test_the_interval_of_equal_models_is_the_rule_of_three() -> None:
    hits = np.ones(300, bool)
    found = drop_interval(share_of("accuracy", hits), share_of("accuracy", hits))
    assert found.high == pytest.approx(3.69 / 300, rel=0.01)
