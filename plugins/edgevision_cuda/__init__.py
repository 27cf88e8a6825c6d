"""EdgeVision's backends `cuda` and `onnx`: ONNX artifacts on ONNX Runtime, with an NVIDIA GPU or without."""

from __future__ import annotations

from edgevision import hookimpl
from edgevision.backend import Backend
from edgevision_cuda.cpu import OnnxBackend
from edgevision_cuda.gpu import CudaBackend


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backends `cuda` and `onnx`: one plugin, for both are ONNX Runtime."""
    return [CudaBackend(), OnnxBackend()]
