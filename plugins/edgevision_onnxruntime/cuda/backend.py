"""The backend `cuda`: ONNX Runtime's CUDA and TensorRT providers, without a silent fallback to the CPU."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.artifact import ONNX, Artifact
from edgevision.backend import ArtifactDescription, Companion, DeviceInfo, Session, SessionSettings
from edgevision.descriptions.weights import weight_files
from edgevision.errors import ArtifactError, DeviceError, OptionError
from edgevision.slots import PooledSession, SlotPool
from edgevision.system.shown import shown
from edgevision_onnxruntime.cuda import driver
from edgevision_onnxruntime.metadata import describe
from edgevision_onnxruntime.onnx_file import holds_float16, is_quantized
from edgevision_onnxruntime.runtime import (
    CPU,
    CUDA,
    TENSORRT,
    both_installed,
    import_onnxruntime_with_cuda,
    installed_builds,
    version,
)
from edgevision_onnxruntime.sessions import NodePlacement, Sessions

_STRICT = "session.disable_cpu_ep_fallback"
_RECORD = "session.record_ep_graph_assignment_info"


class CudaBackend:
    """ONNX artifacts on an NVIDIA GPU, through CUDA or TensorRT."""

    name = "cuda"
    formats = ("onnx",)
    file_formats = (ONNX,)
    options = ("allow_cpu_fallback",)
    #: TensorRT refuses zero points other than 0.
    symmetric_int8 = True

    def version(self) -> str:
        """As `Backend.version`."""
        return version(import_onnxruntime_with_cuda())

    def devices(self) -> Sequence[DeviceInfo]:
        """``cuda:N`` for each GPU, then ``tensorrt:N`` where TensorRT is installed."""
        runtime = import_onnxruntime_with_cuda()
        names = driver.gpus()
        kinds = ["cuda", *(["tensorrt"] if _has_tensorrt(runtime) else [])]
        return [DeviceInfo(f"{kind}:{i}", name) for kind in kinds for i, name in enumerate(names)]

    def describe(self, artifact: Artifact) -> ArtifactDescription:
        """As `DescribingBackend.describe`: the properties of the file, and the end of its graph."""
        return describe(artifact)

    def companions(self, artifact: Artifact) -> Sequence[Companion]:
        """As `CompanionBackend.companions`: the files with its weights."""
        return weight_files(artifact)

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`.

        Options:
            allow_cpu_fallback: whether nodes that the GPU's provider does not support may run on the
                CPU; the session's `fallback_nodes` names them. ``False`` by default.
        """
        settings.check_options(self.name, self.options)
        allow_fallback = settings.options.get("allow_cpu_fallback", False)
        if not isinstance(allow_fallback, bool):
            raise OptionError(f"allow_cpu_fallback: expected True or False, got {shown(allow_fallback)}")
        runtime = import_onnxruntime_with_cuda()
        device = _find_device(runtime, settings.device or "cuda:0")
        driver.preload(runtime)
        return _Opening(runtime, artifact, settings, device, allow_fallback).session()


@dataclass(frozen=True)
class _Device:
    kind: str
    index: int
    gpu: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.index}"

    @property
    def provider(self) -> str:
        return TENSORRT if self.kind == "tensorrt" else CUDA


@dataclass(frozen=True)
class _Opening:
    """One call of `CudaBackend.open`."""

    runtime: Any
    artifact: Artifact
    settings: SessionSettings
    device: _Device
    allow_fallback: bool

    def session(self) -> PooledSession:
        try:
            sessions = self._sessions()
        except ArtifactError as error:
            self._explain(error)
            raise
        slots = SlotPool(sessions.slot)
        slots.add(1, sessions.slot(1))
        fallback_nodes = _cpu_nodes(sessions.for_batch(1)) if self.allow_fallback else ()
        return PooledSession(
            sessions.inputs,
            sessions.outputs,
            self.device.name,
            self._precision(),
            slots,
            fallback_nodes,
            reports_placement=True,
        )

    def _sessions(self) -> Sessions:
        return Sessions(
            self.runtime,
            self.artifact,
            self.settings.threads,
            self._placement,
            self._check,
            self.settings.image_size_wh,
        )

    def _placement(self, batch: int) -> NodePlacement:
        cuda = {
            "device_id": str(self.device.index),
            "use_tf32": "0",  # TF32 multiplies float32 with 10 bits of mantissa
            "cudnn_conv_algo_search": "HEURISTIC",  # the exhaustive search chooses by measured time
        }
        providers: list[tuple[str, dict[str, str]]] = [(CUDA, cuda)]
        if self.device.kind == "tensorrt":
            providers.insert(0, (TENSORRT, self._tensorrt_options(batch)))
        if not self.allow_fallback:
            return NodePlacement(tuple(providers), {_STRICT: "1"}, "cuda", self.device.index)
        if not hasattr(self.runtime.InferenceSession, "get_provider_graph_assignment_info"):
            raise OptionError(
                f"allow_cpu_fallback: {version(self.runtime)} cannot report which nodes fall back; "
                "run: pip install --upgrade onnxruntime-gpu"
            )
        return NodePlacement((*providers, (CPU, {})), {_RECORD: "1"}, "cuda", self.device.index)

    def _tensorrt_options(self, batch: int) -> dict[str, str]:
        options = {
            "device_id": str(self.device.index),
            "trt_fp16_enable": "1" if self.settings.precision == "float16" else "0",
            "trt_int8_enable": "1" if is_quantized(self.artifact.content) else "0",
        }
        if self._precision() == "float32":
            _turn_tf32_off()
        folder = self.settings.cache_folder("tensorrt", self._cache_key(batch))
        if folder is not None:
            options |= {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": str(folder),
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(folder),
            }
        return options

    def _cache_key(self, batch: int) -> str:
        """Everything that an engine depends on: a stale one gives wrong answers, or none."""
        precision = self.settings.precision or "own"
        system = driver.fingerprint(self.device.gpu)
        return f"{self.artifact.sha256[:16]}-ort{self.runtime.__version__}-{system}-{precision}-b{batch}"

    def _precision(self) -> str:
        if holds_float16(self.artifact.content):
            return "float16"
        if self.device.kind == "tensorrt" and self.settings.precision == "float16":
            return "float16"
        return "float32"

    def _check(self, session: Any) -> None:
        """Refuse a session that runs elsewhere: ONNX Runtime uses the CPU if a provider does not load."""
        if session.get_providers()[0] != self.device.provider:
            missing = (
                ", ".join(driver.missing_libraries(self.runtime))
                or "a library that ONNX Runtime names on stderr"
            )
            both = f"; {both_installed()}" if len(installed_builds()) > 1 else ""
            raise DeviceError(
                f"device '{self.device.name}': ONNX Runtime could not load {self.device.provider} "
                f'(cannot load {missing}); run: pip install "edgevision[cuda]"{both}'
            )
        index = session.get_provider_options()[self.device.provider].get("device_id")
        if index != str(self.device.index):
            raise DeviceError(f"device '{self.device.name}': ONNX Runtime uses GPU {index} instead")

    def _explain(self, error: ArtifactError) -> None:
        """Raise `DeviceError` if the graph was refused because the GPU does not support all nodes."""
        if self.allow_fallback or not hasattr(
            self.runtime.InferenceSession, "get_provider_graph_assignment_info"
        ):
            return
        relaxed = _Opening(self.runtime, self.artifact, self.settings, self.device, allow_fallback=True)
        try:
            unsupported = _cpu_nodes(relaxed._sessions().for_batch(1))
        except ArtifactError:
            return
        if unsupported:
            raise DeviceError(
                f"{self.artifact.name}: device '{self.device.name}' does not support {len(unsupported)} of "
                f"its nodes ({', '.join(unsupported[:5])}); allow_cpu_fallback=True runs those on the CPU"
            ) from error


def _turn_tf32_off() -> None:
    """Disable TF32 in TensorRT by a variable of NVIDIA's libraries: its provider has no option for it."""
    value = os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    if value != "0":
        raise DeviceError(
            f"NVIDIA_TF32_OVERRIDE is '{value}', with which TensorRT computes float32 in lower precision; "
            "unset it"
        )


def _find_device(runtime: Any, name: str) -> _Device:
    match = re.fullmatch(r"(cuda|tensorrt):(\d+)", name)
    if match is None:
        raise DeviceError(
            f"backend 'cuda' has no device '{name}'; it has: cuda:N and tensorrt:N, N the number of a GPU"
        )
    names = driver.gpus()
    kind, index = match[1], int(match[2])
    if index >= len(names):
        available = ", ".join(f"{i} ({gpu})" for i, gpu in enumerate(names)) or "none"
        raise DeviceError(f"device '{name}': no such GPU; available: {available}")
    if kind == "tensorrt" and not _has_tensorrt(runtime):
        raise DeviceError(
            f"device '{name}': TensorRT 10 (libnvinfer.so.10) is not installed, or ONNX Runtime was built "
            f"without it; install TensorRT from NVIDIA, or use cuda:{index}"
        )
    return _Device(kind, index, names[index])


def _has_tensorrt(runtime: Any) -> bool:
    return TENSORRT in runtime.get_available_providers() and driver.has_tensorrt()


def _cpu_nodes(session: Any) -> tuple[str, ...]:
    """Names of the nodes that run on the CPU; the operator's name for a node without one."""
    return tuple(
        node.name or node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name == CPU
        for node in part.get_nodes()
    )
