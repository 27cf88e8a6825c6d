"""EdgeVision's backend `tflite`: TFLite artifacts on LiteRT, tflite-runtime or TensorFlow's interpreter."""

from __future__ import annotations

from edgevision import hookimpl
from edgevision.backend import Backend
from edgevision_tflite.backend import TFLiteBackend


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backend `tflite`."""
    return [TFLiteBackend()]
