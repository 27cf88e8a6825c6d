"""Network streams by PyAV."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import urlsplit

from edgevision.errors import (
    MissingRuntimeError,
    StreamBrokenError,
    StreamError,
    StreamLostError,
    first_line,
)
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.system.av_pictures import Pictures
from edgevision.system.credentials import has_unescaped_password, is_address, without_credentials

#: Those that only make sense with a host; others may listen.
_TO_HOSTS = ("rtsp", "rtsps", "http", "https", "rtmp")
_SCHEMES = (*_TO_HOSTS, "udp", "tcp", "rtp", "srt")
#: Damaged packets in a row after which a stream is broken: a decoder starts anew with the next key frame.
_MOST_DAMAGED = 300
#: RTSP over UDP loses packets in silence, and a picture with holes is answered like a whole one.
_RTSP_OPTIONS = {"rtsp_transport": "tcp"}
#: Of the time for opening, after which what fails has failed because nobody answered.
_LATE_SHARE = 0.9
#: FFmpeg does not keep the frames with which it finds out what a stream is: they would be given late.
_LIVE_OPTIONS = {"fflags": "nobuffer", "flags": "low_delay"}


class NetworkStream:
    """Streams by their address."""

    name = "network-stream"
    accepts = "an address, such as rtsp://camera/live or http://camera/video.mjpg (extra `video`)"

    def recognises(self, source: Any) -> bool:
        """As `FrameSource.recognises`."""
        return isinstance(source, str) and is_address(source) and source.split(":")[0].lower() in _SCHEMES

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """As `FrameSource.open`. RTSP goes over TCP."""
        try:
            import av
        except ImportError as error:
            raise MissingRuntimeError(
                "video", f"PyAV is not installed, which reads {_shown(source)}"
            ) from error
        _check_address(source)
        scheme, separator, rest = source.partition(":")
        source = scheme.lower() + separator + rest  # FFmpeg knows it so alone
        av.logging.set_level(av.logging.PANIC)  # FFmpeg's own lines contain the address with its password
        timeout = settings.open_timeout_s, settings.read_timeout_s
        options = _RTSP_OPTIONS if source.startswith("rtsp") else {}
        began_s = time.monotonic()
        try:
            container = av.open(source, timeout=timeout, options=_LIVE_OPTIONS | options)
            if _is_recording(container):  # of which every frame counts, the first ones too
                container.close()
                container = av.open(source, timeout=timeout, options=options)
        except Exception as error:
            # Of RTSP, FFmpeg says that the answer which it did not get in time is invalid.
            late = time.monotonic() - began_s > _LATE_SHARE * settings.open_timeout_s
            raise _told(source, error, "cannot be opened", late) from None  # its text has the password
        if not container.streams.video:
            container.close()
            raise StreamError(f"{_shown(source)}: has no video")
        return _NetworkReader(container, source)


class _NetworkReader:
    def __init__(self, container: Any, source: str) -> None:
        self.name = _shown(source)
        self.live = not _is_recording(container)
        self._source = source
        self._container = container
        self._stream = container.streams.video[0]
        # Frames in several threads at once would be held back until the last of them is done.
        self._stream.thread_type = "SLICE"
        self._pictures = Pictures()
        self._images = self._decoded()

    def read(self) -> CapturedImage | None:
        """As `FrameReader.read`."""
        try:
            return next(self._images, None)
        except StreamError:
            raise
        except Exception as error:
            raise _told(self._source, error, "stopped") from None

    def close(self) -> None:
        """As `FrameReader.close`."""
        self._images.close()
        self._container.close()

    def _decoded(self) -> Generator[CapturedImage, None, None]:
        """Frames, and damaged ones in the places of packets that cannot be decoded."""
        import av

        packets, damaged = self._container.demux(self._stream), 0
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                frames = packet.decode()
            except av.error.InvalidDataError as error:
                damaged += 1
                if damaged >= _MOST_DAMAGED:
                    raise StreamBrokenError(f"{self.name}: {damaged} damaged packets in a row") from None
                yield CapturedImage(None, damage=first_line(error))
                continue
            for frame in frames:
                damaged = 0
                yield self._captured(frame)
        if self.live:
            raise StreamLostError(f"{self.name}: the server closed the connection")

    def _captured(self, frame: Any) -> CapturedImage:
        if frame.is_corrupt:
            return CapturedImage(None, damage="parts of the picture are missing")
        shown_s = frame.time if frame.time is not None and math.isfinite(frame.time) else None
        return CapturedImage(self._pictures.of(frame), "rgb", None if self.live else shown_s)


def _check_address(source: str) -> None:
    """Refuse what no waiting mends.

    Raises:
        StreamError: the address has no host, no such port, or a password that ends it too early.
    """
    if has_unescaped_password(source):
        raise StreamError(
            f"{_shown(source)}: the user name or password has a character that ends it in an address; write "
            "%2F for /, %3F for ?, %23 for #, and %40 for @"
        )
    try:
        parts = urlsplit(source)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise StreamError(f"{_shown(source)}: not a valid address: {_shown(first_line(error))}") from None
    if host is None and parts.scheme in _TO_HOSTS:
        raise StreamError(
            f"{_shown(source)}: names no host; expected one such as {parts.scheme}://camera/live"
        )


def _is_recording(container: Any) -> bool:
    """True for a recording on a server, which states how long it is, and for one image; a camera cannot."""
    return container.duration is not None or container.format.name.endswith("_pipe")


def _shown(source: str) -> str:
    return without_credentials(source)


def _told(source: str, error: Exception, what: str, late: bool = False) -> StreamError:
    """The error of a stream, by FFmpeg's kind of error, without credentials."""
    import av

    kinds = av.error
    reason = _reason(error).replace(source, _shown(source))
    if isinstance(error, kinds.HTTPUnauthorizedError | kinds.HTTPForbiddenError):
        return StreamError(f"{_shown(source)}: {what}: user name or password is not accepted")
    if isinstance(error, kinds.ExitError | kinds.TimeoutError) or late:
        return StreamLostError(f"{_shown(source)}: {what}: no answer in time")
    if isinstance(error, kinds.InvalidDataError):
        return StreamBrokenError(f"{_shown(source)}: {what}: not a video stream, or damaged")
    if isinstance(error, kinds.HTTPTooManyRequestsError):
        return StreamLostError(f"{_shown(source)}: {what}: {reason}")
    if isinstance(error, kinds.HTTPClientError | kinds.ProtocolNotFoundError):
        return StreamError(f"{_shown(source)}: {what}: {reason}")
    return StreamLostError(f"{_shown(source)}: {what}: {reason}")


def _reason(error: Exception) -> str:
    """FFmpeg's own words, with the last line of its log, without credentials."""
    reason = getattr(error, "strerror", None) or first_line(error)
    logged = getattr(error, "log", None)
    return without_credentials(f"{reason}: {logged[2].strip()}" if logged else reason)
