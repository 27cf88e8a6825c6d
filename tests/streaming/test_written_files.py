"""Videos and lines that are written while a stream runs: whole, also where the disk is full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import MissingRuntimeError, OutputError
from edgevision.streaming.video_writer import VideoWriter
from edgevision.system.files import ABSENT, LineFile, OutputState
from streaming.video_files import brightnesses


def picture(value: int, size_wh: tuple[int, int] = (63, 47)) -> Any:
    return np.full((size_wh[1], size_wh[0], 3), value, np.uint8)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def video(tmp_path: Path) -> Path:
    pytest.importorskip("av", reason="needs the extra `video`")
    return tmp_path / "out.mp4"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_video_has_each_picture(video: Path, suffix: str) -> None:
    path, values = video.with_suffix(suffix), [20, 90, 160, 230]
    with VideoWriter(path, ABSENT) as writer:
        for index, value in enumerate(values):
            writer.write(picture(value), index / 25)
    assert brightnesses(path) == pytest.approx(values, abs=8)
    assert names(path.parent) == [path.name]


def test_pictures_of_other_sizes_are_fitted_and_times_never_go_back(video: Path) -> None:
    with VideoWriter(video, ABSENT) as writer:
        for shown_s, size in ((0.0, (64, 48)), (1.0, (1920, 1080)), (0.5, (16, 12)), (0.5, (64, 48))):
            writer.write(picture(200, size), shown_s)
    assert len(brightnesses(video)) == 4


def test_an_error_in_the_loop_leaves_what_was_shown(video: Path) -> None:
    def fail() -> None:
        with VideoWriter(video, ABSENT) as writer:
            writer.write(picture(90), 0)
            writer.write(picture(90), 0.1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(brightnesses(video)) == 2


def test_without_a_picture_there_is_no_file(video: Path) -> None:
    with VideoWriter(video, ABSENT):
        pass
    assert names(video.parent) == []


def test_what_came_to_the_place_meanwhile_stays(video: Path) -> None:
    def write() -> None:
        with VideoWriter(video, ABSENT) as writer:
            writer.write(picture(90), 0)
            video.write_text("another's")

    with pytest.raises(OutputError, match="another program"):
        write()
    assert video.read_text() == "another's"


def test_a_full_disk_under_a_video_is_told_and_leaves_nothing(video: Path) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    random = np.random.default_rng(0)

    def write() -> None:
        with VideoWriter(video, ABSENT) as writer:
            for index in range(200):
                writer.write(random.integers(0, 256, (240, 320, 3), np.uint8), index / 25)

    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"out.mp4: (the video )?cannot be written: "):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert names(video.parent) == []


def test_a_full_disk_under_lines_keeps_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room, write = [1000], os.write

    def limited(descriptor: int, data: Any) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, bytes(data)[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("edgevision.system.files.os.write", limited)
    lines = LineFile(tmp_path / "out.jsonl", ABSENT)

    def fill() -> None:
        for index in range(1000):
            lines.write(json.dumps({"index": index}))

    with pytest.raises(OutputError, match="out.jsonl: cannot be written: No space left on device"):
        fill()
    lines.close()
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["index"] for row in rows] == list(range(len(rows)))
    assert len(rows) > 50


def test_lines_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with LineFile(path, ABSENT) as lines:
        lines.write("one")
        assert path.read_text() == "one\n"
    with LineFile(path, OutputState.of(path)) as lines:
        lines.write("two")
    assert path.read_text() == "two\n"
    with pytest.raises(OutputError, match="cannot be written"):
        LineFile(path, ABSENT)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingRuntimeError, match=r'pip install "edgevision\[video\]"'):
        VideoWriter(tmp_path / "out.mp4", ABSENT)
