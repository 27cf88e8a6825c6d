"""Models compiled for a fixed batch size, and the requests that run them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from edgevision.artifact import Artifact
from edgevision.errors import InferenceError, first_line
from edgevision.slots import ModelCache
from edgevision.tensors import Array, TensorSpec
from edgevision_openvino.model import open_batch, refusal
from edgevision_openvino.runtime import core, import_openvino

#: Compiled models that are kept: for two batch sizes, each for calls one at a time and for parallel calls.
_KEPT = 4
_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


class CompiledModels:
    """A model, compiled per requested batch size.

    Args:
        artifact: the artifact, for errors.
        model: the `openvino.Model` read from it.
        inputs: specs of its inputs.
        device: OpenVINO's name of the device, such as ``GPU.1``.
        config: OpenVINO's properties for one call at a time.
        parallel: properties that replace these for parallel calls; `None` or empty if the same compiled
            model serves both.
    """

    def __init__(
        self,
        artifact: Artifact,
        model: Any,
        inputs: Sequence[TensorSpec],
        device: str,
        config: Mapping[str, Any],
        parallel: Mapping[str, Any] | None = None,
    ) -> None:
        self._artifact = artifact
        self._model = model
        self._inputs = inputs
        self._device = device
        self._config = dict(config)
        self._parallel = dict(parallel or {})
        self._compiled: ModelCache[tuple[int, bool], Any] = ModelCache(_KEPT)

    def for_batch(self, batch: int, parallel: bool = False) -> Any:
        """The model, compiled for `batch` and for one call at a time or for parallel calls.

        Raises:
            ArtifactError: the device refuses the model at this size.
        """
        key = (batch if open_batch(self._inputs) else 0, parallel and bool(self._parallel))
        return self._compiled.get(key, self._compile)

    def first_device(self) -> str:
        """The device that the model actually runs on, such as ``cpu`` or ``gpu:0``."""
        device = self.for_batch(1).get_property("EXECUTION_DEVICES")[0]
        return str(device).strip("()").lower().replace(".", ":")

    def precision(self) -> str:
        """The precision of the float parts, as the compiled model reports it."""
        name = self.for_batch(1).get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return _NAMES.get(name, str(name))

    def _compile(self, key: tuple[int, bool]) -> Any:
        batch, parallel = key
        try:
            model = self._model.clone()
            if open_batch(self._inputs):
                shapes = [list(spec.with_batch(batch)) for spec in self._inputs]
                model.reshape(dict(zip(model.inputs, shapes, strict=True)))
            config = {**self._config, **self._parallel} if parallel else self._config
            return core().compile_model(model, self._device, config)
        except RuntimeError as error:
            raise refusal(self._artifact, error) from error


class SlotFactory:
    """Creates slots: the first of a batch size for one call at a time, further ones for parallel calls.

    A model with several streams hands each call to another thread, which takes 40 to 90 µs longer than
    with one stream, whose calls run in the caller's thread, but one after the other.
    """

    def __init__(
        self, models: CompiledModels, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        self._models = models
        self._inputs = inputs
        self._outputs = outputs
        self._first: WeakValueDictionary[int, OpenVINOSlot] = WeakValueDictionary()
        self._lock = threading.Lock()

    def __call__(self, batch: int) -> OpenVINOSlot:
        """A new slot for `batch`, while all earlier ones may be in use."""
        with self._lock:
            if batch in self._first:
                return self._slot(batch, parallel=True)
            slot = self._first[batch] = self._slot(batch, parallel=False)
            return slot

    def _slot(self, batch: int, parallel: bool) -> OpenVINOSlot:
        return OpenVINOSlot(self._models.for_batch(batch, parallel), self._inputs, self._outputs)


class OpenVINOSlot:
    """One request, whose input tensors are `inputs` themselves: inputs are not copied."""

    def __init__(self, compiled: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        tensor = import_openvino().Tensor
        self._request = compiled.create_infer_request()
        self.inputs: dict[str, Array] = {}
        for position, (spec, port) in enumerate(zip(inputs, compiled.inputs, strict=True)):
            self.inputs[spec.name] = np.zeros(tuple(port.shape), spec.dtype)
            self._request.set_input_tensor(position, tensor(self.inputs[spec.name], shared_memory=True))
        self._names = [spec.name for spec in outputs]
        self._static = all(port.partial_shape.is_static for port in compiled.outputs)

    def run(self) -> dict[str, Array]:
        """As `Slot.run`."""
        try:
            self.invoke()
            return self.fetch()
        except (RuntimeError, MemoryError) as error:
            raise InferenceError(f"OpenVINO failed during inference: {first_line(error)}") from error

    def feed(self) -> None:
        """As `StagedSlot.feed`: the request reads `inputs` themselves."""

    # A method: an attribute that holds one would make a cycle, and the request and its compiled model would
    # stay until the garbage collector runs.
    def invoke(self) -> None:
        """As `StagedSlot.invoke`."""
        if self._static:
            self._request.infer(share_outputs=True)
        else:  # 90 µs more than the blocking call, which is as strict where all shapes are static
            self._request.start_async()
            self._request.wait()

    def fetch(self) -> dict[str, Array]:
        """As `StagedSlot.fetch`."""
        request = self._request
        return {name: request.get_output_tensor(i).data.copy() for i, name in enumerate(self._names)}
