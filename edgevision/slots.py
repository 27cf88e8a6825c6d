"""Building blocks of backends: sessions that threads can share.

A slot is one interpreter or request with its input memory, for one thread at a time. A session pools
its slots and leases one to each call, so that threads that share the session never share a slot.
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

from edgevision.backend import Slot
from edgevision.errors import InferenceError, SessionClosedError
from edgevision.tensors import Array, TensorSpec

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
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    device: str
    precision: str
    slots: SlotPool
    fallback_nodes: tuple[str, ...] = ()

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
        compile_model: compiles the model for a key: a batch size, or a tuple that contains one.
        keep: how many models are kept; the least recently used is dropped first.
    """

    def __init__(self, compile_model: Callable[[KeyT], ModelT], keep: int = 4) -> None:
        self._compile_model = compile_model
        self._keep = keep
        self._models: OrderedDict[KeyT, ModelT] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: KeyT) -> ModelT:
        """The model for `key`, compiled now if it is not kept; errors of `compile_model` pass through."""
        with self._lock:
            if key not in self._models:
                self._models[key] = self._compile_model(key)
                while len(self._models) > self._keep:
                    self._models.popitem(last=False)
            self._models.move_to_end(key)
            return self._models[key]


def batch_of(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> int:
    """The batch size of checked inputs: the first size of an input whose batch is open, else 1."""
    return next((inputs[spec.name].shape[0] for spec in specs if spec.dynamic_batch), 1)


def _refuse(batch: int) -> Slot:
    raise SessionClosedError("the session is closed; open it again with edgevision.load(…)")
