"""picamera2 by a faithful fake, for it runs on a Raspberry Pi alone; GStreamer by itself; V4L2 by a fake."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision import StreamSettings
from edgevision.errors import PluginError, StreamLostError
from edgevision.testing import fake_classifier

MODEL = fake_classifier(["dark", "bright"], lambda image: [1 - image.mean() / 255, image.mean() / 255])
ONCE = StreamSettings(reconnect_s=0)
DIST_PACKAGES = Path("/usr/lib/python3/dist-packages")


class FakePicamera2:
    """As picamera2 0.3: "RGB888" gives arrays in the order blue, green, red; closing it twice is an error."""

    log: list[str]
    frames: int

    def __init__(self, camera_num: int = 0) -> None:
        self.log.append(f"open {camera_num}")

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [{"Model": "imx708", "Num": 0}]

    def create_video_configuration(self, main: dict[str, Any], queue: bool = True) -> dict[str, Any]:
        return {"main": main, "queue": queue}

    def configure(self, configuration: dict[str, Any]) -> None:
        assert configuration == {"main": {"format": "RGB888"}, "queue": False}

    def start(self) -> None:
        self.log.append("start")

    def capture_array(self, name: str) -> np.ndarray[Any, Any]:
        assert name == "main"
        type(self).frames -= 1
        if self.frames < 0:
            raise RuntimeError("camera frontend has timed out")
        return np.full((72, 128, 3), (10, 20, 240), np.uint8)

    def stop(self) -> None:
        self.log.append("stop")

    def close(self) -> None:
        self.log.append("close")


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    module = types.ModuleType("picamera2")
    FakePicamera2.log, FakePicamera2.frames = [], 3
    module.Picamera2 = FakePicamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return FakePicamera2


def watch(source: Any, seen: list[Any], settings: StreamSettings = ONCE) -> None:
    seen.extend(frame for frame, _ in MODEL.stream(source, "wait", settings=settings))


def test_a_raspberry_pi_camera_gives_colours_in_their_order(picamera2: type[FakePicamera2]) -> None:
    seen: list[Any] = []
    with pytest.raises(StreamLostError, match="picamera2: RuntimeError: camera frontend has timed out"):
        watch("picamera2", seen)
    assert [tuple(frame.pixels[0, 0]) for frame in seen] == [(240, 20, 10)] * 3
    assert picamera2.log == ["open 0", "start", "stop", "close"]


@pytest.mark.usefixtures("picamera2")
def test_a_camera_that_is_not_connected_is_told() -> None:
    with pytest.raises(StreamLostError, match="picamera2:1: 1 cameras are connected"):
        watch("picamera2:1", [])


@pytest.mark.parametrize(
    ("source", "module", "told"),
    [
        ("picamera2", "picamera2", "sudo apt install python3-picamera2"),
        ("gst:rtspsrc location=rtsp://me:hidden@camera", "gi", "sudo apt install python3-gi"),
    ],
)
def test_what_to_install_is_told(
    monkeypatch: pytest.MonkeyPatch, source: str, module: str, told: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PluginError, match=told) as missing:
        watch(source, [])
    assert "hidden" not in str(missing.value)


class FakeCapture:
    """As OpenCV's for a V4L2 device: no frame after it was unplugged."""

    opened: list[tuple[Any, int]]
    released: int
    frames: int

    def __init__(self, place: Any, interface: int) -> None:
        self.opened.append((place, interface))

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened[-1][0] in (0, "/dev/video0")

    def read(self) -> tuple[bool, Any]:
        type(self).frames -= 1
        return (True, np.full((48, 64, 3), (10, 20, 240), np.uint8)) if self.frames >= 0 else (False, None)

    def release(self) -> None:
        type(self).released += 1


@pytest.mark.parametrize("source", [0, "0", np.int64(0), "/dev/video0", Path("/dev/video0")])
def test_a_camera_of_this_machine(monkeypatch: pytest.MonkeyPatch, source: Any) -> None:
    import cv2

    FakeCapture.opened, FakeCapture.released, FakeCapture.frames = [], 0, 3
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    seen: list[Any] = []
    with pytest.raises(StreamLostError, match="gives no more frames"):
        watch(source, seen)
    assert [tuple(frame.pixels[0, 0]) for frame in seen] == [(240, 20, 10)] * 3
    place = "/dev/video0" if "video" in str(source) else 0
    assert FakeCapture.opened == [(place, cv2.CAP_V4L2)]
    assert FakeCapture.released == 1


def test_a_camera_that_is_not_there_is_told() -> None:
    with pytest.raises(StreamLostError, match=r"camera 99: no camera .*v4l2-ctl --list-devices"):
        watch(99, [])


def test_pipelines_of_gstreamer(tmp_path: Path) -> None:
    """In a process that sees Debian's bindings, and nothing else of Debian's Python."""
    if not (DIST_PACKAGES / "gi").is_dir():
        pytest.skip(
            "needs GStreamer: apt-get install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base"
        )
    (tmp_path / "gi").symlink_to(DIST_PACKAGES / "gi")
    script = """
import numpy as np
try:
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
except (ImportError, ValueError) as error:
    raise SystemExit(f"skip: {error}")
from edgevision.errors import StreamError, StreamLostError
from edgevision.testing import fake_classifier

model = fake_classifier(["a", "b"], [0.5, 0.5])
red = "videotestsrc pattern=red num-buffers=7 {} ! video/x-raw,width=33,height=21,framerate=10/1"
stream = model.stream("gst:" + red.format(""))
frames = [frame for frame, result in stream if result.ok]
assert stream.policy == "wait" and len(frames) == 7, (stream.policy, len(frames))
assert frames[0].image.size_wh == (33, 21)
assert tuple(frames[3].pixels[20, 32]) == (255, 0, 0), frames[3].pixels[20, 32]
assert [round(frame.presentation_s, 3) for frame in frames] == [index / 10 for index in range(7)]
stream = model.stream("gst:" + red.format("is-live=true"))
assert sum(1 for _ in stream) >= 1
assert stream.policy == "latest"
for broken in ("gst:nonsense ! x", "gst:filesrc location=/absent ! decodebin"):
    try:
        list(model.stream(broken))
    except StreamError as error:
        print(error)
    else:
        raise AssertionError(broken)
"""
    environment = {"PYTHONPATH": f"{tmp_path}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.stderr.startswith("skip: "):
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
