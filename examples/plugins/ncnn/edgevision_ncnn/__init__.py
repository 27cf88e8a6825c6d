"""ncnn for EdgeVision: the backend `ncnn` on the CPU, and the converter `keras-ncnn` by ONNX and pnnx."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
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
from edgevision.tensors import Array, TensorSpec

edgevision_interface = 1

#: A line of a layer that is an input: its name, and its width, height and channels.
_INPUT = re.compile(r"^Input +(\S+) +0 +1 +\S+ +0=(\d+) 1=(\d+) 2=(\d+)", re.MULTILINE)


class NcnnBackend:
    """Artifacts of ncnn: ``.param`` with the layers, whose inputs state sizes, and ``.bin`` with weights."""

    name = "ncnn"
    formats = ("ncnn",)
    file_formats = (FileFormat("ncnn", (".param", ".bin")),)
    options: tuple[str, ...] = ()

    def version(self) -> str:
        return f"ncnn {_ncnn().__version__}"

    def devices(self) -> Sequence[DeviceInfo]:
        _ncnn()
        return [DeviceInfo("cpu", "any CPU")]

    def open(self, artifact: Artifact, settings: SessionSettings) -> NcnnSession:
        settings.check_options(self.name, self.options)
        settings.check_device(self.name, ["cpu"])
        if settings.precision not in (None, "float32", "bfloat16"):
            raise DeviceError(f"backend 'ncnn' computes in float32 and bfloat16, not in {settings.precision}")
        return NcnnSession(artifact, settings)


class NcnnSession:
    """One network; each call has an extractor of its own, so that threads share the weights alone."""

    device = "cpu"

    def __init__(self, artifact: Artifact, settings: SessionSettings) -> None:
        self.precision = settings.precision or "float32"
        self._net = _ncnn().Net()
        options = self._net.opt
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_packed = options.use_bf16_storage = self.precision == "bfloat16"
        options.num_threads = settings.threads or options.num_threads
        sizes = _load(self._net, artifact)
        self.inputs = tuple(TensorSpec(name, (None, *sizes[name]), "float32") for name in sizes)
        zeros = {spec.name: np.zeros(spec.with_batch(1), np.float32) for spec in self.inputs}
        self.outputs: tuple[TensorSpec, ...] = ()
        answer = self._one(zeros, 0, self._net.output_names())
        self.outputs = tuple(TensorSpec(name, (None, *one.shape), "float32") for name, one in answer.items())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        names = [spec.name for spec in self.outputs]
        rows = [self._one(inputs, place, names) for place in range(len(inputs[self.inputs[0].name]))]
        return {name: np.stack([row[name] for row in rows]) for name in names}

    def close(self) -> None:
        self._net.clear()

    def _one(self, inputs: Mapping[str, Array], place: int, names: Sequence[str]) -> dict[str, Array]:
        with self._net.create_extractor() as extractor:
            for name, array in inputs.items():
                # A copy that ncnn owns: a first layer that works in place crashes on memory of others.
                extractor.input(name, _ncnn().Mat(np.ascontiguousarray(array[place])).clone())
            found = {}
            for name in names:
                status, mat = extractor.extract(name)
                if status != 0:
                    raise InferenceError(f"ncnn failed at output '{name}' with status {status}")
                found[name] = np.array(mat)
            return found


def _load(net: Any, artifact: Artifact) -> dict[str, tuple[int, int, int]]:
    """Load both files, and return the channels, height and width of each input."""
    files = {Path(name).suffix: content for name, content in artifact.files.items()}
    text = files.get(".param", b"").decode("utf-8", "replace")
    lines = text.split("\n")
    layers = lines[1].split()[:1] if len(lines) > 1 else []
    if layers != [str(len([line for line in lines[2:] if line.strip()]))] or not text.endswith("\n"):
        raise ArtifactError(f"{artifact.name}: is not the .param of an ncnn network, or a part of it alone")
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:  # from memory, ncnn reads past the end
        param, weights = Path(folder, "model.param"), Path(folder, "model.bin")
        param.write_text(text)
        weights.write_bytes(files.get(".bin", b""))
        if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0:
            raise ArtifactError(f"{artifact.name}: ncnn cannot load it; convert it again")
    sizes = {name: (int(c), int(h), int(w)) for name, w, h, c in _INPUT.findall(text)}
    missing = set(net.input_names()) - set(sizes)
    if missing or not sizes:
        raise ArtifactError(
            f"{artifact.name}: input '{min(missing, default='')}' does not state its size; write "
            "0=WIDTH 1=HEIGHT 2=CHANNELS at the end of its line"
        )
    return sizes


class NcnnConverter:
    """From Keras: the network as ONNX, by the installed converter for it, and from there by pnnx."""

    name = "keras-ncnn"
    kind = "keras"
    format = "ncnn"
    precisions = ("float32", "float16")

    def convert(self, source: Source, precision: str, calibration: CalibrationData | None) -> Artifact:
        if precision not in self.precisions:
            raise ConversionError(f"keras-ncnn: no precision '{precision}'; ncnn's wheel has no quantizer")
        onnx = registry().converter("keras-onnx").convert(source, "float32", None)
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            model = Path(folder, "model.onnx")
            model.write_bytes(onnx.content)
            shapes = ",".join(str(list(spec.with_batch(1))).replace(" ", "") for spec in source.inputs)
            command = converter_command(model.name, shapes, precision)
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            param, weights = model.with_name("model.ncnn.param"), model.with_name("model.ncnn.bin")
            if done.returncode != 0 or not param.is_file():
                last = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()][-1:]
                raise ConversionError(f"pnnx failed with exit status {done.returncode}: {' '.join(last)}")
            text = _with_interface(param.read_text(), source)
            files = {"model.param": text.encode(), "model.bin": weights.read_bytes()}
        return Artifact(self.format, precision, files)


def _with_interface(text: str, source: Source) -> str:
    """The layers with the source's names of inputs and outputs, and with the sizes of inputs."""
    for side, specs in (("in", source.inputs), ("out", source.outputs)):
        for place, spec in enumerate(specs):
            text = re.sub(rf"(?<=[ \n]){side}{place}(?=[ \n])", spec.name.replace(" ", "_"), text)
    for spec in source.inputs:
        c, h, w = spec.shape[1:]
        text = re.sub(rf"^(Input +{re.escape(spec.name)} .*?) *$", rf"\1 0={w} 1={h} 2={c}", text, flags=re.M)
    return text


def converter_command(model: str, shapes: str, precision: str) -> list[str]:
    """The command that converts an ONNX file, whose inputs have these shapes, such as ``[1,8,8,3]``."""
    return [_pnnx(), model, f"inputshape={shapes}", f"fp16={int(precision == 'float16')}"]


def _ncnn() -> Any:
    try:
        import ncnn
    except ImportError as error:
        raise MissingRuntimeError("ncnn", f"ncnn is not installed: {error}", "pip install ncnn") from error
    return ncnn


def _pnnx() -> str:
    found = find_spec("pnnx")  # importing it would import torch
    for folder in (found.submodule_search_locations or ()) if found else ():
        program = Path(folder, "pnnx")
        if program.is_file():
            return str(program)
    raise MissingRuntimeError("ncnn", "pnnx is not installed", "pip install pnnx")


@edgevision.hookimpl
def edgevision_backends() -> list[NcnnBackend]:
    return [NcnnBackend()]


@edgevision.hookimpl
def edgevision_converters() -> list[NcnnConverter]:
    return [NcnnConverter()]


@edgevision.hookimpl
def edgevision_targets() -> list[Path]:
    return [Path(__file__).with_name("targets.toml")]
