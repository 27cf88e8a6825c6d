"""The plugin `openvino`: OpenVINO IR, ONNX and TFLite artifacts on Intel's CPUs, GPUs and NPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.backend import Backend
    from edgevision.export_format import ExportFormat


@hookimpl
def edgevision_backends() -> list[Backend]:
    """The backend `openvino`."""
    from edgevision_openvino.backend import OpenVINOBackend

    return [OpenVINOBackend()]


@hookimpl
def edgevision_export_formats() -> list[ExportFormat]:
    """The forms of OpenVINO Model API."""
    from edgevision_openvino.model_api import ModelAPI

    return [ModelAPI()]
