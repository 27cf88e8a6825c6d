"""Cameras of a Raspberry Pi, by picamera2."""

from __future__ import annotations

import re
from typing import Any

from edgevision.errors import PluginError, StreamError, StreamLostError, first_line
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings

_SOURCE = re.compile(r"picamera2(?::(\d{1,2}))?")
#: picamera2 names formats by their order in a word: the first value in memory is blue.
_FORMAT, _COLOR = "RGB888", "bgr"


class RaspberryPiCamera:
    """``picamera2``, or ``picamera2:1`` for the second camera, in picamera2's own size for video."""

    name = "picamera2"
    accepts = "picamera2, or picamera2:1 for the second camera of a Raspberry Pi"

    def recognises(self, source: Any) -> bool:
        """As `FrameSource.recognises`."""
        return isinstance(source, str) and _SOURCE.fullmatch(source) is not None

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """As `FrameSource.open`."""
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise PluginError(
                f"{source}: picamera2 is not installed; run: sudo apt install python3-picamera2, and make "
                "the virtual environment with: python3 -m venv --system-site-packages .venv"
            ) from error
        match = _SOURCE.fullmatch(source)
        number = int(match[1] or 0) if match else 0
        known = Picamera2.global_camera_info()
        if number >= len(known):
            raise StreamLostError(
                f"{source}: {len(known)} cameras are connected; list them with: rpicam-hello --list-cameras"
            )
        try:
            camera = Picamera2(number)
        except Exception as error:
            raise StreamError(f"{source}: cannot be opened: {first_line(error)}; is it in use?") from error
        try:
            # Without a queue, a frame is never one that was taken before it was asked for.
            camera.configure(camera.create_video_configuration(main={"format": _FORMAT}, queue=False))
            camera.start()
        except Exception as error:
            camera.close()
            raise StreamError(f"{source}: cannot be started: {first_line(error)}") from error
        return _Reader(camera, source)


class _Reader:
    live = True

    def __init__(self, camera: Any, name: str) -> None:
        self.name = name
        self._camera = camera

    def read(self) -> CapturedImage:
        """As `FrameReader.read`."""
        try:
            return CapturedImage(self._camera.capture_array("main"), _COLOR)
        except Exception as error:
            raise StreamLostError(f"{self.name}: {type(error).__name__}: {first_line(error)}") from error

    def close(self) -> None:
        """As `FrameReader.close`."""
        self._camera.stop()
        self._camera.close()
