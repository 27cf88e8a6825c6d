"""Answers about the frames of cameras, files and network streams, as they come.

The sources that need nothing but OpenCV are a plugin like any other that provides sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.hookspecs import hookimpl

if TYPE_CHECKING:
    from edgevision.frame_source import FrameSource


@hookimpl
def edgevision_frame_sources() -> list[FrameSource]:
    """Cameras and video files by OpenCV, image files, and what the caller iterates over."""
    # Imported here: `edgevision --help` asks plugins for commands, and must not import numpy.
    from edgevision.streaming.sources.camera import Camera
    from edgevision.streaming.sources.image_files import ImageFiles
    from edgevision.streaming.sources.iterables import Iterables
    from edgevision.streaming.sources.video_file import VideoFile

    return [Camera(), ImageFiles(), VideoFile(), Iterables()]
