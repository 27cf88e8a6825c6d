"""The plugin `cuda`: ONNX artifacts on an NVIDIA GPU, by ONNX Runtime's CUDA and TensorRT providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.backend import Backend


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backend `cuda`."""
    from edgevision_onnxruntime.cuda.backend import CudaBackend

    return [CudaBackend()]
