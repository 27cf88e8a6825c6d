"""Runs OpenVINO IR, ONNX and TFLite artifacts: one compiled model a batch size, one request a slot.

All shapes are static when a model is compiled. With an open shape OpenVINO can swallow a shape
error and hand out the answer of the call before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgevision.artifact import Artifact
from edgevision.backend import DeviceInfo, Session, SessionSettings
from edgevision.errors import DeviceError, OptionError
from edgevision.slots import PooledSession, SlotPool
from edgevision.system.cores import cores
from edgevision_openvino.compiled import CompiledModels, SlotMaker
from edgevision_openvino.instructions import has_exact_int8_products
from edgevision_openvino.model import open_batch, read_inputs, read_model, read_outputs
from edgevision_openvino.runtime import core, device_names, import_openvino, openvino_name

_PRECISIONS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_CAPABILITIES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}
_HINTS = ("latency", "throughput")


class OpenVINOBackend:
    """OpenVINO IR, ONNX and TFLite artifacts on a CPU, GPU or NPU."""

    name = "openvino"
    formats = ("openvino", "onnx", "tflite")
    options = ("performance_hint",)

    def version(self) -> str:
        """As `Backend.version`."""
        return f"openvino {import_openvino().__version__.split('-')[0]}"

    def devices(self) -> Sequence[DeviceInfo]:
        """As `Backend.devices`; the last, ``auto``, is whichever OpenVINO prefers for a model."""
        found = [
            DeviceInfo(name, core().get_property(openvino_name(name), "FULL_DEVICE_NAME"))
            for name in device_names()
        ]
        return [*found, DeviceInfo("auto", "the one that OpenVINO prefers for the model")]

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`.

        Options:
            performance_hint: ``latency`` (the default) or ``throughput``, for many threads.
        """
        settings.check_options(self.name, self.options)
        config = _config(settings)
        _check_device(settings)
        model = read_model(artifact)
        inputs = read_inputs(artifact, model)
        device = settings.device or "cpu"
        if device == "auto":
            device = CompiledModels(artifact, model, inputs, "AUTO", _AUTO).first_device()
        precision = _asked_precision(device, settings.precision)
        config |= _device_config(device, precision, settings.threads)
        at_once = _streams(settings.threads)
        models = CompiledModels(artifact, model, inputs, openvino_name(device), config, at_once)
        outputs = read_outputs(artifact, model, models.for_batch(1), has_open_batch=open_batch(inputs))
        slots = SlotPool(SlotMaker(models, inputs, outputs))
        with slots.lease():  # opening proves that a request can be made
            pass
        return PooledSession(inputs, outputs, models.first_device(), models.precision(), slots)

    def doubt(self, precision: str, device: str) -> str:
        """As `DoubtingBackend.doubt`: int8 uses the whole range of 8 bits, whose products need VNNI."""
        whole_range = precision in ("int8", "int8-mixed")
        if not whole_range or device != "cpu" or has_exact_int8_products():
            return ""
        return "the processor has no VNNI: OpenVINO adds products of int8 in 16 bits, which can overflow"


#: Without the fallback AUTO would start on the CPU, and name it, while the real device still compiles.
_AUTO = {"ENABLE_STARTUP_FALLBACK": False, "ENABLE_RUNTIME_FALLBACK": False}


def _config(settings: SessionSettings) -> dict[str, Any]:
    hint = settings.options.get("performance_hint", "latency")
    if hint not in _HINTS:
        raise OptionError(f"performance_hint: expected {' or '.join(_HINTS)}, got {hint!r}")
    config: dict[str, Any] = {"PERFORMANCE_HINT": hint.upper()}
    folder = settings.cache_folder()
    if folder is not None:
        config["CACHE_DIR"] = str(folder)
    return config


def _check_device(settings: SessionSettings) -> None:
    known = device_names()
    if settings.device == "gpu" and "gpu:0" in known:  # OpenVINO's own alias
        return
    settings.check_device("openvino", [*known, "auto"], "a GPU or NPU also needs its driver")


def _asked_precision(device: str, precision: str | None) -> str:
    """The precision to compile for: never lower than float32 unless the caller says so."""
    asked = precision or "float32"
    capabilities = core().get_property(openvino_name(device), "OPTIMIZATION_CAPABILITIES")
    if _CAPABILITIES[asked] in capabilities:
        return asked
    able = [name for name, capability in _CAPABILITIES.items() if capability in capabilities]
    raise DeviceError(
        f"device '{device}' does not compute in {asked}; ask for precision {' or '.join(able) or 'int8'}"
    )


def _device_config(device: str, precision: str, threads: int | None) -> dict[str, Any]:
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _PRECISIONS[precision]}
    supported = core().get_property(openvino_name(device), "SUPPORTED_PROPERTIES")
    if precision == "float32" and "EXECUTION_MODE_HINT" in supported:
        config["EXECUTION_MODE_HINT"] = "ACCURACY"  # else int8 weights also lower the activations
    if threads is not None:
        if "INFERENCE_NUM_THREADS" not in supported:
            raise OptionError(f"threads: device '{device}' takes no number of CPU threads; leave it out")
        config["INFERENCE_NUM_THREADS"] = threads
        config["NUM_STREAMS"] = 1
    return config


def _streams(threads: int | None) -> dict[str, Any]:
    """As many streams of so many threads as there are cores for: OpenVINO counts all threads together."""
    streams = cores() // threads if threads else 1
    if not threads or streams < 2:
        return {}
    return {"INFERENCE_NUM_THREADS": streams * threads, "NUM_STREAMS": streams}
