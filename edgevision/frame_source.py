"""The interface of a source of frames: cameras, files, network streams.

A plugin provides kinds of sources. Threads, time limits, reconnecting, ages and counters are implemented
once, in the core (`edgevision.streaming`): a source only opens, reads and closes, on one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class SourceSettings:
    """How a source is opened.

    Attributes:
        open_timeout_s: seconds for opening, where the library that opens it has such a limit.
        read_timeout_s: seconds for one frame, likewise. The core watches both limits in any case.
        color: channel order of arrays whose source does not know it: ``rgb``, ``bgr``, or a YUV format.
    """

    open_timeout_s: float = 5.0
    read_timeout_s: float = 2.0
    color: str = "rgb"


class CapturedImage(NamedTuple):
    """One frame as a source delivers it.

    Attributes:
        image: what a model accepts as an image, such as an array uint8 ``(height, width, 3)``. Its memory is
            not written to again; `None` where the frame is damaged.
        color: channel order of an array, as for a call of a model.
        presentation_s: seconds from the start of a recording at which the frame is shown; `None` if live.
        damage: why the frame must not be used; empty for a good one.
        name: of the image, where it has one of its own, such as a file.
    """

    image: Any
    color: str = "rgb"
    presentation_s: float | None = None
    damage: str = ""
    name: str = ""


class FrameReader(Protocol):
    """An open source. It is used by one thread alone, also for closing.

    Attributes:
        name: for messages and records, without credentials.
        live: True if frames come at the pace of the world, so that they are lost where nobody takes them,
            and a source that stopped may come back. False for recordings.
    """

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    def read(self) -> CapturedImage | None:
        """The next frame; `None` at the end of the source, and only there.

        Raises:
            StreamLostError: the source stopped delivering.
            StreamBrokenError: its data is damaged so that nothing more can be read.
        """
        ...

    def close(self) -> None:
        """Release the device, file or connection."""
        ...


class FrameSource(Protocol):
    """A kind of source, provided by a plugin.

    Attributes:
        name: its name, such as ``camera``.
        accepts: what it opens, for messages, such as ``a camera index, such as 0``.
    """

    @property
    def name(self) -> str: ...

    @property
    def accepts(self) -> str: ...

    def recognises(self, source: Any) -> bool:
        """Return whether `source`, as the caller passed it, is of this kind. Opens nothing."""
        ...

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """Open a source of this kind.

        Raises:
            StreamLostError: it is not there, or does not answer, now.
            StreamError: it cannot be opened.
            MissingRuntimeError: a library that it needs is not installed.
        """
        ...
