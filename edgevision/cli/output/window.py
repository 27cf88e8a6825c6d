"""A window that shows pictures, by OpenCV; most of its builds for devices have none."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgevision.errors import OptionError
from edgevision.imaging.pixels import Pixels

_NAME = "edgevision"
#: Opens a window in a process of its own: without a display, Qt ends the process that tries it.
_PROBE = """
import cv2
try:
    cv2.namedWindow("edgevision")
except cv2.error:
    raise SystemExit(3)
"""
_NOT_BUILT = 3
_PROBE_S = 30.0
_INSTEAD = "or write a video with --save FILE.mp4, or serve a page with --preview"


@contextmanager
def window() -> Iterator[Callable[[Pixels], None]]:
    """A function that shows a picture, (h, w, 3) uint8 RGB, until the block ends.

    q, or closing the window, is Ctrl-C.

    Raises:
        OptionError: no window can be opened on this machine; says what to install.
    """
    _check()
    import cv2

    cv2.namedWindow(_NAME)

    def show(picture: Pixels) -> None:
        cv2.imshow(_NAME, picture[..., ::-1])
        if cv2.waitKey(1) == ord("q") or cv2.getWindowProperty(_NAME, cv2.WND_PROP_VISIBLE) == 0:
            signal.raise_signal(signal.SIGINT)

    try:
        yield show
    finally:
        cv2.destroyAllWindows()


def _check() -> None:
    try:
        code = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_S, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        code = None
    if code == _NOT_BUILT:
        raise OptionError(
            "--show: this OpenCV was built without windows; run: pip uninstall opencv-python-headless && "
            f"pip install opencv-python, {_INSTEAD}"
        )
    if code != 0:
        raise OptionError(f"--show: no window can be opened: there is no display; run: ssh -X, {_INSTEAD}")
