"""Video files, by PyAV where it is installed, and else by OpenCV."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevision.errors import StreamError
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.imaging.find import VIDEO_SUFFIXES
from edgevision.system.arguments import path_text
from edgevision.system.credentials import is_address
from edgevision.system.reading import open_file


class VideoFile:
    """Files of videos, in the formats that FFmpeg reads: MP4, AVI, MKV, WebM, MOV and others.

    Both libraries bring FFmpeg, and give the same pixels. PyAV (extra ``video``) also tells damage in the
    middle of a file, follows a change of resolution, and reads interlaced videos.
    """

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
            return _opened(path, settings)
        except OSError as error:
            raise StreamError(f"{path}: cannot be read: {error.strerror or error}") from error


def _opened(path: Path, settings: SourceSettings) -> FrameReader:
    try:
        import av
    except ImportError:
        from edgevision.streaming.sources.opencv_file import OpenCVFileReader

        return OpenCVFileReader(path, settings)
    from edgevision.streaming.sources.decoded_file import DecodedFileReader

    return DecodedFileReader(av, path)


def every_nth_frame(path: Path, count: int) -> Iterator[CapturedImage]:
    """Every frame of a video file whose number is a multiple of `count`, named ``FILE#NUMBER``.

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
                yield captured._replace(name=f"{path}#{index}")
    finally:
        reader.close()
