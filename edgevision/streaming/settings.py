"""How a stream treats its source, for all tasks alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgevision.errors import OptionError
from edgevision.system.arguments import duration, mapping, text, whole_number
from edgevision.system.numeric import plain_fields

if TYPE_CHECKING:
    from edgevision.system.numeric import RealNumber, WholeNumber

_MOST_WORKERS = 64


@dataclass(frozen=True)
class StreamSettings:
    """Time limits of a stream's source, and how many frames are worked on at once.

    Attributes:
        stall_s: seconds without a frame after which a live source counts as lost. For recordings and the
            caller's own iterators only if it is set: they may wait for something.
        open_timeout_s: seconds for opening the source.
        reconnect_s: seconds during which a source is tried again, with growing pauses of 0.5 to 8 seconds:
            one that is not there yet, such as a camera that starts later than this machine, or a live one
            that was lost. `None` for as long as the stream is open, 0 for not at all.
        color: channel order of the arrays of an iterator: ``rgb`` or ``bgr``; or a YUV format.
        workers: frames that are worked on at once; `None` for as many as the session's threads leave room
            for, and one more where every frame is answered.
        call: arguments of each call of the model, such as ``{"score_threshold": 0.5}`` for a detector.

    Raises:
        OptionError: a value is out of range.
    """

    stall_s: RealNumber | None = None
    open_timeout_s: RealNumber = 5.0
    reconnect_s: RealNumber | None = 30.0
    color: str = "rgb"
    workers: WholeNumber | None = None
    call: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain_fields(self, "stall_s", "open_timeout_s", "reconnect_s", "workers")
        if self.stall_s is not None:
            duration(self.stall_s, "stall_s")
        duration(self.open_timeout_s, "open_timeout_s")
        if self.reconnect_s is not None and self.reconnect_s != 0:
            duration(self.reconnect_s, "reconnect_s")
        text(self.color, "color")
        if self.workers is not None:
            whole_number(self.workers, "workers", least=1, most=_MOST_WORKERS)
        for name in mapping(self.call, "call"):
            if not isinstance(name, str) or name in ("images", "color"):
                raise OptionError(f"call: expected names of arguments such as score_threshold, got {name!r}")
