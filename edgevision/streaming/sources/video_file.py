"""Video files, by OpenCV."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from edgevision.errors import StreamBrokenError, StreamError
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.imaging.decode import max_pixels
from edgevision.imaging.find import VIDEO_SUFFIXES
from edgevision.system.arguments import path_text
from edgevision.system.credentials import is_address
from edgevision.system.reading import open_file

#: Some containers state their number of frames as duration times rate: so many may lack at a normal end.
_MISSING_FRAMES, _MISSING_SHARE = 2, 0.02


class VideoFile:
    """Files of videos, in the formats that OpenCV's FFmpeg reads: MP4, AVI, MKV, WebM, MOV and others."""

    name = "video-file"
    accepts = "a video file, such as drive.mp4"

    def recognises(self, source: Any) -> bool:
        """As `FrameSource.recognises`: every file, and names that only a video can have."""
        text = path_text(source)
        if not text or is_address(text):
            return False
        return Path(text).is_file() or Path(text).suffix.lower() in VIDEO_SUFFIXES

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """As `FrameSource.open`."""
        path = Path(source)
        try:
            open_file(path).close()  # FFmpeg would wait for the writer of a pipe, and open a device
        except OSError as error:
            raise StreamError(f"{path}: cannot be read: {error.strerror or error}") from error
        limits = (
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(settings.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(settings.read_timeout_s * 1000)),
        )
        # `file:`, or FFmpeg would take a name with a colon for an address.
        capture = cv2.VideoCapture(f"file:{path.absolute()}", cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            raise StreamError(
                f"{path}: no video that OpenCV can open; if it is cut off or of another format, convert it: "
                f"ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        return VideoFileReader(capture, path)


def every_nth_frame(path: Path, count: int) -> Iterator[CapturedImage]:
    """Every frame of a video file whose number is a multiple of `count`.

    Raises:
        StreamError: the file cannot be opened.
        StreamBrokenError: it is damaged, or cut off.
    """
    reader = VideoFile().open(path, SourceSettings())
    try:
        for index in itertools.count():
            captured = reader.read()
            if captured is None:
                return
            if index % count == 0:
                yield captured
    finally:
        reader.close()


class VideoFileReader:
    """An open video file.

    Attributes:
        fps: frames per second that the file states; 0.0 if it does not.
        frames: number of frames that it states, which may be an estimate; 0 if it does not.
    """

    live = False

    def __init__(self, capture: Any, path: Path) -> None:
        self.name = str(path)
        self.fps = _stated(capture.get(cv2.CAP_PROP_FPS))
        self.frames = round(_stated(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._capture = capture
        self._read = 0
        self._held: CapturedImage | None = None
        width = round(_stated(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
        height = round(_stated(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        if width * height > max_pixels():
            capture.release()
            raise StreamError(f"{path}: frames of {width} x {height} pixels; the limit is {max_pixels()}")

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
        shown_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        shown_s = shown_ms / 1000 if math.isfinite(shown_ms) and shown_ms >= 0 else None
        return CapturedImage(image, "bgr" if image.ndim == 3 else "gray", shown_s)

    def _check_complete(self) -> None:
        missing = self.frames - self._read
        if self._read == 0 or missing > max(_MISSING_FRAMES, _MISSING_SHARE * self.frames):
            raise StreamBrokenError(
                f"{self.name}: damaged or cut off: {self._read} frames could be read, and the file states "
                f"{self.frames or 'no number of them'}"
            )


def _stated(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0
