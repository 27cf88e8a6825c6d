"""Bounds at a higher confidence than that of the interval that they follow from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgevision.evidence.bounds import ShareBound, drop_bound
from edgevision.metrics.bounded_means import limits_of_means
from edgevision.metrics.class_ratios import ratio_of
from edgevision.metrics.intervals import Groups, share_by_image
from edgevision.metrics.measures import MetricValue, drop_interval, mean_of, share_of

#: Of a search's first candidate, and of one of its last.
CONFIDENCES = (0.975, 0.9993)
#: A bound is at least so far from the measured value as the end of an interval at this confidence.
NEAR = 0.999

Values = NDArray[np.float64]


def _groups(random: np.random.Generator, images: int) -> Groups:
    """Groups of unequal size."""
    return np.sort(random.geometric(0.15, images) % max(2, images // 5))


def _decibel(random: np.random.Generator, changed: Values, groups: Groups) -> tuple[MetricValue, MetricValue]:
    source = 28 + random.random(len(changed))
    return mean_of("PSNR", source, "dB"), mean_of("PSNR", source - 3 * changed, "dB")


def _decibel_by_group(
    random: np.random.Generator, changed: Values, groups: Groups
) -> tuple[MetricValue, MetricValue]:
    source = 28 + random.random(len(changed))
    values = (source, source - 3 * changed)
    first, second = (mean_of("PSNR", one, "dB", groups=groups) for one in values)
    return first, second


def _similarity(
    random: np.random.Generator, changed: Values, groups: Groups
) -> tuple[MetricValue, MetricValue]:
    source = 0.5 + random.random(len(changed)) / 2
    return mean_of("SSIM", source), mean_of("SSIM", source * (1 - changed))


def _accuracy(
    random: np.random.Generator, changed: Values, groups: Groups
) -> tuple[MetricValue, MetricValue]:
    right = random.random(len(changed)) < 0.8
    return share_of("accuracy", right), share_of("accuracy", right ^ (changed > 0))


def _precision(
    random: np.random.Generator, changed: Values, groups: Groups
) -> tuple[MetricValue, MetricValue]:
    true, source = random.random((2, len(changed))) < 0.5
    artifact = source ^ (changed > 0)
    return ratio_of("precision", true & source, source), ratio_of("precision", true & artifact, artifact)


DROPS = [_decibel, _decibel_by_group, _similarity, _accuracy, _precision]


def _changes(random: np.random.Generator, images: int, share: float) -> Values:
    return np.where(random.random(images) < share, random.random(images), 0.0)


@pytest.mark.parametrize("metrics", DROPS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("images", [20, 100, 1000])
def test_the_bound_of_a_drop_is_no_nearer_than_the_interval_at_its_confidence(
    metrics: Callable[..., tuple[MetricValue, MetricValue]], share: float, images: int
) -> None:
    random = np.random.default_rng(images)
    source, artifact = metrics(random, _changes(random, images, share), _groups(random, images))
    drop, interval = source.value - artifact.value, drop_interval(source, artifact)
    assert interval is not None
    bound = drop_bound(images, drop, interval)
    for confidence in CONFIDENCES:
        (limits,) = limits_of_means([source.observations.minus(artifact.observations)], confidence=confidence)
        assert limits is not None
        assert bound.at(images, confidence) - drop >= NEAR * (limits[1] - drop), confidence


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("images", [20, 100, 1000])
def test_the_bound_of_a_share_is_no_nearer_than_the_interval_at_its_confidence(
    in_groups: bool, in_parts: bool, share: float, images: int
) -> None:
    random = np.random.default_rng(images)
    groups = _groups(random, images) if in_groups else None
    whole = random.integers(1, 20, images).astype(np.float64) if in_parts else np.ones(images)
    alike = whole * (1 - _changes(random, images, share))
    measured = float(alike.sum() / whole.sum())
    bound = ShareBound.of(images, measured, share_by_image(alike, whole, groups=groups))
    for confidence in CONFIDENCES:
        low = share_by_image(alike, whole, groups=groups, confidence=confidence).low
        assert measured - bound.at(images, confidence) >= NEAR * (measured - low), confidence
