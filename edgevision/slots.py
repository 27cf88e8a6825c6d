"""Building blocks of backends: sessions that threads can share.

A slot is one interpreter or request with its input memory, for one thread at a time. A session pools
its slots and leases one to each call, so that threads that share the session never share a slot:
`PooledSession` over a `SlotPool`. Without a runtime, where a function computes the answer, there is
`FunctionBackend`.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import DeviceInfo, Session, SessionSettings, Slot
from edgevision.errors import ArtifactError, EdgeVisionError, InferenceError, SessionClosedError, first_line
from edgevision.tensors import Array, TensorSpec

#: Name -> input array to name -> output array.
TensorFunction = Callable[[Mapping[str, Array]], Mapping[str, Array]]

KeyT = TypeVar("KeyT", bound=Hashable)
ModelT = TypeVar("ModelT")

_KEPT_SLOTS = max(8, 2 * (os.cpu_count() or 1))


class SlotPool:
    """Slots of one session, leased to one thread at a time.

    A slot is created when none of the requested batch size is free. It is kept for the next call, and
    dropped after an `InferenceError`: some runtimes crash on the next valid call after a failed one.

    Args:
        create: creates a slot for a batch size.
        keep: how many free slots are kept; the least recently used is dropped first. By default two per
            core, for two batch sizes, and 8 at least.
    """

    def __init__(self, create: Callable[[int], Slot], keep: int = _KEPT_SLOTS) -> None:
        self._create = create
        self._keep = keep
        self._free: list[tuple[int, Slot]] = []
        self._lock = threading.Lock()
        self._closed = False

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """Lend a slot for `batch`, from ``__enter__`` to ``__exit__``.

        Raises:
            SessionClosedError: on entering, after `close`.
        """
        return _Lease(self, batch)

    def run(self, inputs: Mapping[str, Array], batch: int) -> dict[str, Array]:
        """Copy `inputs` into a slot and run it."""
        with self.lease(batch) as slot:
            for name, array in inputs.items():
                slot.inputs[name][...] = array
            return slot.run()

    def add(self, batch: int, slot: Slot) -> None:
        """Add a free slot: one that was returned, or the one created when the session was opened."""
        with self._lock:
            if not self._closed:
                self._free.append((batch, slot))
                del self._free[: -self._keep]

    def close(self) -> None:
        """Drop all free slots and the function that creates them; leased slots are dropped on return."""
        with self._lock:
            self._closed = True
            self._free.clear()
            self._create = _refuse

    def _take(self, batch: int) -> Slot:
        with self._lock:
            for position in range(len(self._free) - 1, -1, -1):
                if self._free[position][0] == batch:
                    return self._free.pop(position)[1]
        return self._create(batch)


class _Lease:
    """One lease. A class, because `contextlib.contextmanager` costs 2 µs more per frame."""

    __slots__ = ("_batch", "_pool", "_slot")

    def __init__(self, pool: SlotPool, batch: int) -> None:
        self._pool = pool
        self._batch = batch

    def __enter__(self) -> Slot:
        self._slot = self._pool._take(self._batch)
        return self._slot

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, InferenceError):
            self._pool.add(self._batch, self._slot)


@dataclass(frozen=True, eq=False, repr=False)
class PooledSession:
    """A `Session` over a pool of slots: for runtimes that have interpreters or requests.

    Attributes:
        inputs, outputs, device, precision: as in `Session`.
        slots: the pool.
        fallback_nodes: names of the nodes that run on the CPU, where the caller allowed it.
        reports_placement: whether every other node is known to run on `device`.
        call_threads: CPU threads that one call uses; `None` where the runtime does not tell.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    device: str
    precision: str
    slots: SlotPool
    fallback_nodes: tuple[str, ...] = ()
    reports_placement: bool = False
    call_threads: int | None = None

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `Session.run`."""
        return self.slots.run(inputs, batch_of(self.inputs, inputs))

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """As `LeasingSession.lease`."""
        return self.slots.lease(batch)

    def close(self) -> None:
        """As `Session.close`."""
        self.slots.close()


class ModelCache(Generic[KeyT, ModelT]):
    """Compiled models, one per batch size, for runtimes that compile for fixed shapes.

    Threads that ask for the same model at once get the same object: it is compiled once.

    Args:
        keep: how many models are kept; the least recently used is dropped first.
    """

    # The function that compiles is an argument of `get`. If the cache held it, an object that compiles
    # by a method of its own and owns the cache would be freed by the garbage collector alone, and so
    # would the memory of its models.
    def __init__(self, keep: int = 4) -> None:
        self._keep = keep
        self._models: OrderedDict[KeyT, ModelT] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: KeyT, compile_model: Callable[[KeyT], ModelT]) -> ModelT:
        """The model for a key, compiled now if it is not kept.

        Args:
            key: a batch size, or a tuple that contains one.
            compile_model: compiles the model for a key; its errors pass through.
        """
        with self._lock:
            if key not in self._models:
                self._models[key] = compile_model(key)
                while len(self._models) > self._keep:
                    self._models.popitem(last=False)
            self._models.move_to_end(key)
            return self._models[key]


class FunctionSession:
    """A `Session` that is a function of arrays.

    Args:
        inputs: specs of the function's inputs.
        function: computes the outputs by name. Several threads may call it at once; it only reads its
            inputs, and need not check them.
        outputs: specs of the outputs; by default those that the function returns for inputs of zeros.

    Attributes:
        inputs, outputs, device, precision: as in `Session`.
    """

    device = "cpu"
    precision = "float32"

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        function: TensorFunction,
        outputs: Sequence[TensorSpec] | None = None,
    ) -> None:
        self.inputs = tuple(inputs)
        self._function = function
        self.outputs = self._inferred_outputs() if outputs is None else tuple(outputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `Session.run`."""
        try:
            return {name: np.array(values) for name, values in self._function(inputs).items()}
        except EdgeVisionError:
            raise
        except Exception as error:
            message = f"the function failed: {type(error).__name__}: {first_line(error)}"
            raise InferenceError(message) from error

    def close(self) -> None:
        """As `Session.close`: there is nothing to release."""

    def _inferred_outputs(self) -> tuple[TensorSpec, ...]:
        """Specs of the outputs for zeros; a first size that grows with the batch is open."""
        one, two = (self.run(self._zeros(batch)) for batch in (1, 2))
        return tuple(
            TensorSpec(
                name,
                values.shape if two[name].shape == values.shape else (None, *values.shape[1:]),
                values.dtype.name,
            )
            for name, values in one.items()
        )

    def _zeros(self, batch: int) -> dict[str, Array]:
        return {spec.name: np.zeros(spec.with_batch(batch), spec.dtype) for spec in self.inputs}


class FunctionBackend:
    """A `Backend` that is a function, on the CPU: a whole plugin but for the hook.

    Threads and cache folder of the settings have no effect.

    Args:
        name: name of the backend.
        load: returns the session for an artifact, such as a `FunctionSession`. An error that is not an
            `EdgeVisionError` is raised as `ArtifactError`.
        formats: formats of the artifacts that it loads; by default one, of the backend's name.

    Attributes:
        name, formats, options: as in `Backend`.

    Example::

        def load(artifact: Artifact) -> FunctionSession:
            image = TensorSpec("image", (None, 8, 8, 3), "float32")
            return FunctionSession([image], lambda inputs: {"mean": inputs["image"].mean(axis=(1, 2))})

        backend = FunctionBackend("average", load)
    """

    options: tuple[str, ...] = ()

    def __init__(self, name: str, load: Callable[[Artifact], Session], formats: Sequence[str] = ()) -> None:
        self.name = name
        self.formats = tuple(formats) or (name,)
        self._load = load

    def version(self) -> str:
        """As `Backend.version`: numpy's."""
        return f"numpy {np.__version__}"

    def devices(self) -> Sequence[DeviceInfo]:
        """As `Backend.devices`: the CPU."""
        return [DeviceInfo("cpu", "any CPU that numpy runs on")]

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`."""
        settings.check_options(self.name, self.options)
        settings.check_device(self.name, [device.name for device in self.devices()])
        try:
            return self._load(artifact)
        except EdgeVisionError:
            raise
        except Exception as error:
            raise ArtifactError(
                f"{artifact.name}: backend '{self.name}' cannot load it: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error


def batch_of(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> int:
    """The batch size of checked inputs: the first size of an input whose batch is open, else 1."""
    return next((inputs[spec.name].shape[0] for spec in specs if spec.dynamic_batch), 1)


def _refuse(batch: int) -> Slot:
    raise SessionClosedError("the session is closed; open it again with edgevision.load(…)")
