"""ONNX Runtime's sessions, one per batch size, and the bindings that run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import check_open_sizes, fixed_image_shape
from edgevision.errors import ArtifactError, InferenceError
from edgevision.slots import ModelCache
from edgevision.system.onnx_file import complete, invalid, with_sizes
from edgevision.system.protobuf import WireError
from edgevision.tensors import Array, TensorSpec
from edgevision_onnxruntime.runtime import CPU, reason

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class NodePlacement:
    """Where the nodes of a session run.

    Attributes:
        providers: ONNX Runtime's providers with their options, the requested one first.
        entries: session configuration entries.
        memory: ``cpu`` or ``cuda``: where inputs and outputs lie during a run.
        index: number of the GPU.
    """

    providers: tuple[tuple[str, Mapping[str, str]], ...] = ((CPU, {}),)
    entries: Mapping[str, str] = field(default_factory=dict)
    memory: str = "cpu"
    index: int = 0


class Sessions:
    """One `onnxruntime.InferenceSession` per requested batch size.

    The open batch is fixed in each session, which folds shape arithmetic away: CUDA without
    fallback needs that, and outputs can be bound to memory that is kept.

    Args:
        runtime: the module `onnxruntime`.
        artifact: an ONNX file.
        threads: CPU threads for one call; `None` leaves the choice to ONNX Runtime.
        placement: batch size -> where to run.
        check: called with each new session; raises if it is not as requested.
        image_size_wh: as in `edgevision.backend.SessionSettings`.

    Attributes:
        inputs, outputs: as in `edgevision.backend.Session`.
    """

    def __init__(
        self,
        runtime: Any,
        artifact: Artifact,
        threads: int | None,
        placement: Callable[[int], NodePlacement],
        check: Callable[[Any], None] = lambda session: None,
        image_size_wh: tuple[int, int] | None = None,
    ) -> None:
        self._runtime = runtime
        self._artifact = artifact
        self._content = complete(artifact.files)
        self._threads = threads
        self._placement = placement
        self._check = check
        self._sessions: ModelCache[int, Any] = ModelCache()
        probe = self._with_image_size(self._probe(), image_size_wh)
        self._open_sizes = [
            port.shape[0] for port in probe.get_inputs() if port.shape and not isinstance(port.shape[0], int)
        ]
        self.inputs = self._input_specs(probe.get_inputs())
        self.outputs = self._output_specs(probe.get_outputs(), self.for_batch(1).get_outputs())

    def for_batch(self, batch: int) -> Any:
        """The session for `batch`.

        Raises:
            ArtifactError: ONNX Runtime refuses the artifact.
            DeviceError: raised by `check`.
        """
        return self._sessions.get(batch if self._open_sizes else 1, self._create)

    def slot(self, batch: int) -> OnnxSlot:
        """A slot for `batch`."""
        shapes = {spec.name: spec.with_batch(batch) for spec in self.inputs}
        placement = self._placement(batch)
        return OnnxSlot(self._runtime, self.for_batch(batch), shapes, self.inputs, placement)

    def _create(self, batch: int) -> Any:
        try:
            session = self._unchecked(self._placement(batch), batch)
        except Exception as error:  # its exceptions share no base of their own
            raise self._refusal(error) from error
        self._check(session)
        return session

    def _unchecked(self, placement: NodePlacement, batch: int) -> Any:
        options = self._options()
        for name in {size for size in self._open_sizes if isinstance(size, str)}:
            options.add_free_dimension_override_by_name(name, batch)
        for key, value in placement.entries.items():
            options.add_session_config_entry(key, value)
        return self._runtime.InferenceSession(
            self._content,
            options,
            providers=[(name, dict(settings)) for name, settings in placement.providers],
            enable_fallback=0,
        )

    def _probe(self) -> Any:
        """A session that is never run: it shows which sizes are open."""
        options = self._options()
        options.graph_optimization_level = self._runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return self._runtime.InferenceSession(self._content, options, providers=[CPU])
        except Exception as error:  # its exceptions share no base of their own
            raise self._refusal(error) from error

    def _with_image_size(self, probe: Any, image_size_wh: tuple[int, int] | None) -> Any:
        """The probe, or one of the model with its open image size fixed."""
        changed = False
        for port in probe.get_inputs():
            sizes = _sizes(port)
            fixed = fixed_image_shape(self._artifact, port.name, sizes, image_size_wh)
            if fixed != sizes:
                changed = True
                try:
                    self._content = with_sizes(self._content, port.name, fixed)
                except WireError as error:
                    raise invalid(self._artifact.name, error) from error
        return self._probe() if changed else probe

    def _options(self) -> Any:
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        options.use_deterministic_compute = True
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        return options

    def _refusal(self, error: Exception) -> ArtifactError:
        return ArtifactError(f"{self._artifact.name}: ONNX Runtime refuses it: {reason(error)}")

    def _input_specs(self, ports: Sequence[Any]) -> tuple[TensorSpec, ...]:
        specs = tuple(TensorSpec(port.name, _sizes(port), self._dtype(port)) for port in ports)
        check_open_sizes(self._artifact, specs)
        return specs

    def _output_specs(self, ports: Sequence[Any], fixed_ports: Sequence[Any]) -> tuple[TensorSpec, ...]:
        """The outputs, with the sizes that ONNX Runtime infers for a fixed batch."""
        specs = []
        for port, fixed in zip(ports, fixed_ports, strict=True):
            shape = _sizes(fixed)
            if self._open_sizes and shape and _sizes(port)[0] is None:
                shape = (None, *shape[1:])
            specs.append(TensorSpec(port.name, shape, self._dtype(port)))
        return tuple(specs)

    def _dtype(self, port: Any) -> str:
        if port.type not in _DTYPES:
            raise ArtifactError(
                f"{self._artifact.name}: tensor '{port.name}' is {port.type}, which numpy does not have"
            )
        return _DTYPES[port.type]


class OnnxSlot:
    """A binding of a session to memory that is kept: on the CPU, to `inputs` themselves."""

    def __init__(
        self,
        runtime: Any,
        session: Any,
        shapes: Mapping[str, tuple[int, ...]],
        inputs: Sequence[TensorSpec],
        placement: NodePlacement,
    ) -> None:
        self.inputs: dict[str, Array] = {
            spec.name: np.zeros(shapes[spec.name], spec.dtype) for spec in inputs
        }
        self._session = session
        self._binding = session.io_binding()
        self._names = [port.name for port in session.get_outputs()]
        self._on_gpu = placement.memory != "cpu"
        value = runtime.OrtValue
        # On the CPU the value is the array's own memory; on the GPU a copy, which `feed` refreshes.
        self._fed = [
            (value.ortvalue_from_numpy(array, placement.memory, placement.index), array)
            for array in self.inputs.values()
        ]
        for name, (ort_value, _) in zip(self.inputs, self._fed, strict=True):
            self._binding.bind_ortvalue_input(name, ort_value)
        self._kept: list[Array] = []
        self._bind_outputs(value, session.get_outputs())

    def run(self) -> dict[str, Array]:
        """As `Slot.run`."""
        try:
            self.feed()
            self.invoke()
            return self.fetch()
        except Exception as error:  # its exceptions share no base of their own
            raise InferenceError(f"ONNX Runtime failed during inference: {reason(error)}") from error

    def feed(self) -> None:
        """As `StagedSlot.feed`: on the CPU the session reads `inputs` themselves."""
        if self._on_gpu:
            for ort_value, array in self._fed:
                ort_value.update_inplace(array)
            self._binding.synchronize_inputs()

    def invoke(self) -> None:
        """As `StagedSlot.invoke`."""
        self._session.run_with_iobinding(self._binding)

    def fetch(self) -> dict[str, Array]:
        """As `StagedSlot.fetch`."""
        return dict(zip(self._names, self._results(), strict=True))

    def _bind_outputs(self, value: Any, ports: Sequence[Any]) -> None:
        static = all(isinstance(size, int) for port in ports for size in port.shape)
        if self._on_gpu or not static:
            for port in ports:
                self._binding.bind_output(port.name)
            return
        for port in ports:
            self._kept.append(np.zeros(port.shape, _DTYPES[port.type]))
            self._binding.bind_ortvalue_output(port.name, value.ortvalue_from_numpy(self._kept[-1]))

    def _results(self) -> list[Array]:
        """Copies that the caller owns."""
        if self._kept:
            return [array.copy() for array in self._kept]
        return [np.array(array) for array in self._binding.copy_outputs_to_cpu()]


def _sizes(port: Any) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in port.shape)
