"""compare(): the better of two bundles, and whether the difference is significant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import LABELS, write_tiny_bundle

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.evaluation.compare import compare, paired_test
from edgevision.metrics.comparison import pair
from edgevision.metrics.measures import MetricValue, mean_of, share_of


def _tested(first: MetricValue, second: MetricValue):
    return paired_test(pair([first], [second])[0], first, second)


def test_hits_are_compared_by_mcnemars_test() -> None:
    worse, better = np.arange(400) < 300, np.arange(400) < 330
    result = _tested(share_of("accuracy", worse), share_of("accuracy", better))
    assert (result.test, result.better) == ("mcnemar", "B")
    assert result.p_value < 1e-6
    assert result.metric.drop_interval.high < 0
    assert _tested(share_of("accuracy", better), share_of("accuracy", worse)).better == "A"


def test_five_images_that_flipped_may_be_chance() -> None:
    first = np.arange(400) < 300
    second = first.copy()
    second[[0, 1, 2, 310, 311]] ^= True
    result = _tested(share_of("accuracy", first), share_of("accuracy", second))
    assert result.better is None
    assert result.metric.drop_interval.low < 0 < result.metric.drop_interval.high


def test_means_are_compared_by_the_test_that_their_interval_is_made_of() -> None:
    random = np.random.default_rng(0)
    sharp = random.normal(30.0, 4.0, 400)
    for loss, better in ((1.0, "A"), (0.02, None)):
        blurred = sharp - np.abs(random.normal(loss, 0.2, 400))
        result = _tested(*(mean_of("PSNR", one, "dB", highest=100.0) for one in (sharp, blurred)))
        assert (result.test, result.better) == ("gaffke", better)
        assert (result.metric.drop_interval.low > 0) == (better == "A")


def test_a_drop_is_judged_by_the_bound_of_its_interval() -> None:
    first, second = np.arange(400) < 300, np.arange(400) < 298
    metric = _tested(share_of("accuracy", first), share_of("accuracy", second)).metric
    assert metric.drop == pytest.approx(0.005)
    assert metric.largest_drop == metric.drop_interval.high > 0.01, (
        "400 images do not rule out a percentage point"
    )


def test_a_bundle_is_as_good_as_itself(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    bundle = write_tiny_bundle(tmp_path / "tiny.evb")
    random = np.random.default_rng(0)
    images = ImageSet.from_arrays(
        random.integers(0, 256, (30, 8, 8, 3), np.uint8), random.integers(0, 5, 30), LABELS
    )
    comparison = compare(bundle, bundle, images)
    assert (comparison.verdict.better, comparison.verdict.p_value, comparison.comparison.agreement) == (
        None,
        1.0,
        1.0,
    )
    document = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert document["verdict"] == {"metric": "accuracy", "test": "mcnemar", "p_value": 1.0, "better": None}
    assert document["a"] == document["b"]


def test_bundles_with_different_classes_are_not_compared(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    first = write_tiny_bundle(tmp_path / "a.evb")
    second = write_tiny_bundle(tmp_path / "b.evb", labels=LABELS[::-1])
    images = ImageSet.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], LABELS)
    with pytest.raises(OptionError, match="compare models with the same labels"):
        compare(first, second, images)


def test_one_class_per_image_is_not_compared_with_several(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    bundles = write_tiny_bundle(tmp_path / "a.evb"), write_tiny_bundle(tmp_path / "b.evb", "sigmoid")
    images = ImageSet.from_arrays(np.arange(384, dtype=np.uint8).reshape(2, 8, 8, 3), [0, 1], LABELS)
    for first, second in (bundles, bundles[::-1]):
        with pytest.raises(OptionError, match="compare models with the same kind of output"):
            compare(first, second, images)
