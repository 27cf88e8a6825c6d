"""Run TFLite artifacts: one interpreter per slot, loaded from the bytes whose digest was checked."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgevision.artifact import DESCRIPTION_KEY, TFLITE, Artifact
from edgevision.backend import (
    ArtifactDescription,
    DeviceInfo,
    Session,
    SessionSettings,
    check_open_sizes,
    fixed_image_shape,
)
from edgevision.errors import ArtifactError, DeviceError, InferenceError, OptionError, first_line
from edgevision.slots import PooledSession, SlotPool
from edgevision.system.shown import shown
from edgevision.tensors import Array, Quantization, TensorSpec
from edgevision_tflite.integrity import check_complete
from edgevision_tflite.metadata import describe
from edgevision_tflite.runtime import Runtime, find_runtime

if TYPE_CHECKING:  # what only conversions and bare files need
    from edgevision.description import DescribedArtifact, ModelDescription
    from edgevision.graph import EditableGraph

#: The operator that stands for what an Edge TPU computes.
#: CPU threads of a call where the caller sets none.
_CALL_THREADS = 1
_EDGE_TPU = b"edgetpu-custom-op"


class TFLiteBackend:
    """TFLite artifacts on the CPU, or on the device of a delegate's library."""

    name = "tflite"
    formats = ("tflite",)
    file_formats = (TFLITE,)
    options = ("delegate", "delegate_options")

    def version(self) -> str:
        """As `Backend.version`."""
        return find_runtime().version

    def devices(self) -> Sequence[DeviceInfo]:
        """The CPU; devices of delegates cannot be listed, and are requested with option `delegate`."""
        return [DeviceInfo("cpu", find_runtime().version)]

    def describe(self, artifact: Artifact) -> ArtifactDescription:
        """As `DescribingBackend.describe`: the TFLite Metadata in the file."""
        return describe(artifact)

    def write_description(self, artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
        """As `edgevision.description.SelfDescribingFormat.write_description`."""
        from edgevision_tflite.describing import write_description  # not needed to run a model

        return write_description(artifact, description)

    def read_description(self, artifact: Artifact) -> ModelDescription | None:
        """As `edgevision.description.SelfDescribingFormat.read_description`."""
        # Not in most files; the reader takes milliseconds to import.
        if DESCRIPTION_KEY.encode() not in artifact.content:
            return None
        from edgevision_tflite.describing import read_description

        return read_description(artifact)

    def editable_graph(self, artifact: Artifact) -> EditableGraph:
        """As `edgevision.graph.GraphFormat.editable_graph`."""
        from edgevision_tflite.graph import TFLiteGraph

        return TFLiteGraph(artifact)

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`.

        Options:
            delegate: path of a delegate's library, such as ``libedgetpu.so.1``.
            delegate_options: a mapping of options for that library.
        """
        settings.check_options(self.name, self.options)
        runtime = find_runtime()
        delegate = _requested_delegate(settings)
        device = f"delegate:{delegate.name}" if delegate else "cpu"
        settings.check_device(
            self.name, [device], "for another omit device and pass option delegate=PATH_OF_ITS_LIBRARY"
        )
        check_complete(artifact)
        loader = _Loader(artifact, runtime, settings.threads, delegate)
        interpreter = loader.load()
        graph = _read_graph(loader, interpreter, settings.image_size_wh)
        slots = SlotPool(lambda batch: _TFLiteSlot(loader, loader.load(), graph, batch))
        slots.add(1, _TFLiteSlot(loader, interpreter, graph, 1))
        precision = _precision(graph, delegate, settings)
        return PooledSession(
            graph.inputs,
            graph.outputs,
            device,
            precision,
            slots,
            reports_placement=delegate is None,
            call_threads=settings.threads or _CALL_THREADS,
        )


class _Delegate(NamedTuple):
    path: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        return PurePath(self.path).name

    def load(self, runtime: Runtime) -> Any:
        # Checked first, because the runtime's own loader leaves half-initialized objects, whose
        # finalizers complain, if the library is missing or not a delegate.
        try:
            ctypes.CDLL(self.path).tflite_plugin_create_delegate  # noqa: B018
        except OSError as error:
            raise DeviceError(
                f"delegate '{self.path}' cannot be loaded: {first_line(error)}; install the vendor's library "
                "or pass its full path in option delegate"
            ) from error
        except AttributeError as error:
            raise DeviceError(
                f"delegate '{self.path}' is a library without tflite_plugin_create_delegate; "
                "pass the path of a TFLite external delegate in option delegate"
            ) from error
        try:
            return runtime.load_delegate(self.path, dict(self.options))
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise DeviceError(
                f"delegate '{self.path}' refuses to start: {reason}; is its device plugged in and free, "
                "and does it support these delegate_options?"
            ) from error


class _Loader(NamedTuple):
    """Creates interpreters of one artifact, each with a delegate of its own: they cannot be shared."""

    artifact: Artifact
    runtime: Runtime
    threads: int | None
    delegate: _Delegate | None

    def load(self) -> Any:
        """An interpreter, allocated for the batch size stored in the artifact."""
        delegates = [self.delegate.load(self.runtime)] if self.delegate else None
        try:
            # How much of the graph the delegate runs is not known: it may leave any part of it, even
            # all, to the CPU, and the runtime does not report that.
            interpreter = self.runtime.interpreter(
                model_content=self.artifact.content,
                num_threads=self.threads,
                experimental_delegates=delegates,
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            if self.delegate is None and _EDGE_TPU in self.artifact.content:
                raise DeviceError(
                    f"{self.artifact.name}: is compiled for an Edge TPU; pass its library in option "
                    f"delegate, such as libedgetpu.so.1"
                ) from error
            raise self.refusal(error) from error
        return interpreter

    def resize(self, interpreter: Any, index: int, shape: tuple[int, ...]) -> None:
        """Give an input of an interpreter its size."""
        try:
            interpreter.resize_tensor_input(index, shape, strict=True)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise self.refusal(error) from error

    def refusal(self, error: Exception) -> ArtifactError:
        """The error for an artifact that the runtime refuses."""
        return ArtifactError(f"{self.artifact.name}: {self.runtime.version} refuses it: {first_line(error)}")


class _Graph(NamedTuple):
    """Inputs and outputs of an artifact; the indices are the runtime's, in the order of the specs."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_indices: tuple[int, ...]
    output_indices: tuple[int, ...]
    full_integer: bool


class _TFLiteSlot:
    """One interpreter, allocated for one batch size.

    The runtime refuses to run while a view of its memory exists, so `inputs` are separate arrays, which
    `feed` copies in.
    """

    def __init__(self, loader: _Loader, interpreter: Any, graph: _Graph, batch: int) -> None:
        self._interpreter = interpreter
        self.invoke: Callable[[], None] = interpreter.invoke
        self.inputs: dict[str, Array] = {
            spec.name: np.zeros(spec.with_batch(batch), spec.dtype) for spec in graph.inputs
        }
        self._fed = tuple(zip(graph.input_indices, self.inputs.values(), strict=True))
        self._read = tuple(zip((spec.name for spec in graph.outputs), graph.output_indices, strict=True))
        try:
            stored = {tensor["index"]: tuple(tensor["shape"]) for tensor in interpreter.get_input_details()}
            for spec, (index, array) in zip(graph.inputs, self._fed, strict=True):
                if spec.dynamic_batch or stored[index] != array.shape:
                    self._interpreter.resize_tensor_input(index, array.shape, strict=True)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise loader.refusal(error) from error

    def run(self) -> dict[str, Array]:
        """As `Slot.run`."""
        try:
            self.feed()
            self.invoke()
            return self.fetch()
        except (ValueError, RuntimeError, MemoryError) as error:
            raise InferenceError(f"TFLite failed during inference: {first_line(error)}") from error

    def feed(self) -> None:
        """As `StagedSlot.feed`."""
        for index, array in self._fed:
            self._interpreter.set_tensor(index, array)

    def fetch(self) -> dict[str, Array]:
        """As `StagedSlot.fetch`."""
        return {name: self._interpreter.get_tensor(index) for name, index in self._read}


def _requested_delegate(settings: SessionSettings) -> _Delegate | None:
    path = settings.options.get("delegate")
    options = settings.options.get("delegate_options", {})
    if not isinstance(options, Mapping):
        raise OptionError(f"delegate_options: expected a mapping, got {type(options).__name__}")
    if path is None:
        if options:
            raise OptionError("delegate_options: passed without option delegate, the path of the library")
        return None
    if not isinstance(path, (str, PurePath)) or not str(path):
        raise OptionError(f"delegate: expected the path of a library, got {shown(path)}")
    return _Delegate(str(path), options)


def _precision(graph: _Graph, delegate: _Delegate | None, settings: SessionSettings) -> str:
    if graph.full_integer:
        return "int8"
    if delegate is None:
        return "float32"  # on the CPU float16 weights become float32 when they are loaded
    if settings.precision is not None:
        raise DeviceError(
            f"delegate '{delegate.path}' does not report the precision in which it computes, so "
            f"{settings.precision} cannot be guaranteed; omit precision, or the delegate"
        )
    return "unknown"


def _read_graph(loader: _Loader, interpreter: Any, image_size_wh: tuple[int, int] | None) -> _Graph:
    artifact = loader.artifact
    input_details, output_details = _named_details(interpreter)
    inputs = []
    for name, details in input_details.items():
        spec = _spec(name, details)
        fixed = fixed_image_shape(artifact, name, spec.shape, image_size_wh)
        inputs.append(replace(spec, shape=fixed))
        if fixed != spec.shape:
            loader.resize(interpreter, details["index"], inputs[-1].with_batch(1))
    check_open_sizes(artifact, inputs)
    if any(None in _spec(name, details).shape[1:] for name, details in output_details.items()):
        output_details = _named_details(interpreter)[1]  # with the sizes that follow from the input's
    return _Graph(
        tuple(inputs),
        tuple(_output_spec(name, details) for name, details in output_details.items()),
        tuple(details["index"] for details in input_details.values()),
        tuple(details["index"] for details in output_details.values()),
        full_integer=all(np.dtype(d["dtype"]).kind in "iub" for d in interpreter.get_tensor_details()),
    )


def _named_details(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Name -> details of the inputs and of the outputs, in the graph's order."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(interpreter.get_signature_list()) == 1:
        runner = interpreter.get_signature_runner()
        named = _renamed(runner.get_input_details(), inputs), _renamed(runner.get_output_details(), outputs)
        if named[0] and named[1]:
            return named
    return _by_tensor_name(inputs), _by_tensor_name(outputs)


def _renamed(signature: Mapping[str, Any], details: list[Any]) -> dict[str, Any]:
    """`details` by their names in the signature; empty if the two do not match one to one."""
    names = {tensor["index"]: name for name, tensor in signature.items()}
    if len(names) != len(signature) or sorted(names) != sorted(tensor["index"] for tensor in details):
        return {}
    return {names[tensor["index"]]: tensor for tensor in details}


def _by_tensor_name(details: list[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for tensor in details:
        # The format does not guarantee unique names.
        name = tensor["name"]
        named[f"{name}#{tensor['index']}" if name in named else name] = tensor
    return named


def _spec(name: str, details: Mapping[str, Any]) -> TensorSpec:
    sizes = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    return TensorSpec(
        name,
        tuple(None if size < 0 else int(size) for size in sizes),
        np.dtype(details["dtype"]).name,
        _quantization(details),
    )


def _output_spec(name: str, details: Mapping[str, Any]) -> TensorSpec:
    """An output, with the sizes that follow from a fixed input where the file leaves them open."""
    spec = _spec(name, details)
    actual = tuple(int(size) for size in details["shape"])
    if len(actual) != len(spec.shape) or None not in spec.shape[1:]:
        return spec
    return replace(spec, shape=(spec.shape[0], *actual[1:]))


def _quantization(details: Mapping[str, Any]) -> Quantization | None:
    scale, zero_point = details["quantization"]
    if not scale:  # the format has scale 0 for a tensor that is not quantized
        return None
    return Quantization(float(scale), int(zero_point))
