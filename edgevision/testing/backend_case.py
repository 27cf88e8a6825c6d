"""A backend under test, with what its rules share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.errors import EdgeVisionError
from edgevision.session import CheckedSession, open_session
from edgevision.slots import batch_of
from edgevision.tensors import Array, TensorSpec
from edgevision.testing.contract import expect, expect_raises


@dataclass(frozen=True)
class BackendCase:
    """A backend under test, with an artifact, on a device.

    Attributes:
        backend, artifact, device: what is run, and where.
        example: name -> array, one valid call; `None` if inputs are drawn.
        expected: output name -> array, the right answer to `example`; `None` if it is not known.
    """

    backend: Backend
    artifact: Artifact
    device: str
    example: Mapping[str, Array] | None
    expected: Mapping[str, Array] | None = None

    @property
    def subject(self) -> str:
        """The backend, for messages."""
        return subject_of(self.backend)

    def open(self, artifact: Artifact | None = None, **settings: Any) -> CheckedSession:
        """A session on the device; settings as those of `SessionSettings`."""
        return open_session(
            self.backend, artifact or self.artifact, SessionSettings(device=self.device, **settings)
        )

    def inputs(self, session: CheckedSession, seed: int = 0, batch: int = 1) -> dict[str, Array]:
        """A valid call; a different one for each seed."""
        return {spec.name: self._array(spec, seed, batch) for spec in session.inputs}

    def both(self, session: CheckedSession, inputs: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
        """The answers of ``run``, and of a slot that ``lease`` lends."""
        answer = {name: np.array(array) for name, array in session.run(inputs).items()}
        return {"run": answer, "lease": run_leased(session, inputs)}

    def expect(self, holds: bool, message: str) -> None:
        """As `edgevision.testing.contract.expect`, with the artifact and the device."""
        expect(holds, self.subject, f"{message} (artifact {self.artifact.name}, device {self.device})")

    def expect_raises(self, kind: type[EdgeVisionError], action: str) -> AbstractContextManager[None]:
        """As `edgevision.testing.contract.expect_raises`."""
        return expect_raises(kind, self.subject, action)

    def _array(self, spec: TensorSpec, seed: int, batch: int) -> Array:
        shape = spec.with_batch(batch)
        if self.example is not None:
            # Shifted and darkened: an average over the image would not notice the shift alone.
            rolled = np.roll(self.example[spec.name].reshape(-1), 7 * seed) * (1 - seed / 16)
            return np.resize(rolled, shape).astype(spec.dtype)
        random = np.random.default_rng([seed, batch])
        if np.dtype(spec.dtype).kind == "f":
            return random.random(shape).astype(spec.dtype)
        if spec.dtype == "bool":
            return random.random(shape) < 0.5
        limits = np.iinfo(spec.dtype)
        return random.integers(limits.min, limits.max, shape, dtype=spec.dtype, endpoint=True)


def run_leased(session: CheckedSession, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The answer of a leased slot."""
    with session.lease(batch_of(session.inputs, inputs)) as slot:
        for name, array in inputs.items():
            slot.inputs[name][...] = array
        return slot.run()


def same(ones: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    """True if each array of the second is equal to that of the first."""
    return all(np.array_equal(ones[name], others[name]) for name in others)


def close(ones: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    """Equal up to the order of float additions, which may differ between batch sizes."""
    return all(
        ones[name].shape == others[name].shape and np.allclose(ones[name], others[name], rtol=1e-3, atol=1e-5)
        for name in others
    )


def subject_of(backend: Backend) -> str:
    """A backend, for messages."""
    return f"backend '{getattr(backend, 'name', type(backend).__name__)}'"
