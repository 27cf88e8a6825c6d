"""A backend's session behind the core's checks: the same wrong input, the same words, everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import Backend, LeasingSession, Session, SessionSettings, Slot
from edgevision.errors import DeviceError, InferenceError, InputError, OptionError, SessionClosedError
from edgevision.tensors import Array, TensorSpec, check_inputs

_PRECISIONS = (None, "float32", "float16", "bfloat16")


def open_session(
    backend: Backend, artifact: Artifact, settings: SessionSettings | None = None
) -> CheckedSession:
    """Load `artifact` with `backend`.

    Raises:
        OptionError: the backend has no such option, or does not load this format.
        MissingRuntimeError, DeviceError, ArtifactError: as `Backend.open`.
    """
    settings = settings or SessionSettings()
    if artifact.format not in backend.formats:
        raise OptionError(
            f"backend '{backend.name}' does not load {artifact.format} artifacts ({artifact.name}); "
            f"it loads: {', '.join(backend.formats)}"
        )
    if settings.precision not in _PRECISIONS:
        known = ", ".join(filter(None, _PRECISIONS))
        raise OptionError(f"precision: expected one of {known}, got '{settings.precision}'")
    settings.check_options(backend.name, backend.options)
    session = backend.open(artifact, settings)
    if settings.precision not in (None, session.precision):
        session.close()
        raise DeviceError(
            f"backend '{backend.name}' would run {artifact.name} in {session.precision} on "
            f"{session.device}, not in {settings.precision} as asked for; "
            f"ask for {session.precision}, or for another device"
        )
    return CheckedSession(session, backend.name, settings.threads)


class CheckedSession:
    """One artifact on one device: tensors in, tensors out. Safe to share between threads.

    Args:
        session: what the backend's `open` gave.
        backend: the backend's name.
        threads: that were asked for.

    Attributes:
        backend: the backend's name.
        threads: CPU threads for one call; `None` where the choice was left to the runtime.
        inputs, outputs: specs of the tensors; `None` in a shape is an open batch.
        device: where it really runs.
        precision: what the float parts are really computed in.
        fallback_nodes: names of the nodes that run on the CPU instead of `device`, because the
            caller allowed it; empty otherwise.
    """

    def __init__(self, session: Session, backend: str, threads: int | None = None) -> None:
        self.backend = backend
        self.threads = threads
        self.inputs: tuple[TensorSpec, ...] = session.inputs
        self.outputs: tuple[TensorSpec, ...] = session.outputs
        self.device: str = session.device
        self.precision: str = session.precision
        self.fallback_nodes: tuple[str, ...] = getattr(session, "fallback_nodes", ())
        self._session = session
        self._fixed = tuple(spec for spec in self.inputs if spec.shape and not spec.dynamic_batch)
        # Asked once: isinstance with a protocol takes microseconds.
        self._lease = session.lease if isinstance(session, LeasingSession) else self._lease_by_copy
        self._closed = False

    @property
    def dynamic_batch(self) -> bool:
        """Whether one call takes as many images as the caller likes."""
        return all(spec.dynamic_batch for spec in self.inputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once.

        Args:
            inputs: name -> array of the shape and dtype that `inputs` says. Only read.

        Returns:
            name -> array, for every output; the caller owns the arrays.

        Raises:
            InputError: a tensor is missing, unknown, of another shape or dtype, or not finite.
            InferenceError: the runtime failed.
            SessionClosedError: `close` was called before.
        """
        self._check_open()
        check_inputs(self.inputs, inputs)
        return self._checked(self._session.run({k: np.ascontiguousarray(v) for k, v in inputs.items()}))

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """Lend memory for the inputs of one call, and the call itself, to the calling thread.

        Write into ``slot.inputs[name]``, then call ``slot.run()``. What is written there is
        not checked for NaN and infinity: this way is for preprocessing that cannot make them.

        Raises:
            InputError: the artifact has a fixed batch, and it is another.
            SessionClosedError: `close` was called before.
        """
        self._check_open()
        for spec in self._fixed:
            if spec.shape[0] != batch:
                raise InputError(f"input '{spec.name}': takes a batch of {spec.shape[0]}, not {batch}")
        return self._lease(batch)

    @contextmanager
    def watched(self, watch: Callable[[Slot], Slot]) -> Iterator[None]:
        """Lend every slot as `watch` wraps it, until the block ends: for measuring, by one thread."""
        lease = self._lease

        @contextmanager
        def watched_lease(batch: int = 1) -> Iterator[Slot]:
            with lease(batch) as slot:
                yield watch(slot)

        self._lease = watched_lease
        try:
            yield
        finally:
            self._lease = lease

    def __str__(self) -> str:
        return f"{self.backend} on {self.device}, {self.precision}"

    def close(self) -> None:
        """Give back what the runtime holds. May be called twice."""
        self._closed = True
        self._session.close()

    def __enter__(self) -> CheckedSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _lease_by_copy(self, batch: int) -> Iterator[Slot]:
        yield _CopyingSlot(
            self, {spec.name: np.zeros(spec.with_batch(batch), spec.dtype) for spec in self.inputs}
        )

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosedError("the session is closed; open it again with edgevision.load(…)")

    def _checked(self, outputs: dict[str, Array]) -> dict[str, Array]:
        expected = [spec.name for spec in self.outputs]
        if sorted(outputs) != sorted(expected):
            raise InferenceError(f"backend '{self.backend}' gave outputs {sorted(outputs)}, not {expected}")
        return outputs


class _CopyingSlot:
    """A slot for sessions that have no memory of their own to lend."""

    def __init__(self, session: CheckedSession, inputs: dict[str, Array]) -> None:
        self.inputs = inputs
        self._session = session

    def run(self) -> dict[str, Array]:
        return self._session.run(self.inputs)
