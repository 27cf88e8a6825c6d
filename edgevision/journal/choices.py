"""Choices that a journal offers, for those who list them without opening one."""

from __future__ import annotations

#: Frames that a journal can keep.
KEPT_FRAMES = ("none", "all", "abstained", "sample")
#: What happens when a row cannot be written.
ON_ERROR = ("warn", "raise")
