"""Run OpenVINO IR, ONNX and TFLite artifacts: one compiled model per batch size, one request per slot.

All shapes are static when a model is compiled. With an open shape OpenVINO can swallow a shape error
and return the answer of the previous call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgevision.artifact import ONNX, OPENVINO, TFLITE, Artifact
from edgevision.backend import ArtifactDescription, Companion, DeviceInfo, Session, SessionSettings
from edgevision.descriptions.weights import weight_files
from edgevision.errors import DeviceError, OptionError
from edgevision.slots import PooledSession, SlotPool
from edgevision.system.cores import cores
from edgevision.system.machine import has_exact_int8_products
from edgevision.system.shown import shown
from edgevision_openvino.compiled import CompiledModels, SlotFactory
from edgevision_openvino.metadata import companion_files, describe
from edgevision_openvino.model import open_batch, read_inputs, read_model, read_outputs
from edgevision_openvino.runtime import core, device_names, import_openvino, openvino_name

if TYPE_CHECKING:  # what only conversions and bare files need
    from edgevision.description import DescribedArtifact, ModelDescription
    from edgevision.graph import EditableGraph

_PRECISIONS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_CAPABILITIES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}
_HINTS = ("latency", "throughput")


class OpenVINOBackend:
    """OpenVINO IR, ONNX and TFLite artifacts on a CPU, GPU or NPU."""

    name = "openvino"
    formats = ("openvino", "onnx", "tflite")
    file_formats = (OPENVINO, ONNX, TFLITE)
    options = ("performance_hint",)

    def version(self) -> str:
        """As `Backend.version`."""
        return f"openvino {import_openvino().__version__.split('-')[0]}"

    def devices(self) -> Sequence[DeviceInfo]:
        """As `Backend.devices`; the last, ``auto``, is the device that OpenVINO prefers for a model."""
        devices = [
            DeviceInfo(name, core().get_property(openvino_name(name), "FULL_DEVICE_NAME"))
            for name in device_names()
        ]
        return [*devices, DeviceInfo("auto", "the device that OpenVINO prefers for the model")]

    def describe(self, artifact: Artifact) -> ArtifactDescription:
        """As `DescribingBackend.describe`: ``rt_info``, and Ultralytics' ``metadata.yaml``, of an IR."""
        return describe(artifact)

    def companions(self, artifact: Artifact) -> Sequence[Companion]:
        """As `CompanionBackend.companions`: ``metadata.yaml`` of an IR, the weights of an ONNX file."""
        if artifact.format == "openvino":
            return companion_files()
        return weight_files(artifact) if artifact.format == "onnx" else []

    def write_description(self, artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
        """As `edgevision.description.SelfDescribingFormat.write_description`."""
        from edgevision_openvino.describing import write_description  # not needed to run a model

        return write_description(artifact, description)

    def read_description(self, artifact: Artifact) -> ModelDescription | None:
        """As `edgevision.description.SelfDescribingFormat.read_description`."""
        from edgevision_openvino.describing import read_description

        return read_description(artifact)

    def editable_graph(self, artifact: Artifact) -> EditableGraph:
        """As `edgevision.graph.GraphFormat.editable_graph`."""
        from edgevision_openvino.graph import OpenVINOGraph

        return OpenVINOGraph(artifact)

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`.

        Options:
            performance_hint: ``latency`` (the default), or ``throughput`` for many threads.
        """
        settings.check_options(self.name, self.options)
        config = _config(settings)
        _check_device(settings)
        model = read_model(artifact, settings.image_size_wh)
        inputs = read_inputs(artifact, model)
        device = settings.device or "cpu"
        if device == "auto":
            device = CompiledModels(artifact, model, inputs, "AUTO", _AUTO).first_device()
        precision = _compute_precision(device, settings.precision)
        config |= _device_config(device, precision, settings.threads)
        parallel = _parallel_config(settings.threads)
        models = CompiledModels(artifact, model, inputs, openvino_name(device), config, parallel)
        outputs = read_outputs(artifact, model, models.for_batch(1), has_open_batch=open_batch(inputs))
        slots = SlotPool(SlotFactory(models, inputs, outputs))
        with slots.lease():  # a request can be created, or opening fails
            pass
        # A model that the device cannot run as a whole is refused when it is compiled.
        return PooledSession(
            inputs, outputs, models.first_device(), models.precision(), slots, reports_placement=True
        )

    def doubt(self, precision: str, device: str) -> str:
        """As `DoubtingBackend.doubt`: int8 uses the full range of 8 bits, whose products need VNNI."""
        full_range = precision in ("int8", "int8-mixed")
        if not full_range or device != "cpu" or has_exact_int8_products() is not False:
            return ""
        return "the processor has no VNNI: OpenVINO sums int8 products in 16 bits, which can overflow"


#: With its fallbacks AUTO starts on the CPU, and reports it, while the chosen device is still compiling.
_AUTO = {"ENABLE_STARTUP_FALLBACK": False, "ENABLE_RUNTIME_FALLBACK": False}


def _config(settings: SessionSettings) -> dict[str, Any]:
    hint = settings.options.get("performance_hint", "latency")
    if hint not in _HINTS:
        raise OptionError(f"performance_hint: expected {' or '.join(_HINTS)}, got {shown(hint)}")
    config: dict[str, Any] = {"PERFORMANCE_HINT": hint.upper()}
    folder = settings.cache_folder()
    if folder is not None:
        config["CACHE_DIR"] = str(folder)
    return config


def _check_device(settings: SessionSettings) -> None:
    known = device_names()
    if settings.device == "gpu" and "gpu:0" in known:  # OpenVINO's own alias
        return
    # The default as well: a build without the CPU's plugin has no device cpu.
    requested = replace(settings, device=settings.device or "cpu")
    requested.check_device("openvino", [*known, "auto"], "a GPU or NPU also needs its driver")


def _compute_precision(device: str, requested: str | None) -> str:
    """The precision to compile for: never lower than float32 unless requested."""
    precision = requested or "float32"
    capabilities = core().get_property(openvino_name(device), "OPTIMIZATION_CAPABILITIES")
    if _CAPABILITIES[precision] in capabilities:
        return precision
    supported = [name for name, capability in _CAPABILITIES.items() if capability in capabilities]
    raise DeviceError(
        f"device '{device}' does not compute in {precision}; use precision {' or '.join(supported) or 'int8'}"
    )


def _device_config(device: str, precision: str, threads: int | None) -> dict[str, Any]:
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _PRECISIONS[precision]}
    supported = core().get_property(openvino_name(device), "SUPPORTED_PROPERTIES")
    if precision == "float32" and "EXECUTION_MODE_HINT" in supported:
        config["EXECUTION_MODE_HINT"] = "ACCURACY"  # else int8 weights also lower the activations
    if threads is not None:
        if "INFERENCE_NUM_THREADS" not in supported:
            raise OptionError(f"threads: device '{device}' has no CPU threads to set; omit threads")
        config["INFERENCE_NUM_THREADS"] = threads
        config["NUM_STREAMS"] = 1
    return config


def _parallel_config(threads: int | None) -> dict[str, Any]:
    """Properties for parallel calls: one stream of `threads` threads each, as many as the cores allow.

    OpenVINO's number of threads is that of all streams together.
    """
    streams = cores() // threads if threads else 1
    if not threads or streams < 2:
        return {}
    return {"INFERENCE_NUM_THREADS": streams * threads, "NUM_STREAMS": streams}
