"""Trackers of the library `trackers`: ByteTrack and others, from boxes and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import edgevision

if TYPE_CHECKING:
    from edgevision.tracker import TrackerKind


@edgevision.hookimpl
def edgevision_trackers() -> list[TrackerKind]:
    """As `edgevision.hookspecs.edgevision_trackers`."""
    from edgevision_trackers.library import KINDS

    return list(KINDS)
