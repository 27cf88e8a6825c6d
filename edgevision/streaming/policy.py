"""Drop policies: which frames are answered where they come faster than that."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from edgevision.errors import OptionError
from edgevision.system.shown import shown

_QUEUE = re.compile(r"queue\((\d{1,4})\)")
_MOST_QUEUED = 1000
#: Frames that wait for their turn under `wait`: enough for decoding to go on.
_WAITING = 2


class Policy(NamedTuple):
    """A drop policy.

    Attributes:
        name: as the caller wrote it: ``wait``, ``latest`` or ``queue(N)``.
        waiting: the most frames that wait for their turn.
        drops: True if an older frame makes room for a newer one; False if the source waits.
        newest_result: True if an older result, too, makes room for a newer one.
    """

    name: str
    waiting: int
    drops: bool
    newest_result: bool


#: Every frame is answered; the source waits.
WAIT = Policy("wait", _WAITING, drops=False, newest_result=False)
#: The newest frame is answered next, and the newest result is given.
LATEST = Policy("latest", 1, drops=True, newest_result=True)


def policy_of(value: Any) -> Policy:
    """The policy that a name stands for: ``wait``, ``latest``, or ``queue(N)`` of 1 to 1000 frames.

    Raises:
        OptionError: it is something else.
    """
    for policy in (WAIT, LATEST):
        if isinstance(value, str) and value == policy.name:
            return policy
    match = _QUEUE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match[1]) <= _MOST_QUEUED:
        raise OptionError(
            f"policy: expected 'wait', 'latest', or 'queue(N)' with 1 to {_MOST_QUEUED} frames, "
            f"got {shown(value)}"
        )
    return Policy(str(value), int(match[1]), drops=True, newest_result=False)
