"""The backend `onnx`: ONNX Runtime on the CPU."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgevision.artifact import ONNX, Artifact
from edgevision.backend import ArtifactDescription, Companion, DeviceInfo, Session, SessionSettings
from edgevision.descriptions.weights import weight_files
from edgevision.errors import ArtifactError
from edgevision.slots import PooledSession, SlotPool
from edgevision.system.machine import has_exact_int8_products
from edgevision_onnxruntime.metadata import describe
from edgevision_onnxruntime.onnx_file import holds_float16
from edgevision_onnxruntime.runtime import import_onnxruntime, version
from edgevision_onnxruntime.sessions import NodePlacement, Sessions

if TYPE_CHECKING:  # what only conversions and bare files need
    from edgevision.description import DescribedArtifact, ModelDescription
    from edgevision.graph import EditableGraph


#: On x86-64 without VNNI, sums of products of uint8 with int8 saturate at 16 bits, and results are wrong.
#: With uint8 weights they do not; where there is VNNI, that takes twice the time.
_UINT8_WEIGHTS = {"session.x64quantprecision": "1"}
_NO_INTEGER_KERNELS = {"session.disable_quant_qdq": "1"}


class OnnxBackend:
    """ONNX artifacts on the CPU."""

    name = "onnx"
    formats = ("onnx",)
    file_formats = (ONNX,)
    options: tuple[str, ...] = ()

    def version(self) -> str:
        """As `Backend.version`."""
        return version(import_onnxruntime(self.name))

    def devices(self) -> Sequence[DeviceInfo]:
        """The CPU."""
        import_onnxruntime(self.name)
        return [DeviceInfo("cpu", platform.processor() or platform.machine())]

    def describe(self, artifact: Artifact) -> ArtifactDescription:
        """As `DescribingBackend.describe`: the properties of the file, and the end of its graph."""
        return describe(artifact)

    def companions(self, artifact: Artifact) -> Sequence[Companion]:
        """As `CompanionBackend.companions`: the files with its weights."""
        return weight_files(artifact)

    def write_description(self, artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
        """As `edgevision.description.SelfDescribingFormat.write_description`."""
        from edgevision_onnxruntime.describing import write_description  # not needed to run a model

        return write_description(artifact, description)

    def read_description(self, artifact: Artifact) -> ModelDescription | None:
        """As `edgevision.description.SelfDescribingFormat.read_description`."""
        from edgevision_onnxruntime.describing import read_description

        return read_description(artifact)

    def editable_graph(self, artifact: Artifact) -> EditableGraph:
        """As `edgevision.graph.GraphFormat.editable_graph`."""
        from edgevision_onnxruntime.graph import OnnxGraph

        return OnnxGraph(artifact)

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`."""
        settings.check_options(self.name, self.options)
        runtime = import_onnxruntime(self.name)
        settings.check_device(self.name, ["cpu"], "for a GPU use backend 'cuda'")
        sessions = _sessions(runtime, artifact, settings)
        slots = SlotPool(sessions.slot)
        slots.add(1, sessions.slot(1))
        return PooledSession(
            sessions.inputs, sessions.outputs, "cpu", _precision(artifact), slots, reports_placement=True
        )


def _sessions(runtime: Any, artifact: Artifact, settings: SessionSettings) -> Sessions:
    """The sessions of an artifact, with integer kernels that are exact on this processor."""

    def with_entries(entries: Mapping[str, str]) -> Sessions:
        return Sessions(
            runtime,
            artifact,
            settings.threads,
            lambda batch: NodePlacement(entries=entries),
            image_size_wh=settings.image_size_wh,
        )

    if has_exact_int8_products():
        return with_entries({})
    try:
        return with_entries(_UINT8_WEIGHTS)
    except ArtifactError:  # ONNX Runtime 1.32 fails where two operations share their weights
        return with_entries(_NO_INTEGER_KERNELS)


def _precision(artifact: Artifact) -> str:
    """The precision in which the float parts are computed.

    On x86-64 ONNX Runtime converts float16 weights and arithmetic to float32 (seen in its optimized
    graph, 1.32). On Arm it has kernels for float16.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        return "float32"
    return "float16" if holds_float16(artifact.content) else "float32"
