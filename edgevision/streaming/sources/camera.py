"""Cameras of this machine, by OpenCV: V4L2 on Linux."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import Any

import cv2

from edgevision.errors import StreamError, StreamLostError
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.system.arguments import path_text
from edgevision.system.numeric import is_whole

_V4L2_FOLDER = "/dev/video"
_MOST_INDEX = 255


class Camera:
    """Cameras by index, or by the path of their V4L2 device."""

    name = "camera"
    accepts = "a camera index, such as 0, or /dev/video0"

    def recognises(self, source: Any) -> bool:
        """As `FrameSource.recognises`."""
        return _index_of(source) is not None or _device_of(source) is not None

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """As `FrameSource.open`. V4L2 has no time limits of its own that a caller could set."""
        index, device = _index_of(source), _device_of(source)
        name = f"camera {index}" if device is None else device
        if index is not None and not 0 <= index <= _MOST_INDEX:
            raise StreamError(f"{name}: expected an index of 0 to {_MOST_INDEX}")
        interface = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        place: Any = index if device is None else device
        capture = cv2.VideoCapture(place, interface)
        if not capture.isOpened():
            raise StreamLostError(
                f"{name}: no camera that can be opened; list cameras with: v4l2-ctl --list-devices; another "
                "program may be using it, and reading needs the group 'video'"
            )
        return _CameraReader(capture, name)


class _CameraReader:
    live = True

    def __init__(self, capture: Any, name: str) -> None:
        self.name = name
        self._capture = capture

    def read(self) -> CapturedImage:
        """As `FrameReader.read`: a camera has no end, so no frame means that it is gone or stalled."""
        read, image = self._capture.read()
        if not read or image is None:
            raise StreamLostError(f"{self.name}: gives no more frames; is it still plugged in?")
        return CapturedImage(image, "bgr" if image.ndim == 3 else "gray")

    def close(self) -> None:
        """As `FrameReader.close`."""
        self._capture.release()


def _index_of(source: Any) -> int | None:
    if is_whole(source):
        return int(source)
    return int(source) if isinstance(source, str) and source.isascii() and source.isdigit() else None


def _device_of(source: Any) -> str | None:
    text = path_text(source)
    is_device = text is not None and str(PurePath(text)).startswith(_V4L2_FOLDER)
    return text if is_device or (text or "").startswith("/dev/v4l/") else None
