"""Image-to-image models are compared with each other, and with ground truth, by PSNR and SSIM."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.image_similarity import HIGHEST_PSNR_DB, psnr_db, ssim
from edgevision.tasks.description import GenerateTask

pytestmark = pytest.mark.convert  # scikit-image comes with that extra

PHOTO = np.random.default_rng(0).integers(40, 200, (24, 32, 3), np.uint8)
BRIGHTER = PHOTO + np.uint8(5)


def _evaluator(truth: list[np.ndarray] | None = None) -> ImageToImageEvaluator:
    task = GenerateTask("image-to-image", "made", (0, 1), "rgb", {"fit": "tiles", "overlap": 4})
    return ImageToImageEvaluator(task, Preprocessing((16, 16), (0.0, 255.0)), truth)


def test_psnr_follows_its_definition_and_is_infinite_for_equal_images() -> None:
    assert psnr_db(PHOTO, BRIGHTER) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr_db(PHOTO, PHOTO) == np.inf


def test_ssim_is_one_for_equal_images_and_falls_with_noise() -> None:
    noise = np.random.default_rng(1).integers(0, 40, PHOTO.shape, np.uint8)
    assert ssim(PHOTO, PHOTO) == pytest.approx(1.0)
    assert ssim(PHOTO, PHOTO + noise) < ssim(PHOTO, BRIGHTER) < 1.0


def test_images_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        psnr_db(PHOTO, PHOTO[:-1])
    with pytest.raises(InputError, match="too small for SSIM; expected 7x7 or more"):
        ssim(PHOTO[:5], PHOTO[:5])


def test_without_ground_truth_there_is_the_similarity_to_the_source() -> None:
    comparison = _evaluator().compare([PHOTO, PHOTO], [PHOTO, BRIGHTER])
    assert comparison.metrics == ()
    assert comparison.largest_difference == pytest.approx(5 / 255)
    assert comparison.mean_difference == pytest.approx(2.5 / 255)
    assert comparison.likeness["PSNR, dB"] == pytest.approx(psnr_db(PHOTO, BRIGHTER))
    assert comparison.notes == (
        "output images that are equal to the source's: 1 of 2; their PSNR is infinite and is not in the mean",
    )
    assert comparison.agreement == comparison.likeness["SSIM"] < 1.0


def test_with_ground_truth_both_are_compared_with_it() -> None:
    comparison = _evaluator([PHOTO]).compare([PHOTO], [BRIGHTER])
    metric = comparison.metric("PSNR")
    assert (metric.source, metric.unit) == (HIGHEST_PSNR_DB, "dB")
    assert metric.drop_interval is None, "nothing bounds the loss of a model that is never wrong"
    assert any("their PSNR is infinite and is shown as 100 dB" in note for note in comparison.notes)
    assert comparison.metric("SSIM").source == pytest.approx(1.0)


def test_representative_images_have_the_most_contrast() -> None:
    flat = np.full_like(PHOTO, 90)
    assert _evaluator().representative([flat, PHOTO, flat], 1) == [1]


def test_there_are_intervals_and_the_least_similar_images() -> None:
    darker = PHOTO - np.uint8(30)
    comparison = _evaluator([PHOTO] * 3).compare([PHOTO] * 3, [PHOTO, BRIGHTER, darker])
    assert comparison.details.changed == 2
    assert [change.image for change in comparison.details.changes] == ["image 2", "image 1"]
    assert comparison.details.changes[1].psnr_db == pytest.approx(psnr_db(PHOTO, BRIGHTER), abs=1e-3)
    low, high = (getattr(comparison.likeness_intervals["PSNR, dB"], side) for side in ("low", "high"))
    assert low < comparison.likeness["PSNR, dB"] < high
    low, high = (getattr(comparison.metric("SSIM").drop_interval, side) for side in ("low", "high"))
    assert low < comparison.metric("SSIM").drop < high
    assert comparison.metric("PSNR").drop_interval is None


def test_equal_images_do_not_prove_that_all_others_are_equal() -> None:
    comparison = _evaluator().compare([PHOTO] * 16, [PHOTO] * 16)
    assert comparison.agreement == pytest.approx(1.0)
    assert 0.75 < comparison.agreement_interval.low < 0.85, "the rule of three: 3 of 16"
    assert comparison.likeness_intervals == {"SSIM": comparison.agreement_interval}, "none of PSNR"
    more = _evaluator().compare([PHOTO] * 200, [PHOTO] * 200)
    assert more.agreement_interval.low > 0.97


def test_nearly_equal_images_prove_no_more_than_equal_ones() -> None:
    almost = PHOTO.copy()
    almost[0, 0] ^= 1
    equal = _evaluator().compare([PHOTO] * 16, [PHOTO] * 16)
    nearly = _evaluator().compare([PHOTO] * 16, [almost] * 15 + [PHOTO])
    assert 0.99 < nearly.agreement < 1.0
    assert nearly.agreement_interval.low <= equal.agreement_interval.low


def test_one_image_bounds_next_to_nothing() -> None:
    metric = _evaluator([PHOTO]).compare([BRIGHTER], [PHOTO - np.uint8(30)]).metric("PSNR")
    assert metric.source_interval.low < 2
    assert metric.source_interval.high > 98
    assert metric.drop_interval.high - metric.drop > 10


def test_the_window_of_ssim_is_that_of_wang_et_al() -> None:
    noise = np.random.default_rng(1).integers(0, 40, PHOTO.shape, np.uint8)
    expected = np.mean([_ssim_by_hand(PHOTO[..., c], (PHOTO + noise)[..., c]) for c in range(3)])
    assert ssim(PHOTO, PHOTO + noise) == pytest.approx(expected, abs=1e-6)


def test_small_images_have_a_small_window_and_say_so() -> None:
    small = [PHOTO[:8, :8], PHOTO[8:16, :8]]
    comparison = _evaluator().compare(small, [small[0], small[1] + np.uint8(20)])
    assert 0.0 < comparison.agreement < 1.0
    note = "SSIM of images with a side of less than 11 pixels has a uniform window of 7x7 pixels"
    assert note in comparison.notes
    assert note not in _evaluator().compare([PHOTO], [BRIGHTER]).notes


def _ssim_by_hand(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al. 2004, equation 13 to 15, on the windows that lie within the image."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def blurred(values: np.ndarray) -> np.ndarray:
        patches = np.lib.stride_tricks.sliding_window_view(values, (11, 11))
        return np.einsum("abij,ij->ab", patches, window)

    x, y = first.astype(float), second.astype(float)
    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    both = blurred(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    rows = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float((rows / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def test_groups_are_what_varies() -> None:
    outputs = [BRIGHTER, PHOTO - np.uint8(30)] * 10
    wide = _evaluator_with_groups(np.repeat(np.arange(2), 10)).compare([BRIGHTER] * 20, outputs)
    narrow = _evaluator([PHOTO] * 20).compare([BRIGHTER] * 20, outputs)
    for name in ("PSNR", "SSIM"):
        ends = [one.metric(name).drop_interval for one in (narrow, wide)]
        assert ends[1].high > ends[0].high
        assert ends[1].method == "gaffke-groups"
    assert wide.agreement_interval.low < narrow.agreement_interval.low


def _evaluator_with_groups(groups: np.ndarray) -> ImageToImageEvaluator:
    task = GenerateTask("image-to-image", "made", (0, 1), "rgb", {"fit": "tiles", "overlap": 4})
    return ImageToImageEvaluator(
        task, Preprocessing((16, 16), (0.0, 255.0)), [PHOTO] * len(groups), groups=groups
    )
