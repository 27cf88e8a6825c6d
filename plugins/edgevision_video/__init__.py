"""Network streams by PyAV, which brings FFmpeg: RTSP, HTTP, MJPEG, UDP and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import edgevision

if TYPE_CHECKING:
    from edgevision.frame_source import FrameSource


@edgevision.hookimpl
def edgevision_frame_sources() -> list[FrameSource]:
    """As `edgevision.hookspecs.edgevision_frame_sources`."""
    from edgevision_video.network_stream import NetworkStream

    return [NetworkStream()]
