"""Animated GIF, WebP and PNG files: all pictures, in their order, and damage told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgevision.errors import InputError, StreamBrokenError
from edgevision.imaging import animation
from edgevision.imaging.animation import picture_count, pictures
from edgevision.imaging.decode import decode_frame
from edgevision.testing import fake_classifier

SUFFIXES = ("gif", "webp", "png")
COUNT, STEP_MS = 7, 40


@pytest.fixture(params=SUFFIXES)
def animated(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file in whose pictures a red block moves to the right."""
    if not hasattr(cv2, "imdecodeanimation"):
        pytest.skip("needs an OpenCV that reads animations")
    moving = cv2.Animation()
    moving.frames = [_bgr(index) for index in range(COUNT)]
    moving.durations = np.full(COUNT, STEP_MS, np.int32)
    path = tmp_path / f"moving.{request.param}"
    assert cv2.imwriteanimation(str(path), moving)
    return path


def _bgr(index: int) -> NDArray[np.uint8]:
    picture = np.zeros((24, 40, 3), np.uint8)
    picture[4:20, 5 * index : 5 * index + 8] = 0, 0, 255
    return picture


def _place(image: NDArray[np.uint8]) -> int:
    """The left edge of the red block."""
    return int(np.argmax(image[12, :, 0] > 128))


def test_all_pictures_come_in_their_order_with_their_times(animated: Path) -> None:
    data = animated.read_bytes()
    found = list(pictures(data, "moving"))
    assert picture_count(data) == len(found) == COUNT
    assert [round(shown_s * 1000) for _, shown_s in found] == [STEP_MS * index for index in range(COUNT)]
    assert [_place(image) for image, _ in found] == [5 * index for index in range(COUNT)]
    assert all(image[12, _place(image) + 4, 0] > 200 for image, _ in found)  # red, in RGB
    assert all(image[12, _place(image) + 4, 2] < 60 for image, _ in found)
    np.testing.assert_array_equal(found[0][0], decode_frame(data, "moving").pixels)


def test_few_at_a_time_are_the_same_ones(animated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = animated.read_bytes()
    whole = [image for image, _ in pictures(data, "moving")]
    monkeypatch.setattr(animation, "_MOST_BYTES_AT_ONCE", 2 * 24 * 40 * 4)
    parts = [image for image, _ in pictures(data, "moving")]
    np.testing.assert_array_equal(whole, parts)


def test_one_that_is_cut_off_is_damaged(animated: Path) -> None:
    data = animated.read_bytes()
    for share in (0.5, 0.7):
        cut = data[: int(len(data) * share)]
        with pytest.raises(InputError, match="moving: damaged"):
            list(pictures(cut, "moving"))


def test_every_prefix_has_a_count(animated: Path) -> None:
    data = animated.read_bytes()
    assert all(1 <= picture_count(data[:size]) <= COUNT for size in range(0, len(data), 7))


def test_a_still_picture_has_one(tmp_path: Path) -> None:
    for suffix in (*SUFFIXES, "jpg", "bmp"):
        if suffix == "gif" and not cv2.haveImageWriter(".gif"):
            continue
        path = tmp_path / f"still.{suffix}"
        cv2.imwrite(str(path), _bgr(1))
        assert picture_count(path.read_bytes()) == 1


def test_an_opencv_without_animations_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "imdecodeanimation", raising=False)
    with pytest.raises(InputError, match=r"moving: OpenCV .* reads no animations; run: pip install"):
        list(pictures(b"GIF89a", "moving"))


def _model() -> Any:
    """A classifier that says how far to the right the red block is."""
    return fake_classifier(
        ["left", "right"], lambda image: [1 - _place(image) / 40, _place(image) / 40], size_wh=(40, 24)
    )


def test_a_stream_gives_all_pictures_of_a_file_and_of_a_folder(animated: Path) -> None:
    alone = [(frame, result) for frame, result in _model().stream(animated)]
    assert [round(1000 * (frame.presentation_s or 0)) for frame, _ in alone] == [
        STEP_MS * index for index in range(COUNT)
    ]
    rights = [result.value.scores[1] for _, result in alone]
    assert rights == sorted(set(rights))
    cv2.imwrite(str(animated.parent / "a_still.png"), _bgr(3))
    names = [Path(frame.source).name for frame, _ in _model().stream(animated.parent)]
    assert names == ["a_still.png", *(f"{animated.name}#{index}" for index in range(COUNT))]


def test_a_stream_of_one_that_is_cut_off_says_so(animated: Path) -> None:
    animated.write_bytes(animated.read_bytes()[:-60])
    with pytest.raises(StreamBrokenError, match="damaged"):
        list(_model().stream(animated))
