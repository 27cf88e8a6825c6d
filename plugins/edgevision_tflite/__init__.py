"""The plugin `tflite`: TFLite artifacts on LiteRT, tflite-runtime or TensorFlow's interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.backend import Backend


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backend `tflite`."""
    from edgevision_tflite.backend import TFLiteBackend

    return [TFLiteBackend()]
