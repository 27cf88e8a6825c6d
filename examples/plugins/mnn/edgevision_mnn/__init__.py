"""MNN for EdgeVision: the backend `mnn` on the CPU, and the converter `keras-mnn` by way of ONNX."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edgevision
from edgevision.artifact import Artifact, FileFormat
from edgevision.backend import DeviceInfo, SessionSettings
from edgevision.converter import CalibrationData, Source
from edgevision.errors import (
    ArtifactError,
    ConversionError,
    DeviceError,
    InferenceError,
    MissingRuntimeError,
)
from edgevision.plugins import registry
from edgevision.slots import PooledSession, SlotPool
from edgevision.system.plugin_output import stdout_to_stderr
from edgevision.tensors import Array, TensorSpec

edgevision_interface = 1

#: Options of MNN's converter for each precision.
_WEIGHTS = {"float32": [], "float16": ["--fp16"], "int8-dynamic": ["--weightQuantBits", "8"]}
#: MNN's converter itself. Its documented module, MNN.tools.mnnconvert, installs a package with pip when it is
#: imported, and sends a description of each model and of the machine to a server.
_CONVERTER = "import sys, _tools; _tools.mnnconvert(sys.argv)"
#: In place of the random identifier that the converter writes into each file.
_NO_IDENTIFIER = b"00000000-0000-0000-0000-000000000000"


class MnnBackend:
    """Artifacts of MNN: one file."""

    name = "mnn"
    formats = ("mnn",)
    file_formats = (FileFormat("mnn", (".mnn",)),)
    options: tuple[str, ...] = ()

    def version(self) -> str:
        return f"MNN {_mnn().version()}"

    def devices(self) -> Sequence[DeviceInfo]:
        _mnn()
        return [DeviceInfo("cpu", "any CPU")]

    def open(self, artifact: Artifact, settings: SessionSettings) -> PooledSession:
        settings.check_options(self.name, self.options)
        settings.check_device(self.name, ["cpu"])
        if settings.precision not in (None, "float32"):
            raise DeviceError(f"backend 'mnn' computes in float32, not in {settings.precision}")
        first = _MnnSlot(artifact, settings, None)
        inputs, outputs = first.specs()
        fixed = {spec.name: spec.with_batch(1) for spec in inputs}
        slots = SlotPool(
            lambda batch: _MnnSlot(artifact, settings, {n: (batch, *shape[1:]) for n, shape in fixed.items()})
        )
        return PooledSession(inputs, outputs, "cpu", "float32", slots)


class _MnnSlot:
    """An interpreter with a session of one batch size."""

    def __init__(
        self, artifact: Artifact, settings: SessionSettings, shapes: Mapping[str, tuple[int, ...]] | None
    ) -> None:
        if len(artifact.content) < 32:  # MNN would map what is not there
            raise ArtifactError(f"{artifact.name}: is not an MNN file")
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:  # MNN reads only from a path
            path = Path(folder, "model.mnn")
            path.write_bytes(artifact.content)
            config = {"numThread": settings.threads or 4, "backend": "CPU", "precision": "high"}
            try:
                with stdout_to_stderr():  # MNN prints its settings
                    self._interpreter = _mnn().Interpreter(str(path))
                    self._session = self._interpreter.createSession(config)
            except Exception as error:
                raise ArtifactError(f"{artifact.name}: MNN cannot load it: {error}") from error
        tensors = self._interpreter.getSessionInputAll(self._session)
        if not tensors:
            raise ArtifactError(f"{artifact.name}: MNN finds no input in it; convert it again")
        if shapes is not None:
            for name, tensor in tensors.items():
                self._interpreter.resizeTensor(tensor, shapes[name])
            self._interpreter.resizeSession(self._session)
        self._tensors = self._interpreter.getSessionInputAll(self._session)
        self.inputs: dict[str, Array] = {
            name: np.zeros(tuple(tensor.getShape()), np.float32) for name, tensor in self._tensors.items()
        }

    def specs(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The inputs and the outputs, with an open batch."""
        outputs = self._interpreter.getSessionOutputAll(self._session)
        ins = [TensorSpec(name, (None, *array.shape[1:]), "float32") for name, array in self.inputs.items()]
        outs = [TensorSpec(name, (None, *one.getShape()[1:]), "float32") for name, one in outputs.items()]
        return tuple(ins), tuple(outs)

    def run(self) -> dict[str, Array]:
        for name, array in self.inputs.items():
            self._tensors[name].copyFrom(_host(array))
        status = self._interpreter.runSession(self._session)
        if status != 0:
            raise InferenceError(f"MNN failed with status {status}")
        found = {}
        for name, tensor in self._interpreter.getSessionOutputAll(self._session).items():
            found[name] = np.empty(tuple(tensor.getShape()), np.float32)
            host = _host(found[name])
            tensor.copyToHostTensor(host)
            found[name] = np.array(host.getNumpyData(), np.float32).reshape(found[name].shape)
        return found


def _host(array: Array) -> Any:
    """A tensor over the values of an array, in the order of its sizes: MNN's own name for that is Caffe's."""
    mnn = _mnn()
    return mnn.Tensor(array.shape, mnn.Halide_Type_Float, array, mnn.Tensor_DimensionType_Caffe)


class MnnConverter:
    """From Keras: the network as ONNX, by the installed converter, and from there by MNN's own."""

    name = "keras-mnn"
    kind = "keras"
    format = "mnn"
    precisions = tuple(_WEIGHTS)

    def convert(self, source: Source, precision: str, calibration: CalibrationData | None) -> Artifact:
        if precision not in self.precisions:
            raise ConversionError(f"keras-mnn: no precision '{precision}'; it has: {', '.join(_WEIGHTS)}")
        mnn = _mnn()
        onnx = registry().converter("keras-onnx").convert(source, "float32", None)
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            model, made = Path(folder, "model.onnx"), Path(folder, "model.mnn")
            model.write_bytes(onnx.content)
            command = converter_command(model.name, made.name, precision)
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0 or not made.is_file():
                last = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()][-1:]
                raise ConversionError(f"MNN's converter failed ({done.returncode}): {' '.join(last)}")
            identifier = mnn.get_model_uuid(str(made)).encode()
            content = made.read_bytes()
        return Artifact(self.format, precision, {made.name: content.replace(identifier, _NO_IDENTIFIER)})


def converter_command(model: str, made: str, precision: str) -> list[str]:
    """The command that converts an ONNX file."""
    words = ["-f", "ONNX", "--modelFile", model, "--MNNModel", made, "--bizCode", "ev"]
    return [sys.executable, "-c", _CONVERTER, *words, *_WEIGHTS[precision]]


def _mnn() -> Any:
    try:
        with stdout_to_stderr():  # it prints what the CPU supports
            import MNN
    except ImportError as error:
        raise MissingRuntimeError("mnn", f"MNN is not installed: {error}", "pip install MNN") from error
    return MNN


@edgevision.hookimpl
def edgevision_backends() -> list[MnnBackend]:
    return [MnnBackend()]


@edgevision.hookimpl
def edgevision_converters() -> list[MnnConverter]:
    return [MnnConverter()]


@edgevision.hookimpl
def edgevision_targets() -> list[Path]:
    return [Path(__file__).with_name("targets.toml")]
