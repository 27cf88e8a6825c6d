"""The plugin `tflite`: TFLite artifacts on LiteRT, tflite-runtime or TensorFlow's interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.backend import Backend
    from edgevision.export_format import ExportFormat


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backend `tflite`."""
    from edgevision_tflite.backend import TFLiteBackend

    return [TFLiteBackend()]


@hookimpl
def edgevision_export_formats() -> list[ExportFormat]:
    """The form of MediaPipe Tasks."""
    from edgevision_tflite.mediapipe import MediaPipe

    return [MediaPipe()]
