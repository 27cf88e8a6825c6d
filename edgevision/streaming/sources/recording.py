"""The limits that both readers of video files keep: of a frame's size, and of frames that are missing."""

from __future__ import annotations

from pathlib import Path

from edgevision.errors import StreamError
from edgevision.imaging.decode import max_pixels

#: Some containers state their number of frames as duration times rate: so many may lack at a normal end.
_MISSING_FRAMES, _MISSING_SHARE = 2, 0.02


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse frames that are larger than an image may be.

    Raises:
        StreamError: they are.
    """
    if width * height > max_pixels():
        raise StreamError(f"{path}: frames of {width} x {height} pixels; the limit is {max_pixels()}")


def is_far_short(found: float, stated: float, most_missing: float = _MISSING_FRAMES) -> bool:
    """True if more is missing than a container's statement may be wrong by."""
    return stated - found > max(most_missing, _MISSING_SHARE * stated)
