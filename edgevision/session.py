"""Sessions with checked inputs and outputs: every backend reports the same mistake in the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from math import prod
from types import TracebackType
from typing import NoReturn

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import Backend, LeasingSession, Session, SessionSettings, Slot
from edgevision.errors import (
    ArtifactError,
    CopyError,
    DeviceError,
    EdgeVisionError,
    ForkedSessionError,
    InferenceError,
    InputError,
    OptionError,
    SessionClosedError,
    first_line,
)
from edgevision.system.arguments import instance, whole_number
from edgevision.system.process_bound import (
    bind_to_process,
    check_can_open,
    ends_in_another_thread,
    release,
    wait_for_fork,
)
from edgevision.system.shown import shown
from edgevision.tensors import MOST_TENSOR_BYTES, Array, TensorSpec, check_inputs

#: In which every backend may compute float parts -> what that means.
COMPUTE_PRECISIONS = {
    "float32": "IEEE 754 single precision",
    "float16": "IEEE 754 half precision",
    "bfloat16": "the exponent of float32 with 8 bits of precision",
}


def open_session(
    backend: Backend, artifact: Artifact, settings: SessionSettings | None = None
) -> CheckedSession:
    """Load an artifact with a backend.

    Args:
        backend: the backend, such as ``edgevision.plugins.registry().backend("tflite")``.
        artifact: the artifact, such as ``bundle.artifact(entry)``.
        settings: device, precision, threads, and the backend's own options.

    Returns:
        The open session. Use it in a ``with`` block, or close it.

    Raises:
        OptionError: the backend does not support this format or one of the options.
        MissingRuntimeError: the backend's runtime is not installed.
        DeviceError: the device, or the precision on it, is not available.
        ArtifactError: the runtime cannot load the artifact.
        ForkedSessionError: the process was forked from one in which the runtime was busy.
    """
    settings = SessionSettings() if settings is None else instance(settings, SessionSettings, "settings")
    artifact = instance(artifact, Artifact, "artifact")
    if not isinstance(getattr(backend, "formats", None), tuple):
        raise OptionError(
            "backend: expected a backend, such as edgevision.plugins.registry().backend('onnx'), "
            f"got {shown(backend)}"
        )
    if artifact.format not in backend.formats:
        raise OptionError(
            f"backend '{backend.name}' does not support {artifact.format} artifacts ({artifact.name}); "
            f"supported formats: {', '.join(backend.formats)}"
        )
    known = compute_precisions(backend)
    if settings.precision is not None and settings.precision not in known:
        raise OptionError(f"precision: expected one of {', '.join(known)}, got '{settings.precision}'")
    settings.check_options(backend.name, backend.options)
    check_can_open(backend.name)
    session = open_unchecked(backend, artifact, settings)
    if settings.precision not in (None, session.precision):
        session.close()
        raise DeviceError(
            f"backend '{backend.name}' would run {artifact.name} in {session.precision} on "
            f"{session.device}, not in {settings.precision} as requested; "
            f"request {session.precision} or another device"
        )
    if not _is_device(session.device, settings.device):
        session.close()
        where = session.device or "no stated device"
        raise DeviceError(
            f"backend '{backend.name}' would run {artifact.name} on {where}, not on {settings.device} as "
            f"requested; request {where} or another backend"
        )
    return CheckedSession(session, backend.name, settings.threads)


def compute_precisions(backend: Backend) -> dict[str, str]:
    """The precisions that `SessionSettings.precision` may name for a backend -> what each means.

    Besides `COMPUTE_PRECISIONS`, those in its attribute ``compute_precisions``.
    """
    own = getattr(backend, "compute_precisions", {})
    return {**COMPUTE_PRECISIONS, **(own if isinstance(own, Mapping) else {})}


def _is_device(runs_on: str, asked_for: str | None) -> bool:
    """True if a session runs on the device that was asked for: ``gpu`` is any ``gpu:N``, ``auto`` is any."""
    return asked_for in (None, "auto", runs_on) or runs_on.startswith(f"{asked_for}:")


def open_unchecked(backend: Backend, artifact: Artifact, settings: SessionSettings) -> Session:
    """Open with a backend, and turn whatever it raises into an error that names it.

    The session is the backend's own: neither its inputs nor what it is closed with are checked.
    """
    try:
        return backend.open(artifact, settings)
    except EdgeVisionError:
        raise
    except Exception as error:  # of a runtime, or of a third party's plugin
        raise ArtifactError(
            f"{artifact.name}: backend '{backend.name}' failed to load it: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error


class CheckedSession:
    """One artifact on one device: tensors in, tensors out. Safe to share between threads.

    It belongs to the process that opened it: a process that is forked later gets an error on every call, and
    opens its own. When the process ends, calls of other threads than the ending one are refused.

    Args:
        session: a backend's session.
        backend: the backend's name.
        threads: the requested number of CPU threads.

    Attributes:
        backend: the backend's name.
        threads: CPU threads per call; `None` if the runtime chooses.
        inputs, outputs: specs of the tensors; `None` in a shape is an open batch.
        device: the device that runs the artifact.
        precision: the precision in which float operations are computed.
        fallback_nodes: names of the nodes that run on the CPU instead of `device`, where the caller
            allowed that; else empty.
        reports_placement: whether every other node is known to run on `device`; `False` where the runtime
            does not tell.
        call_threads: CPU threads that one call uses: `threads`, or what the runtime is known to choose; else
            `None`.
    """

    def __init__(self, session: Session, backend: str, threads: int | None = None) -> None:
        self.backend = backend
        self.threads = threads
        self.inputs: tuple[TensorSpec, ...] = _with_batch_of(session.outputs, session.inputs)
        self.outputs: tuple[TensorSpec, ...] = session.outputs
        self.device: str = session.device
        self.precision: str = session.precision
        self.fallback_nodes: tuple[str, ...] = getattr(session, "fallback_nodes", ())
        self.reports_placement: bool = getattr(session, "reports_placement", False)
        self.call_threads: int | None = threads or getattr(session, "call_threads", None)
        self._session = session
        self._fixed = tuple(spec for spec in self.inputs if spec.shape and not spec.dynamic_batch)
        bytes_per_image = [prod(spec.with_batch(1)) * np.dtype(spec.dtype).itemsize for spec in self.inputs]
        self._most_images = MOST_TENSOR_BYTES // max([1, *bytes_per_image])
        # Looked up once: isinstance with a protocol takes microseconds.
        self._lease: Callable[[int], AbstractContextManager[Slot]] = (
            session.lease if isinstance(session, LeasingSession) else self._lease_by_copy
        )
        self._refusal: Callable[[], None] | None = None
        bind_to_process(self, backend)

    @property
    def is_closed(self) -> bool:
        """True after `close`."""
        return self._refusal is _refuse_closed

    @property
    def restarts(self) -> int:
        """How often the process of an isolated runtime was replaced; 0 for one in this process."""
        return int(getattr(self._session, "restarts", 0))

    @property
    def replacing(self) -> str:
        """Why the process of an isolated runtime is being replaced; empty if it is not."""
        return str(getattr(self._session, "replacing", ""))

    def tell_answers(self, told: Callable[[], object]) -> None:
        """Call `told` after each run of a slot that did not raise, in its thread."""
        lease = self._lease
        self._lease = lambda batch: _WatchedLease(lease(batch), lambda slot: _ToldSlot(slot, told))

    @property
    def dynamic_batch(self) -> bool:
        """True if one call accepts any number of images."""
        return all(spec.dynamic_batch for spec in self.inputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run inference once.

        Args:
            inputs: name -> array with the shape and dtype of the session's `inputs`. Not modified.

        Returns:
            name -> array, for every output; the caller owns the arrays.

        Raises:
            InputError: a tensor is missing, unknown, of another shape or dtype, or not finite.
            InferenceError: the runtime failed.
            SessionClosedError: the session is closed, or the process is ending.
            ForkedSessionError: the session was opened before this process was forked.
        """
        if self._refusal is not None:
            self._refusal()
        check_inputs(self.inputs, inputs)
        return self._checked(self._session.run({k: np.ascontiguousarray(v) for k, v in inputs.items()}))

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """Lease a slot, the input memory of one call, to the calling thread.

        Write into ``slot.inputs[name]``, then call ``slot.run()``. The inputs are not checked for NaN
        and infinity, so a slot is for preprocessing that cannot produce them.

        Args:
            batch: images in the call.

        Raises:
            OptionError: `batch` is not a whole number of 1 or more.
            InputError: the artifact has a fixed batch of another size.
            SessionClosedError: the session is closed, or the process is ending.
            ForkedSessionError: the session was opened before this process was forked.
        """
        if self._refusal is not None:
            self._refusal()
        if type(batch) is not int or batch < 1:  # checked here first, because a call takes microseconds
            batch = whole_number(batch, "batch", least=1)
        if batch > self._most_images:
            raise InputError(
                f"batch: {shown(batch)} images; expected {self._most_images} at most in one call"
            )
        for spec in self._fixed:
            if spec.shape[0] != batch:
                raise InputError(f"input '{spec.name}': expected a batch of {spec.shape[0]}, got {batch}")
        return self._lease(batch)

    @contextmanager
    def watched(self, watch: Callable[[Slot], Slot]) -> Iterator[None]:
        """Wrap every leased slot with `watch` until the block ends: for measurements on one thread."""
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

    def view(self, watch: Callable[[Slot], Slot]) -> CheckedSession:
        """This session with every leased slot wrapped by `watch`, for one of the threads that share it.

        Nothing is opened again: the view is closed with the session, and closing it closes the session.
        """
        return _View(self, watch)

    def __str__(self) -> str:
        return f"{self.backend} on {self.device}, {self.precision}"

    def close(self) -> None:
        """Release the runtime's memory and threads, now. May be called twice.

        A call in progress ends first, and its slot is released with it. In the child of a fork nothing is
        released: the runtime's threads, which would be waited for, exist in the parent alone.
        """
        if self._refusal is not _refuse_in_child:
            self._refusal = _refuse_closed
            release(self)
            self._session.close()

    def end(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.end`."""
        if self._refusal in (None, wait_for_fork):
            self._refusal = _refuse_in_other_threads

    def pause(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.pause`."""
        if self._refusal is None:
            self._refusal = wait_for_fork

    def resume(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.resume`."""
        if self._refusal is wait_for_fork:
            self._refusal = None

    def leave_to_parent(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.leave_to_parent`."""
        self._refusal = _refuse_in_child

    def __reduce__(self) -> NoReturn:
        raise CopyError(
            f"a session ({self}) belongs to the process that opened it, and cannot be copied or pickled; "
            "share it between threads, or pass the model's path and call edgevision.load in the other process"
        )

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

    def _checked(self, outputs: dict[str, Array]) -> dict[str, Array]:
        expected = [spec.name for spec in self.outputs]
        if sorted(outputs) != sorted(expected):
            raise InferenceError(
                f"backend '{self.backend}' returned outputs {sorted(outputs)}; expected {expected}"
            )
        return outputs


def _refuse_closed() -> None:
    raise SessionClosedError("the session is closed; open it again with edgevision.load(…)")


def _refuse_in_other_threads() -> None:
    if ends_in_another_thread():
        raise SessionClosedError("the process is ending, so no further call is started in this thread")


def _refuse_in_child() -> None:
    raise ForkedSessionError(
        "the model was loaded before this process was forked, and runs in the parent alone; call "
        'edgevision.load(…) in this process, or start processes with multiprocessing.get_context("spawn")'
    )


def _with_batch_of(outputs: tuple[TensorSpec, ...], inputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The inputs, with the batch of the outputs where that is fixed and theirs is open.

    Such a graph accepts any number of images and answers for one: its reshapes were exported with a batch.
    """
    batches = {spec.shape[0] for spec in outputs if spec.shape}
    if len(batches) != 1 or None in batches or not all(spec.dynamic_batch for spec in inputs):
        return inputs
    batch = batches.pop()
    return tuple(replace(spec, shape=(batch, *spec.shape[1:])) for spec in inputs)


class _View(CheckedSession):
    """A session as one thread sees it."""

    def __init__(self, whole: CheckedSession, watch: Callable[[Slot], Slot]) -> None:
        self.__dict__.update(whole.__dict__)
        self._whole = whole
        self._watch = watch

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._whole.run(inputs)

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        return _WatchedLease(self._whole.lease(batch), self._watch)

    def close(self) -> None:
        self._whole.close()


class _WatchedLease:
    """A lease of a slot that is wrapped."""

    __slots__ = ("_lease", "_watch")

    def __init__(self, lease: AbstractContextManager[Slot], watch: Callable[[Slot], Slot]) -> None:
        self._lease = lease
        self._watch = watch

    def __enter__(self) -> Slot:
        return self._watch(self._lease.__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._lease.__exit__(kind, error, trace)


class _ToldSlot:
    """A slot of whose answers somebody is told."""

    __slots__ = ("_run", "_told", "inputs")

    def __init__(self, slot: Slot, told: Callable[[], object]) -> None:
        self.inputs = slot.inputs
        self._run = slot.run
        self._told = told

    def run(self) -> dict[str, Array]:
        outputs = self._run()
        self._told()
        return outputs


class _CopyingSlot:
    """A slot for sessions that do not lease their own input memory."""

    def __init__(self, session: CheckedSession, inputs: dict[str, Array]) -> None:
        self.inputs = inputs
        self._session = session

    def run(self) -> dict[str, Array]:
        return self._session.run(self.inputs)
