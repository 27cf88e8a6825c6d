"""Cameras whose libraries come with the device's system: picamera2 and GStreamer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.frame_source import FrameSource


@hookimpl
def edgevision_frame_sources() -> list[FrameSource]:
    """As `edgevision.hookspecs.edgevision_frame_sources`."""
    from edgevision_cameras.gstreamer import GStreamer
    from edgevision_cameras.raspberry_pi import RaspberryPiCamera

    return [RaspberryPiCamera(), GStreamer()]
