"""Checks of a calibration set report every defect, and nothing on a good set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgevision.calibration.checks import check_images, refuse_warnings
from edgevision.calibration.findings import Finding
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def tiles() -> list[Pixels]:
    """260 tiles of two real photos, 64 x 64 pixels each: sky, petals and roofs."""
    datasets = pytest.importorskip("sklearn.datasets")
    pytest.importorskip("PIL")
    cut = [
        np.ascontiguousarray(photo[top : top + 64, left : left + 64])
        for photo in datasets.load_sample_images().images
        for top in range(0, 427 - 64, 36)
        for left in range(0, 640 - 64, 44)
    ]
    return cut[:260]


@pytest.fixture(scope="module")
def digits() -> list[Pixels]:
    """Real handwriting: 240 digits of 32 x 32 pixels."""
    datasets = pytest.importorskip("sklearn.datasets")
    small = np.clip(datasets.load_digits().images[:240] * 16, 0, 255).astype(np.uint8)
    return [cv2.cvtColor(cv2.resize(one, (32, 32)), cv2.COLOR_GRAY2RGB) for one in small]


def sets(calibration: list[Pixels], evaluation: list[Pixels]) -> tuple[ImageSet, ImageSet]:
    own = ImageSet.from_arrays(calibration, name="calibration")
    return own, ImageSet.from_arrays(evaluation, name="labelled")


def on_disk(folder: Path) -> tuple[ImageSet, ImageSet]:
    return ImageSet.open(folder / "calibration"), ImageSet.open(folder / "evaluation")


def found(calibration: list[Pixels], evaluation: list[Pixels]) -> dict[str, Finding]:
    findings, _ = check_images(*sets(calibration, evaluation))
    return {finding.check: finding for finding in findings}


def write(folder: Path, name: str, image: Pixels, *how: int) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), how)


def test_handwriting_has_no_findings(digits: list[Pixels]) -> None:
    assert found(digits[:120], digits[120:]) == {}


def test_photos_are_neither_noise_nor_constant_nor_duplicates(tiles: list[Pixels]) -> None:
    assert not {"noise-images", "constant-images", "also-in-evaluation"} & set(found(tiles[::2], tiles[1::2]))


@pytest.mark.parametrize("quality", [None, 95, 75])
@pytest.mark.parametrize("kind", ["uniform", "normal", "grey"])
def test_noise_is_detected_even_after_jpeg(digits: list[Pixels], kind: str, quality: int | None) -> None:
    rng = np.random.default_rng(0)
    noise = {
        "uniform": rng.integers(0, 256, (48, 64, 3)),
        "normal": rng.normal(128, 30, (48, 64, 3)).clip(0, 255),
        "grey": rng.integers(0, 256, (48, 64, 1)).repeat(3, axis=2),
    }[kind].astype(np.uint8)
    if quality is not None:
        noise = cv2.imdecode(cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
    finding = found([*digits[:119], noise], digits[120:])["noise-images"]
    assert finding.images == ("calibration[119]",)
    assert finding.text.startswith("1 of 120 calibration images are noise")


def test_images_of_a_single_colour_are_detected(digits: list[Pixels]) -> None:
    black, grey = np.zeros((32, 32, 3), np.uint8), np.full((20, 30, 3), 127, np.uint8)
    grey[::2] += 1  # a sensor's last bit
    finding = found([black, grey, *digits[:118]], digits[120:])["constant-images"]
    assert finding.images == ("calibration[0]", "calibration[1]")
    assert finding.severity == "warning"


def test_a_small_set_gets_a_warning_with_its_consequence(digits: list[Pixels]) -> None:
    assert (
        "the calibration set is small (19 images): about 10 % of the images in use"
        in found(digits[:19], digits[120:])["few-images"].text
    )
    assert "few-images" not in found(digits[:100], digits[120:])


def test_frames_of_one_scene_are_near_duplicates_and_count_as_one(digits: list[Pixels]) -> None:
    rng = np.random.default_rng(0)
    frames = [
        np.clip(digits[0] + rng.normal(0, 3, digits[0].shape), 0, 255).astype(np.uint8) for _ in range(40)
    ]
    findings = found([*digits[:80], *frames], digits[120:])
    finding = findings["near-duplicates"]
    assert finding.severity == "warning"
    assert finding.text.startswith("40 of 120 calibration images are near-duplicates of another one")
    assert finding.text.endswith("and 30 more")
    assert "the calibration set is small (120 images, 80 of them distinct)" in findings["few-images"].text


def test_a_few_near_duplicates_are_a_note(digits: list[Pixels]) -> None:
    assert found([*digits[:119], digits[3]], digits[120:])["near-duplicates"].severity == "note"


@pytest.mark.parametrize(
    ("suffix", "how"),
    [
        (".png", ()),
        (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 100)),
        (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 80)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 90)),
        (".bmp", ()),
    ],
    ids=["png", "jpeg-100", "jpeg-80", "webp-90", "bmp"],
)
def test_an_image_in_both_sets_is_detected_whatever_its_name_and_format(
    tmp_path: Path, tiles: list[Pixels], suffix: str, how: tuple[int, ...]
) -> None:
    for number, image in enumerate(tiles[:6]):
        write(tmp_path, f"calibration/{number}.png", image)
        write(tmp_path, f"evaluation/{number}.png", tiles[100 + number])
    write(tmp_path, f"evaluation/renamed{suffix}", tiles[2], *how)
    findings, kept = check_images(
        ImageSet.open(tmp_path / "calibration"), ImageSet.open(tmp_path / "evaluation")
    )
    (finding,) = [one for one in findings if one.check == "also-in-evaluation"]
    assert finding.images == (f"renamed{suffix}",)
    assert f"renamed{suffix} (as 2.png)" in finding.text
    assert kept.image_names == tuple(f"{number}.png" for number in range(6))


def test_an_image_with_another_small_object_is_not_a_duplicate(tiles: list[Pixels]) -> None:
    with_object = tiles[0].copy()
    with_object[20:26, 30:36] = 255 - with_object[20:26, 30:36] // 2
    assert "also-in-evaluation" not in found(tiles[:3], [with_object, tiles[100]])


def test_files_that_were_left_out_before_are_counted(digits: list[Pixels]) -> None:
    findings, _ = check_images(*sets(digits[:120], digits[120:]), left_out=7)
    assert findings[0].text.startswith("7 evaluation files are also in the calibration set")


def test_two_sets_with_the_same_images_are_refused(tmp_path: Path, digits: list[Pixels]) -> None:
    for number, image in enumerate(digits[:4]):
        write(tmp_path, f"calibration/{number}.png", image)
        write(tmp_path, f"evaluation/{number}.bmp", image)
    with pytest.raises(
        InputError,
        match=r"evaluation: every image is also in the calibration set .*; pass --evaluation FOLDER",
    ):
        check_images(*on_disk(tmp_path))


def test_images_that_cannot_be_read_are_all_named(tmp_path: Path, digits: list[Pixels]) -> None:
    for number, image in enumerate(digits[:14]):
        write(tmp_path, f"{number:02d}.png", image)
    for number in range(1, 13):
        path = tmp_path / f"{number:02d}.png"
        path.write_bytes(path.read_bytes()[:60])
    broken = ImageSet.open(tmp_path)
    good = ImageSet.from_arrays(digits[:3])
    with pytest.raises(InputError, match=r"12 of 14 images cannot be used: .*01\.png.*10\.png.*and 2 more"):
        check_images(broken, good)
    with pytest.raises(InputError, match="12 of 14 images cannot be used"):
        check_images(good, broken)


def test_an_empty_set_is_refused(digits: list[Pixels]) -> None:
    images = ImageSet.from_arrays(digits[:2], name="images")
    with pytest.raises(InputError, match="images: the calibration set is empty; pass --calibration FOLDER"):
        check_images(images.without(images.digests), images)


def test_classes_without_calibration_images_are_named(tmp_path: Path, digits: list[Pixels]) -> None:
    for number, name in enumerate(["cat", "dog", "owl", "cat"]):
        write(tmp_path, f"calibration/{'cat' if number % 2 else 'dog'}/{number}.png", digits[number])
        write(tmp_path, f"evaluation/{name}/{number}.png", digits[100 + number])
    findings, _ = check_images(
        ImageSet.open(tmp_path / "calibration"), ImageSet.open(tmp_path / "evaluation")
    )
    (finding,) = [one for one in findings if one.check == "missing-classes"]
    assert finding.text.startswith(
        "the calibration set has no image of 1 of the evaluation set's 3 classes: owl"
    )


def test_strict_refuses_every_warning_and_accepts_notes(digits: list[Pixels]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    findings, _ = check_images(*sets([*digits[:5], noise], digits[120:]))
    with pytest.raises(
        InputError,
        match=r"--strict refuses the calibration set: few-images: .*; noise-images: .*calibration\[5\]",
    ):
        refuse_warnings(findings)
    refuse_warnings([Finding("near-duplicates", "note", "one")])
