"""EdgeVision's backend `openvino`: OpenVINO IR, ONNX and TFLite artifacts on Intel's CPUs, GPUs and NPUs."""

from __future__ import annotations

from edgevision import hookimpl
from edgevision.backend import Backend
from edgevision_openvino.backend import OpenVINOBackend


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backend `openvino`."""
    return [OpenVINOBackend()]
