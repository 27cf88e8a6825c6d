"""A backend without a runtime, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import DeviceInfo, Session, SessionSettings
from edgevision.errors import ArtifactError
from edgevision.slots import PooledSession, SlotPool, batch_of
from edgevision.tensors import Array, Quantization, TensorSpec

#: Output name -> its values, or a function from the inputs to such a mapping.
Answers = Mapping[str, Any] | Callable[[Mapping[str, Array]], Mapping[str, Any]]


class FakeBackend:
    """A deterministic backend without a runtime; its artifacts are a few lines of JSON.

    An output without an answer is computed from the inputs of the same row, so that different images
    get different answers.

    Args:
        answers: output name -> value that can be broadcast to the output's shape, or a function from the
            inputs to such a mapping, which may also raise. Can be replaced at any time, also while
            sessions are open.

    Example::

        >>> spec = TensorSpec("image", (None, 8, 8, 3), "float32")
        >>> scores = TensorSpec("scores", (None, 2), "float32")
        >>> backend = FakeBackend(answers={"scores": [0.25, 0.75]})
        >>> session = backend.open(backend.artifact([spec], [scores]), SessionSettings())
        >>> session.run({"image": np.zeros((1, 8, 8, 3), np.float32)})["scores"].tolist()
        [[0.25, 0.75]]
    """

    name = "fake"
    formats = ("fake",)
    options: tuple[str, ...] = ()

    def __init__(self, answers: Answers | None = None) -> None:
        self.answers: Answers = answers or {}

    @staticmethod
    def artifact(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Artifact:
        """An artifact with these inputs and outputs."""
        tensors = {"inputs": [asdict(spec) for spec in inputs], "outputs": [asdict(spec) for spec in outputs]}
        return Artifact("fake", "float32", {"model.fake": json.dumps(tensors).encode()})

    def version(self) -> str:
        """As `Backend.version`."""
        return "fake 1"

    def devices(self) -> Sequence[DeviceInfo]:
        """One device, ``cpu``."""
        return [DeviceInfo("cpu", "no real device")]

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`."""
        settings.check_options(self.name, self.options)
        settings.check_device(self.name, ["cpu"])
        try:
            tensors = json.loads(artifact.content)
            inputs, outputs = _specs(tensors["inputs"]), _specs(tensors["outputs"])
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{artifact.name}: not an artifact of the fake backend: {error}") from error
        slots = SlotPool(lambda batch: _FakeSlot(self, inputs, outputs, batch))
        return PooledSession(inputs, outputs, "cpu", "float32", slots)


class _FakeSlot:
    def __init__(
        self, backend: FakeBackend, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], batch: int
    ) -> None:
        self.inputs = {spec.name: np.zeros(spec.with_batch(batch), spec.dtype) for spec in inputs}
        self._backend = backend
        self._specs = inputs
        self._outputs = outputs

    def run(self) -> dict[str, Array]:
        answers = self._backend.answers
        values = answers(self.inputs) if callable(answers) else answers
        return {spec.name: self._answer(spec, values) for spec in self._outputs}

    def _answer(self, spec: TensorSpec, values: Mapping[str, Any]) -> Array:
        shape = spec.with_batch(batch_of(self._specs, self.inputs))
        if spec.name in values:
            return np.broadcast_to(np.asarray(values[spec.name]), shape).astype(spec.dtype)
        rows = shape[0] if spec.dynamic_batch else 1
        sums = sum(array.reshape(rows, -1).sum(axis=1, dtype=np.float64) for array in self.inputs.values())
        steps = np.arange(int(np.prod(shape)) // rows)
        return ((np.reshape(sums, (rows, 1)) + steps) % 100).astype(spec.dtype).reshape(shape)


def _specs(rows: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            row["name"],
            tuple(row["shape"]),
            np.dtype(row["dtype"]).name,
            Quantization(**row["quantization"]) if row["quantization"] else None,
        )
        for row in rows
    )
