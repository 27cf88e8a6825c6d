"""Videos, folders and sequences as streams: real files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from edgevision.errors import OptionError, StreamBrokenError, StreamError
from edgevision.imaging.write import write_image
from edgevision.testing import fake_classifier
from streaming.video_files import brightness, write_video

MODEL = fake_classifier(["dark", "bright"], lambda image: [1 - image.mean() / 255, image.mean() / 255])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "with: colon?.mp4", "ünï.mp4"])
def test_every_frame_of_a_video_in_order_with_its_time(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, frames=25, fps=10)
    stream = MODEL.stream(path)
    seen = [(frame, result) for frame, result in stream]
    assert stream.policy == "wait"
    assert [frame.index for frame, _ in seen] == list(range(25))
    assert [frame.presentation_s for frame, _ in seen] == pytest.approx([index / 10 for index in range(25)])
    for frame, result in seen:
        assert frame.pixels.shape == (48, 64, 3)
        assert result.value.scores[1] * 255 == pytest.approx(brightness(frame.index), abs=4)


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_is_found_by_its_address(tmp_path: Path, host: str) -> None:
    from urllib.parse import quote

    path = write_video(tmp_path / "größe 100%d.avi", frames=3)
    stream = MODEL.stream(f"file://{host}{quote(str(path))}")
    assert [frame.source for frame, _ in stream] == [str(path)] * 3
    with pytest.raises(OptionError, match="cannot be streamed: file://elsewhere"):
        MODEL.stream(f"file://elsewhere{quote(str(path))}")


def test_colours_are_those_of_the_file(tmp_path: Path) -> None:
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (32, 32))
    for _ in range(3):
        writer.write(np.full((32, 32, 3), (10, 20, 240), np.uint8))  # BGR
    writer.release()
    for frame, _ in MODEL.stream(tmp_path / "red.avi"):
        red, green, blue = frame.pixels.mean(axis=(0, 1))
        assert red > 200
        assert green < 60
        assert blue < 60


def test_a_video_that_is_cut_off_is_broken_after_its_last_whole_frame(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", frames=40).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 3 // 4])
    stream, seen = MODEL.stream(tmp_path / "cut.avi"), []

    def watch() -> None:
        for frame, result in stream:
            assert result.value.scores[1] * 255 == pytest.approx(brightness(frame.index), abs=4)
            seen.append(frame.index)

    with pytest.raises(StreamBrokenError, match=r"cut.avi: damaged or cut off: \d+ frames could be read"):
        watch()
    assert 20 < len(seen) < 35


def test_a_video_without_its_index_cannot_be_opened(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StreamError, match="no video that (can be opened|OpenCV can open)"):
        list(MODEL.stream(tmp_path / "cut.mp4"))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(StreamError, match="is a pipe"):
        list(MODEL.stream(tmp_path / "pipe.mp4"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(12):
        write_image(folder / f"frame-{index}.png", np.full((6, 8, 3), 20 * index, np.uint8))
    return folder


def levels(stream: object) -> list[int]:
    return [int(frame.pixels[0, 0, 0]) // 20 for frame, _ in stream]  # type: ignore[attr-defined]


def test_a_folder_a_pattern_and_a_sequence(images: Path) -> None:
    by_name = [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    assert levels(MODEL.stream(images)) == by_name
    assert levels(MODEL.stream(str(images / "*.png"))) == by_name
    assert levels(MODEL.stream(images / "frame-%d.png")) == list(range(12))
    assert levels(MODEL.stream(images / "frame-3.png")) == [3]
    names = [frame.source for frame, _ in MODEL.stream(images / "frame-%d.png")]
    assert names[11] == str(images / "frame-11.png")


def test_a_video_in_a_folder_is_told(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="edgevision")
    write_video(images / "clip.mp4", frames=3)
    assert len(levels(MODEL.stream(images))) == 12
    assert "clip.mp4" in caplog.text
    assert "edgevision predict MODEL IN" in caplog.text


@pytest.mark.parametrize("name", ["absent/%d.png", "absent-%d.png", "nothing*.png"])
def test_sequences_without_files_are_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(StreamError, match=name.partition("/")[0].replace("*", r"\*")):
        list(MODEL.stream(tmp_path / name))


def test_gaps_in_a_sequence_are_told_and_images_of_other_sizes_and_kinds_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import cv2

    shapes = {1: (6, 8, 3), 2: (60, 8), 9: (1, 1, 3), 10: (7, 9, 4), 12: (5, 5, 3)}
    for number, shape in shapes.items():
        cv2.imwrite(str(tmp_path / f"img_{number:04d}.png"), np.full(shape, 200, np.uint8))
    frames = [frame for frame, result in MODEL.stream(tmp_path / "img_%04d.png") if result.ok]
    assert [frame.image.size_wh for frame in frames] == [shape[1::-1] for shape in shapes.values()]
    assert "7 of the numbers 1 to 12 are missing" in caplog.text
