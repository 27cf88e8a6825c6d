"""Pipelines of GStreamer, with which vendors of boards reach their cameras and decoders."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision.errors import PluginError, StreamBrokenError, StreamError, StreamLostError, first_line
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.system.credentials import without_credentials

_PREFIX = "gst:"
_SINK = " ! videoconvert ! video/x-raw,format=RGB ! appsink name=edgevision sync=false max-buffers=1"
_NS_PER_S = 1_000_000_000
#: How long one look for a frame takes: at each, the pipeline's errors are looked for, too.
_LOOK_NS = 100_000_000


class GStreamer:
    """``gst:PIPELINE`` without its sink, such as ``gst:v4l2src device=/dev/video0``."""

    name = "gstreamer"
    accepts = "a GStreamer pipeline without its sink, such as 'gst:v4l2src device=/dev/video0'"

    def recognises(self, source: Any) -> bool:
        """As `FrameSource.recognises`."""
        return isinstance(source, str) and source.startswith(_PREFIX)

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """As `FrameSource.open`."""
        name = without_credentials(source)
        try:
            import gi

            gi.require_version("Gst", "1.0")
            from gi.repository import Gst
        except (ImportError, ValueError) as error:
            raise PluginError(
                f"{name}: GStreamer is not installed; run: sudo apt install python3-gi gir1.2-gstreamer-1.0 "
                "gstreamer1.0-plugins-good, and make the virtual environment with: python3 -m venv "
                "--system-site-packages .venv"
            ) from error
        Gst.init(None)
        try:
            pipeline = Gst.parse_launch(source.removeprefix(_PREFIX) + _SINK)
        except Exception as error:  # GLib's
            told = without_credentials(first_line(error))
            raise StreamError(f"{name}: not a valid pipeline: {told}") from None
        return _Reader(Gst, pipeline, name, settings)


class _Reader:
    def __init__(self, gst: Any, pipeline: Any, name: str, settings: SourceSettings) -> None:
        self.name = name
        self._gst = gst
        self._pipeline = pipeline
        self._sink = pipeline.get_by_name("edgevision")
        self._read_timeout_ns = round(settings.read_timeout_s * _NS_PER_S)
        pipeline.set_state(gst.State.PLAYING)
        changed, _, _ = pipeline.get_state(round(settings.open_timeout_s * _NS_PER_S))
        if changed not in (gst.StateChangeReturn.SUCCESS, gst.StateChangeReturn.NO_PREROLL):
            error = self._error()
            pipeline.set_state(gst.State.NULL)
            raise StreamLostError(f"{name}: cannot be started: {error or 'no answer in time'}")
        # Live pipelines have no first frame while they are paused.
        self.live = bool(pipeline.set_state(gst.State.PAUSED) == gst.StateChangeReturn.NO_PREROLL)
        self._sink.set_property("drop", self.live)
        pipeline.set_state(gst.State.PLAYING)

    def read(self) -> CapturedImage | None:
        """As `FrameReader.read`."""
        for _ in range(max(1, self._read_timeout_ns // _LOOK_NS)):
            sample = self._sink.emit("try-pull-sample", _LOOK_NS)
            if sample is not None:
                return self._captured(sample)
            error = self._error()
            if error:
                raise (StreamLostError if self.live else StreamBrokenError)(f"{self.name}: {error}")
            if self._sink.get_property("eos"):
                return None
        raise StreamLostError(f"{self.name}: no frame for {self._read_timeout_ns / _NS_PER_S:g} s")

    def close(self) -> None:
        """As `FrameReader.close`."""
        self._pipeline.set_state(self._gst.State.NULL)

    def _captured(self, sample: Any) -> CapturedImage:
        form, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
        width, height = form.get_value("width"), form.get_value("height")
        mapped, info = buffer.map(self._gst.MapFlags.READ)
        if not mapped:
            return CapturedImage(None, damage="the frame's memory cannot be read")
        try:
            rows = np.frombuffer(info.data, np.uint8).reshape(height, -1)  # padded to a multiple of 4 bytes
            image = np.array(rows[:, : width * 3]).reshape(height, width, 3)
        finally:
            buffer.unmap(info)
        corrupt = bool(buffer.get_flags() & self._gst.BufferFlags.CORRUPTED)
        shown_s = None if self.live or buffer.pts == self._gst.CLOCK_TIME_NONE else buffer.pts / _NS_PER_S
        return CapturedImage(image, "rgb", shown_s, "marked as corrupted by GStreamer" if corrupt else "")

    def _error(self) -> str:
        message = self._pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
        return without_credentials(message.parse_error()[0].message) if message is not None else ""
