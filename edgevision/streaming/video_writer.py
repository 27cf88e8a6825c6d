"""Video files of pictures that come one by one, by PyAV."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import MissingRuntimeError, OptionError, OutputError, first_line
from edgevision.system.files import OutputState, written_whole

#: Suffix -> FFmpeg's name of the container.
_CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
#: H.264 where PyAV's FFmpeg has it, and else what every FFmpeg has.
_ENCODERS = ("libx264", "mpeg4")
_ENCODER_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "23"}}
_TICKS_PER_S = 1000


class VideoWriter:
    """Writes a video, which is at its path when the ``with`` block ends, also by an error in it.

    Only if nothing could be encoded, or the disk is full, is there no file.

    Args:
        path: of a type that `check_video_path` accepts.
        before: what must still be at `path` at the end.

    Raises:
        MissingRuntimeError: PyAV is not installed.
        OutputError: on entering: the file cannot be created; on leaving: it cannot be finished.
    """

    def __init__(self, path: Path, before: OutputState) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingRuntimeError(
                "video", f"{path}: videos are written by PyAV, which is missing"
            ) from error
        self._av = av
        self._path = path
        self._before = before
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._last = -1

    def write(self, picture: NDArray[np.uint8], shown_s: float) -> None:
        """Add a picture.

        Args:
            picture: (h, w, 3) uint8 RGB. The first one sets the size; others are fitted into it.
            shown_s: when it is shown, in seconds from the start.

        Raises:
            OutputError: the file cannot be written.
        """
        if self._stream is None:
            self._stream = self._stream_for(picture)
        frame = self._av.VideoFrame.from_ndarray(self._fitted(picture), format="rgb24")
        # No two pictures at one time, also where a clock was set back.
        self._last = max(self._last + 1, round(shown_s * _TICKS_PER_S))
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS_PER_S)
        self._encode(frame)

    def __enter__(self) -> VideoWriter:
        file = self._stack.enter_context(written_whole(self._path, self._before))
        container = _CONTAINERS[self._path.suffix.lower()]
        self._container = self._av.open(file, "w", format=container)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = isinstance(error, OutputError) or self._stream is None
        try:
            if not failed:
                self._encode(None)
            self._container.close()
        except Exception as last:  # the file is not whole
            if not failed:
                refusal = self._refusal(last)
                self._stack.__exit__(type(refusal), refusal, None)
                raise refusal from last
        if failed:
            failure = error or OutputError("no picture")
            self._stack.__exit__(type(failure), failure, None)
        else:
            self._stack.close()

    def _stream_for(self, picture: NDArray[np.uint8]) -> Any:
        encoder = next(name for name in _ENCODERS if name in self._av.codecs_available)
        stream = self._container.add_stream(
            encoder, rate=_TICKS_PER_S, options=_ENCODER_OPTIONS.get(encoder, {})
        )
        stream.width, stream.height = (size + size % 2 for size in picture.shape[1::-1])  # for 4:2:0
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        return stream

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture in the size of the video: unchanged, or as large as fits, on black."""
        width, height = self._stream.width, self._stream.height
        scale = min(width / picture.shape[1], height / picture.shape[0])
        if not (
            picture.shape[1] <= width < picture.shape[1] + 2
            and picture.shape[0] <= height < picture.shape[0] + 2
        ):
            size = max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        if picture.shape[:2] == (height, width):
            return picture
        fitted = np.zeros((height, width, 3), np.uint8)
        fitted[: picture.shape[0], : picture.shape[1]] = picture
        return fitted

    def _encode(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except Exception as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or first_line(error)
        return OutputError(f"{self._path}: the video cannot be written: {reason}; nothing was left behind")


def check_video_path(path: Path, option: str) -> None:
    """Refuse a path whose suffix is not of a video that can be written.

    Raises:
        OptionError: lists the suffixes.
    """
    if path.suffix.lower() not in _CONTAINERS:
        raise OptionError(f"{option} {path}: expected a file of type {', '.join(_CONTAINERS)}")
