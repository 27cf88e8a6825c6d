"""The plugin `onnx`: ONNX artifacts on the CPU, by whichever build of ONNX Runtime is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.backend import Backend


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backend `onnx`."""
    from edgevision_onnxruntime.onnx.backend import OnnxBackend

    return [OnnxBackend()]
