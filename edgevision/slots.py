"""Slots that make a backend's sessions safe to share between threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from edgevision.backend import Slot
from edgevision.errors import InferenceError, SessionClosedError
from edgevision.tensors import Array, TensorSpec

_KEPT_SLOTS = max(8, 2 * (os.cpu_count() or 1))


class SlotPool:
    """Lends slots, so that threads that share a session never share an interpreter or request.

    A slot is made when no free one of the batch size asked for is left, kept for the next
    caller, and dropped after the runtime failed in it: some runtimes crash on the next good
    call after a failed one.

    Args:
        make: makes a slot for a batch size.
        keep: how many free slots are kept; the one unused for longest goes first. Two for each core,
            of two batch sizes, unless given, and 8 at least.
    """

    def __init__(self, make: Callable[[int], Slot], keep: int = _KEPT_SLOTS) -> None:
        self._make = make
        self._keep = keep
        self._free: list[tuple[int, Slot]] = []
        self._lock = threading.Lock()
        self._closed = False

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """Lend a slot for `batch`, from ``__enter__`` to ``__exit__``.

        Raises:
            SessionClosedError: on entering, when `close` was called.
        """
        return _Lease(self, batch)

    def run(self, inputs: Mapping[str, Array], batch: int) -> dict[str, Array]:
        """Copy `inputs` into a slot and run it."""
        with self.lease(batch) as slot:
            for name, array in inputs.items():
                slot.inputs[name][...] = array
            return slot.run()

    def add(self, batch: int, slot: Slot) -> None:
        """Take in a slot that is free: one that comes back, or the one that opening made."""
        with self._lock:
            if not self._closed:
                self._free.append((batch, slot))
                del self._free[: -self._keep]

    def close(self) -> None:
        """Drop all free slots, and what made them; those still lent are dropped when they come back."""
        with self._lock:
            self._closed = True
            self._free.clear()
            self._make = _refuse

    def _take(self, batch: int) -> Slot:
        with self._lock:
            for position in range(len(self._free) - 1, -1, -1):
                if self._free[position][0] == batch:
                    return self._free.pop(position)[1]
        return self._make(batch)


class _Lease:
    """One loan. A class, for `contextlib.contextmanager` costs 2 µs a frame more."""

    __slots__ = ("_batch", "_slot", "_slots")

    def __init__(self, slots: SlotPool, batch: int) -> None:
        self._slots = slots
        self._batch = batch

    def __enter__(self) -> Slot:
        self._slot = self._slots._take(self._batch)
        return self._slot

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, InferenceError):
            self._slots.add(self._batch, self._slot)


@dataclass(frozen=True, eq=False, repr=False)
class PooledSession:
    """A `Session` made of slots: all that a backend needs whose runtime has interpreters or requests.

    Attributes:
        inputs, outputs, device, precision: as in `Session`.
        slots: make and lend the interpreters or requests.
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


def batch_of(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> int:
    """The batch of checked inputs: the first size of an input whose batch is open, else 1."""
    return next((inputs[spec.name].shape[0] for spec in specs if spec.dynamic_batch), 1)


def _refuse(batch: int) -> Slot:
    raise SessionClosedError("the session is closed; open it again with edgevision.load(…)")
