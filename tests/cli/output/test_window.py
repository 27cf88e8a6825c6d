"""``--show``: a window, or one line that says what is missing; never a process that ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgevision.cli.output import window
from edgevision.errors import OptionError
from streaming.video_files import write_video

MODEL = Path(__file__).parents[4] / "shared" / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite"
#: With another build of OpenCV, which has windows.
PEERS = os.environ.get("EDGEVISION_PEERS_PYTHON", "")


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        (
            "raise SystemExit(3)",
            "this OpenCV was built without windows; run: pip uninstall opencv-python-headless",
        ),
        ("import os; os.abort()", "no window can be opened: there is no display"),
        ("import time; time.sleep(60)", "no window can be opened: there is no display"),
    ],
    ids=["built without", "aborts", "hangs"],
)
def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, probe: str, told: str) -> None:
    monkeypatch.setattr(window, "_PROBE", probe)
    monkeypatch.setattr(window, "_PROBE_S", 2.0)
    with pytest.raises(OptionError, match=told), window.window():
        pass


def test_this_opencv_says_what_it_can() -> None:
    import cv2

    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV has windows")
    with pytest.raises(OptionError, match="built without windows"), window.window():
        pass


@pytest.fixture
def show(tmp_path: Path) -> Any:
    if not PEERS or not MODEL.exists():
        pytest.skip("EDGEVISION_PEERS_PYTHON names no Python with another OpenCV, or there is no model")
    clip = write_video(tmp_path / "clip.avi", frames=5)
    words = [PEERS, "-m", "edgevision", "stream", MODEL, clip, "--show", "--no-tune", "-q"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DISPLAY")}

    def run(*prefix: str) -> Any:
        command = [*prefix, *map(str, words)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def test_without_a_display_the_command_ends_with_one_line(show: Any) -> None:
    done = show()
    assert (done.returncode, "there is no display" in done.stderr) == (2, True), done.stderr


def test_a_window_shows_the_frames(show: Any) -> None:
    if shutil.which("xvfb-run") is None:
        pytest.skip("needs a display without a screen: apt-get install xvfb")
    done = show("xvfb-run", "-a")
    assert done.returncode == 0, done.stderr
