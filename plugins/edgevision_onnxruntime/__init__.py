"""EdgeVision's backends `cuda` and `onnx`: ONNX artifacts on ONNX Runtime, with an NVIDIA GPU or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.backend import Backend


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backends `cuda` and `onnx`: one plugin, for both are ONNX Runtime."""
    from edgevision_onnxruntime.cpu import OnnxBackend
    from edgevision_onnxruntime.gpu import CudaBackend

    return [CudaBackend(), OnnxBackend()]
