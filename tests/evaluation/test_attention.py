"""Attention drift of models of which it is known what they look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.evaluation.attention import NOISE, NOTHING_FOUND, SourceAttention
from edgevision.evaluation.attention_checks import OtherMaps
from edgevision.evidence.attention import (
    AttentionSpecification,
    MeanOfImages,
    drift_verdict,
)
from edgevision.metrics.intervals import Interval
from edgevision.testing.models import fake_classifier, fake_detector

LABELS = ("rough", "smooth")
QUICK = AttentionSpecification(images=8, budget=256, cells=4)


def model(columns: slice, noise: float = 0.0) -> Any:
    """A classifier by the contrast in some columns of the image alone."""

    def scores(pixels: np.ndarray) -> list[float]:
        seen = float(pixels[:, columns].std()) / 128
        seen = min(1.0, seen + noise * float(pixels.astype(np.int64).sum() % 7) / 7)
        return [seen, 1 - seen]

    return fake_classifier(LABELS, scores, multi_label=True)


def images(count: int, **facts: Any) -> ImageSet:
    """Images with a chequered square in each half, elsewhere grey."""
    random = np.random.default_rng(0)
    pixels = np.full((count, 32, 32, 3), 128, np.uint8)
    chequered = (255 * (np.indices((8, 8)).sum(0) % 2)).astype(np.uint8)[:, :, np.newaxis]
    for one, (left, right) in zip(pixels, random.integers(0, 24, (count, 2)), strict=True):
        one[left : left + 8, 4:12] = one[right : right + 8, 20:28] = chequered
    return replace(ImageSet.from_arrays(pixels), **facts)


def nothing_else() -> OtherMaps:
    return OtherMaps(None, None)  # type: ignore[arg-type]  # a source without gradients


def measured(examples: ImageSet, source: Any = None, **named: Any) -> SourceAttention:
    source = model(slice(0, 16)) if source is None else source
    return SourceAttention.measure(replace(QUICK, **named), source, examples, nothing_else(), print)


@pytest.fixture(scope="module")
def source() -> SourceAttention:
    return measured(images(8))


def test_an_artifact_that_looks_at_the_same_has_no_drift_with_the_same_masks(source: SourceAttention) -> None:
    found, pairs = source.drift(model(slice(0, 16)), print)
    assert found.drift.value == 0
    assert found.overlap.value == 1
    assert found.drift.interval.high < 0.5, "and the interval says how much so few images leave open"
    assert source.evidence.noise.value > 0.01, "other masks give another map of the same model"
    assert len(pairs) == source.evidence.images == 8


def test_an_artifact_that_decides_alike_and_looks_elsewhere_has_drifted(source: SourceAttention) -> None:
    found, pairs = source.drift(model(slice(16, 32)), print)
    assert found.drift.value > 0.9
    assert found.overlap.value < 0.1
    assert drift_verdict(found.drift, source.evidence.noise).startswith("moved more")
    correlations = [one.correlation for one in found.worst]
    assert correlations == sorted(correlations)
    worst = source.sample.shown_names[pairs[0].source.place]
    assert found.worst[0].image == worst
    assert pairs[0].artifact is not None
    moved = np.abs(pairs[0].artifact)
    assert moved[:, 16:].mean() > 2 * moved[:, :16].mean()


def test_the_drift_says_what_masks_hide_beside_noise(source: SourceAttention) -> None:
    little = source.drift(model(slice(0, 16), noise=0.02), print)[0]
    assert 0 < little.drift.value < source.evidence.noise.value


def test_maps_are_ahead_of_random_ones_where_they_are_right(source: SourceAttention) -> None:
    assert source.evidence.faithfulness.insertion.value > 0.02
    assert source.evidence.faithfulness.deletion.value > 0.02
    blind = source.drift(model(slice(0, 16)), print)[0]
    assert blind.faithfulness.insertion.value == pytest.approx(source.evidence.faithfulness.insertion.value)


def test_images_without_a_map_are_left_out_and_counted() -> None:
    grey = np.full((32, 32, 3), 200, np.uint8)
    found = measured(ImageSet.from_arrays([*images(4), grey, grey]))
    assert found.evidence.images == 4
    assert found.evidence.left_out == {NOISE: 2}
    assert f"2 {NOISE}" in found.evidence.measured_on
    with pytest.raises(OptionError, match="mostly noise; raise --attention-runs"):
        measured(ImageSet.from_arrays([grey]))


def test_objects_are_followed_and_images_without_any_left_out() -> None:
    box = (2.0, 2.0, 14.0, 14.0)

    def detector(column: slice) -> Any:
        def objects(pixels: np.ndarray) -> list[Any]:
            score = float(pixels[:, column].std()) / 128
            return [("cell", score, box)] if pixels.any() else []

        return fake_detector(["cell"], objects, size_wh=(32, 32))

    examples = ImageSet.from_arrays([*images(3), np.zeros((32, 32, 3), np.uint8)])
    found = measured(examples, detector(slice(0, 16)))
    assert found.evidence.left_out == {NOTHING_FOUND: 1}
    assert found.maps[0].box_xyxy == pytest.approx(box)
    assert found.drift(detector(slice(0, 16)), print)[0].drift.value == 0
    assert found.drift(detector(slice(16, 32)), print)[0].drift.value > 0.8
    nothing = fake_detector(["cell"], [], size_wh=(32, 32))
    assert found.drift(nothing, print)[0].drift.value == 1, "a score that never changes rests on nothing"


def test_images_that_belong_together_widen_the_interval() -> None:
    examples = images(8)
    grouped = measured(examples.grouped([f"patient {place // 4}" for place in range(8)]))
    alone = measured(examples).drift(model(slice(0, 16)), print)[0]
    found = grouped.drift(model(slice(0, 16)), print)[0]
    assert found.drift.interval.method == "gaffke-groups"
    assert found.drift.interval.high > alone.drift.interval.high


def test_the_same_seed_gives_the_same_maps_and_another_one_others() -> None:
    first, again, other = (measured(images(12), seed=seed).maps for seed in (1, 1, 2))
    assert [one.place for one in first] == [one.place for one in again]
    assert all(np.array_equal(one.map, two.map) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0].map, other[0].map)


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [((0.0, 0.1), "moved less than"), ((0.1, 0.4), "not told apart"), ((0.6, 0.9), "moved more than")],
)
def test_the_verdict_rests_on_the_intervals(limits: tuple[float, float], verdict: str) -> None:
    def mean(low: float, high: float) -> MeanOfImages:
        return MeanOfImages((low + high) / 2, Interval(low, high, "gaffke"))

    assert drift_verdict(mean(*limits), mean(0.3, 0.5)).startswith(verdict)


@pytest.mark.parametrize(
    ("field", "value"),
    [("images", 0), ("images", 2.5), ("budget", 31), ("cells", 1), ("seed", -1), ("max_drift", 0)],
)
def test_specifications_outside_their_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(OptionError, match=field):
        AttentionSpecification(**{field: value})


def test_runs_come_in_whole_batches_so_that_every_model_gets_the_same_masks() -> None:
    assert AttentionSpecification(budget=1000).budget == 992
