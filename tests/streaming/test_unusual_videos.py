"""Video files that are not what most are: turned, trimmed, interlaced, joined, damaged; made by PyAV."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import StreamBrokenError, StreamError
from edgevision.testing import fake_classifier
from streaming.video_files import write_video

av = pytest.importorskip("av", reason="needs the extra `video`")

MODEL = fake_classifier(["a", "b"], [0.25, 0.75], size_wh=(8, 8))
Pixels = Any


def scene(index: int, size_wh: tuple[int, int] = (96, 64)) -> Pixels:
    """Red at the top left, blue at the bottom right, and a bar that moves down."""
    image = np.full((size_wh[1], size_wh[0], 3), 120, np.uint8)
    image[4 + 2 * index % 40 :][:6] = 230
    image[:16, :24] = (250, 0, 0)
    image[-16:, -24:] = (0, 0, 250)
    return image


def encoded(
    path: Path,
    images: Sequence[Pixels],
    codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    times_ms: Sequence[int] = (),
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """A video of 10 frames per second, or with these times."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=10, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def frames_of(path: Path) -> list[Any]:
    return [frame for frame, _ in MODEL.stream(path)]


def is_near(pixels: Pixels, expected: Pixels, most: float = 6.0) -> bool:
    return pixels.shape == expected.shape and float(np.abs(pixels.astype(int) - expected).mean()) < most


SCENES = [scene(index) for index in range(20)]


def turned(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write a rotation into the header of an MP4's track, as phones do; FFmpeg's, 90° steps."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44  # after version, times, number, duration, layer and volume
    one = 1 << 16
    struct.pack_into(">9i", data, place, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


#: Display matrices, in the order of the file, with anticlockwise quarter turns of what is stored.
TURNED = {
    "upright": ((1, 0, 0, 1), 0),
    "clockwise": ((0, 1, -1, 0), 3),
    "half": ((-1, 0, 0, -1), 2),
    "anticlockwise": ((0, -1, 1, 0), 1),
}
#: And those that mirror first: left becomes right.
MIRRORED = {
    "mirrored": ((-1, 0, 0, 1), 0),
    "upside down": ((1, 0, 0, -1), 2),
    "transposed": ((0, 1, 1, 0), 1),
    "transposed the other way": ((0, -1, -1, 0), 3),
}


@pytest.mark.parametrize(("matrix", "turns"), TURNED.values(), ids=TURNED)
@pytest.mark.parametrize("library", ["pyav", "opencv"])
def test_a_turned_video_of_a_phone_is_upright(
    tmp_path: Path,
    matrix: tuple[int, int, int, int],
    turns: int,
    library: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = encoded(tmp_path / "phone.mp4", SCENES)
    turned(path, *matrix)
    without_pyav(monkeypatch, library)
    frames = frames_of(path)
    assert len(frames) == len(SCENES)
    assert all(is_near(frame.pixels, np.rot90(SCENES[frame.index], turns)) for frame in frames)


@pytest.mark.parametrize(("matrix", "turns"), MIRRORED.values(), ids=MIRRORED)
def test_a_mirrored_video_is_shown_as_a_player_shows_it_or_not_at_all(
    tmp_path: Path, matrix: tuple[int, int, int, int], turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries read such a matrix as a rotation alone: a front camera's video would be upside down."""
    path = encoded(tmp_path / "front.mp4", SCENES)
    turned(path, *matrix)
    frames = frames_of(path)
    assert len(frames) == len(SCENES)
    assert all(is_near(frame.pixels, np.rot90(SCENES[frame.index][:, ::-1], turns)) for frame in frames)
    without_pyav(monkeypatch, "opencv")
    with pytest.raises(StreamError, match=r"front.mp4: its frames are mirrored.*edgevision\[video\]"):
        list(MODEL.stream(path))


@pytest.mark.parametrize("size", [0, 7, 8, 11, 16, 40, 100, 150, 200])
def test_a_header_that_is_cut_off_anywhere_mirrors_nothing(tmp_path: Path, size: int) -> None:
    from edgevision.streaming.sources.mirrored import is_mirrored

    whole = encoded(tmp_path / "whole.mp4", SCENES, container={"movflags": "faststart"})
    assert not is_mirrored(whole)
    turned(whole, *MIRRORED["mirrored"][0])
    assert is_mirrored(whole)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:size])
    assert not is_mirrored(tmp_path / "cut.mp4")


def without_pyav(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    if library == "opencv":
        monkeypatch.setitem(__import__("sys").modules, "av", None)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("ten_bits.mkv", "ffv1", "yuv420p10le", {}),
        ("grey.mkv", "ffv1", "gray", {}),
        ("grey_16_bits.mkv", "ffv1", "gray16le", {}),
        ("alpha.mkv", "ffv1", "bgra", {}),
        ("full_range.avi", "mjpeg", "yuvj420p", {}),
        ("interlaced.mp4", "libx264", "yuv420p", {"x264-params": "tff=1"}),
        ("interlaced.mpg", "mpeg2video", "yuv420p", {"flags": "+ildct+ilme"}),
        ("b_frames.mp4", "libx264", "yuv420p", {"bf": "3"}),
    ],
    ids=lambda value: value.partition(".")[0] if isinstance(value, str) and "." in value else "",
)
def test_every_form_of_picture_is_read(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    frames = frames_of(encoded(tmp_path / name, SCENES, codec, pix_fmt, options=options))
    grey = pix_fmt.startswith("gray")
    assert len(frames) == len(SCENES)
    for frame in frames:
        expected = SCENES[frame.index]
        if grey:
            expected = np.repeat(expected @ np.array([0.299, 0.587, 0.114]), 3).reshape(expected.shape)
        assert is_near(frame.pixels, expected, 12.0)


def test_odd_sizes_and_wide_ones_keep_their_size(tmp_path: Path) -> None:
    for size in ((97, 65), (5000, 8)):
        images = [scene(index, size) for index in range(3)]
        frames = frames_of(encoded(tmp_path / "odd.mkv", images, "ffv1", "yuv444p"))
        assert [frame.image.size_wh for frame in frames] == [size] * 3


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times_ms = [0, 20, 80, 500, 510, 2000, 2001, 9000]
    path = encoded(tmp_path / "variable.mkv", SCENES[:8], "ffv1", "yuv444p", times_ms)
    assert [frame.presentation_s for frame in frames_of(path)] == pytest.approx(np.array(times_ms) / 1000)


def test_a_trimmed_start_is_no_damage(tmp_path: Path) -> None:
    """An edit list hides the first frames: the file holds more than it shows."""
    path = encoded(
        tmp_path / "trimmed.mp4",
        SCENES,
        times_ms=[100 * index - 600 for index in range(20)],
        options={"g": "20"},
        container={"avoid_negative_ts": "disabled"},
    )
    frames = frames_of(path)
    assert len(frames) < len(SCENES)
    assert is_near(frames[-1].pixels, SCENES[-1])
    assert frames[0].presentation_s == 0


def test_a_recording_that_begins_late_is_whole(tmp_path: Path) -> None:
    path = encoded(tmp_path / "late.mkv", SCENES, times_ms=[100_000 + 100 * index for index in range(20)])
    frames = frames_of(path)
    assert len(frames) == 20
    assert [frame.presentation_s for frame in frames[:2]] == pytest.approx([0, 0.1])


def test_a_change_of_resolution_in_a_file_is_followed(tmp_path: Path) -> None:
    small = encoded(tmp_path / "small.ts", SCENES, "mpeg2video")
    large = encoded(tmp_path / "large.ts", [scene(index, (160, 128)) for index in range(20)], "mpeg2video")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    frames = frames_of(joined)
    sizes = [frame.image.size_wh for frame in frames]
    small_ones = sizes.count((96, 64))
    assert small_ones >= 19  # FFmpeg leaves out the last one before a change
    assert sizes == [(96, 64)] * small_ones + [(160, 128)] * 20
    assert is_near(frames[-1].pixels, scene(19, (160, 128)), 10)
    times = [frame.presentation_s for frame in frames]
    assert times[:3] == pytest.approx([0, 0.1, 0.2])
    assert times[-2] is None  # it would be earlier than those before


@pytest.mark.parametrize("name", ["cut.mkv", "cut.avi"])
def test_what_is_cut_off_is_broken_after_frames_that_are_right(tmp_path: Path, name: str) -> None:
    whole = encoded(tmp_path / f"whole{Path(name).suffix}", SCENES, "mjpeg", "yuvj420p").read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 7 // 10])
    seen = []

    def watch() -> None:
        for frame, _ in MODEL.stream(tmp_path / name):
            assert is_near(frame.pixels, SCENES[frame.index])
            seen.append(frame.index)

    with pytest.raises(StreamBrokenError, match=f"{name}: damaged or cut off: .* and the file states"):
        watch()
    assert 8 < len(seen) < 18


def test_damage_in_the_middle_is_dropped_up_to_the_next_key_frame(tmp_path: Path) -> None:
    path = encoded(tmp_path / "whole.mkv", SCENES, options={"g": "5"})
    right = [frame.pixels for frame in frames_of(path)]
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    damaged = packets[7][:8] + b"\xff" * (len(packets[7]) - 8)
    (tmp_path / "damaged.mkv").write_bytes(path.read_bytes().replace(packets[7], damaged))
    stream = MODEL.stream(tmp_path / "damaged.mkv")
    frames = {round(frame.presentation_s * 10): frame for frame, _ in stream}
    assert sorted(frames) == [*range(7), *range(10, 20)]
    assert stream.counters.dropped == {"damaged": 3}
    assert all(np.array_equal(frame.pixels, right[number]) for number, frame in frames.items())


def test_files_without_a_picture_are_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        file.mux(stream.encode(silence))
        file.mux(stream.encode(None))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n")
    for name in ("sound.mp4", "empty.mp4", "list.mp4"):
        with pytest.raises(StreamError, match=name) as told:
            list(MODEL.stream(tmp_path / name))
        assert "\n" not in str(told.value)


def test_frames_larger_than_an_image_may_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoded(tmp_path / "large.mkv", SCENES, "ffv1", "yuv444p")
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", "1000")
    for library in ("pyav", "opencv"):
        without_pyav(monkeypatch, library)
        with pytest.raises(StreamError, match="frames of 96 x 64 pixels; the limit is 1000"):
            list(MODEL.stream(path))


def test_without_pyav_pictures_that_never_change_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenCV 5.0 gives the same black picture for each frame of an interlaced video, and no error."""
    for count in (2, 30):
        path = encoded(tmp_path / f"still{count}.mkv", [SCENES[0]] * count, "ffv1", "yuv444p")
        with monkeypatch.context() as patched:
            assert len(frames_of(path)) == count
            without_pyav(patched, "opencv")
            told = rf"all {count} frames are the same picture.*edgevision\[video\]"
            with pytest.raises(StreamBrokenError, match=told):
                list(MODEL.stream(path))
    assert "all frames up to now are the same picture" in caplog.text


@pytest.mark.parametrize("library", ["pyav", "opencv"])
def test_both_libraries_give_the_same_pixels_and_times(
    tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    path = write_video(tmp_path / "clip.mp4", frames=12)
    without_pyav(monkeypatch, library)
    capture = cv2.VideoCapture(str(path))
    for frame in frames_of(path):
        np.testing.assert_array_equal(frame.pixels, capture.read()[1][..., ::-1])
        assert frame.presentation_s == pytest.approx(frame.index / 10)
    assert not capture.read()[0]
