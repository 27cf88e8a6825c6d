"""The limits of a server."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.errors import OptionError
from edgevision.system.arguments import duration, real_number, whole_number

_MOST_BATCH = 1024
_MOST_QUEUE = 100_000
_MOST_SLOTS = 1024
_MOST_DELAY_MS = 10_000.0
_BYTES_PER_MB = 1_000_000


@dataclass(frozen=True)
class ServeSettings:
    """The limits of a server.

    Attributes:
        max_batch: rows of one request, and of requests that are run together, at most.
        max_delay_ms: milliseconds that a request waits for others to be run with, at most; 0 runs it as soon
            as a slot is free, together with those that wait by then.
        queue: requests that wait for a slot of one model, at most, and that are being read at the same time;
            more are refused with 429.
        slots: inferences of one model at the same time; `None` is as many as fit on the cores, and one on
            another device.
        request_s: seconds for a request in all, after which it is refused with 503.
        body_s: seconds in which a request must have arrived, and the answer must be taken.
        max_body_mb: megabytes of one request, and of a quarter of all that are being read at once.
        connections: at the same time; more close the one that has been idle for longest.
        watch_s: seconds between two looks at whether a bundle was replaced.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    max_batch: int = 8
    max_delay_ms: float = 0.0
    queue: int = 64
    slots: int | None = None
    request_s: float = 60.0
    body_s: float = 30.0
    max_body_mb: float = 64.0
    connections: int = 512
    watch_s: float = 1.0

    def __post_init__(self) -> None:
        for name, most in (("max_batch", _MOST_BATCH), ("queue", _MOST_QUEUE), ("connections", _MOST_QUEUE)):
            object.__setattr__(self, name, whole_number(getattr(self, name), name, least=1, most=most))
        if self.slots is not None:
            object.__setattr__(self, "slots", whole_number(self.slots, "slots", least=1, most=_MOST_SLOTS))
        for name in ("request_s", "body_s", "watch_s"):
            object.__setattr__(self, name, duration(getattr(self, name), name))
        delay_ms, body_mb = (
            real_number(self.max_delay_ms, "max_delay_ms"),
            real_number(self.max_body_mb, "max_body_mb"),
        )
        if not 0 <= delay_ms <= _MOST_DELAY_MS:
            raise OptionError(f"max_delay_ms: expected 0 to {_MOST_DELAY_MS:g}, got {delay_ms:g}")
        if not body_mb > 0:
            raise OptionError(f"max_body_mb: expected a number above 0, got {body_mb:g}")
        object.__setattr__(self, "max_delay_ms", delay_ms)
        object.__setattr__(self, "max_body_mb", body_mb)

    @property
    def max_body_bytes(self) -> int:
        """Bytes of one request."""
        return int(self.max_body_mb * _BYTES_PER_MB)
