"""Video files by OpenCV, where PyAV is not installed."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import StreamBrokenError, StreamError, install_command
from edgevision.frame_source import CapturedImage, SourceSettings
from edgevision.streaming.sources.mirrored import is_mirrored
from edgevision.streaming.sources.recording import check_size, is_far_short
from edgevision.system.log import warning

#: Frames without any change before it is told that the file may be one that OpenCV cannot convert.
_MOST_ALIKE = 25
_EXACT = f"PyAV tells damage from a trimmed start: {install_command('video')}"


class OpenCVFileReader:
    """An open video file.

    OpenCV 5.0 gives an unchanging picture for each frame of an interlaced video, without an error: a video
    whose frames are all alike is told, and is an error at its end. It also turns
    a mirrored video by half a turn.

    Args:
        path: the file.
        settings: time limits.

    Raises:
        StreamError: it is not a video, its frames are too large, or they are mirrored.
    """

    live = False

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        if is_mirrored(path):
            raise StreamError(
                f"{path}: its frames are mirrored, which OpenCV shows upside down; PyAV does not: "
                f"{install_command('video')}"
            )
        limits = (
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(settings.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(settings.read_timeout_s * 1000)),
        )
        self.name = str(path)
        # `file:`, or FFmpeg would take a name with a colon for an address.
        self._capture = cv2.VideoCapture(f"file:{path.absolute()}", cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise StreamError(
                f"{path}: no video that OpenCV can open; if it is cut off or of another format, convert it: "
                "ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        self._frames = round(_stated(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._read = 0
        self._shown_s = -1.0
        self._first: NDArray[np.uint8] | None = None  # for as long as all frames are like it
        self._held: CapturedImage | None = None
        width = round(_stated(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
        height = round(_stated(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        try:
            check_size(path, width, height)
        except StreamError:
            self._capture.release()
            raise

    def read(self) -> CapturedImage | None:
        """As `FrameReader.read`.

        OpenCV does not tell an end from damage: the stated number of frames does. It fills what is missing
        of a frame that is cut off: so each is held back until the next one, or the end, shows it to be whole.
        """
        held, self._held = self._held, self._next()
        if held is None and self._held is not None:  # the first
            held, self._held = self._held, self._next()
        if self._held is None:
            self._check_complete()
        return held

    def close(self) -> None:
        """As `FrameReader.close`."""
        self._capture.release()

    def _next(self) -> CapturedImage | None:
        read, image = self._capture.read()
        if not read or image is None:
            return None
        self._read += 1
        self._look_for_change(np.asarray(image, np.uint8))
        return CapturedImage(image, "bgr" if image.ndim == 3 else "gray", self._time())

    def _time(self) -> float | None:
        """Seconds since the first frame; `None` where the file states none, or none later than the last."""
        shown_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(shown_s) or shown_s <= self._shown_s:
            return None
        self._shown_s = float(shown_s)
        return self._shown_s

    def _look_for_change(self, image: NDArray[np.uint8]) -> None:
        if self._read == 1:
            self._first = image
        elif self._first is not None and not np.array_equal(self._first, image):
            self._first = None
        elif self._first is not None and self._read == _MOST_ALIKE:
            warning("%s: all frames up to now are the same picture; %s", self.name, _ALIKE)

    def _check_complete(self) -> None:
        if self._read == 0 or is_far_short(self._read, self._frames):
            stated = self._frames or "no number of them"
            raise StreamBrokenError(
                f"{self.name}: damaged or cut off: {self._read} frames could be read, and the file states "
                f"{stated}; {_EXACT}"
            )
        if self._first is not None and self._read > 1:
            raise StreamBrokenError(f"{self.name}: all {self._read} frames are the same picture; {_ALIKE}")


_ALIKE = f"OpenCV gives such for interlaced videos, and PyAV their own: {install_command('video')}"


def _stated(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0
