"""Slots that make a backend's sessions safe to share between threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from edgevision.backend import Lane
from edgevision.errors import InferenceError, SessionClosedError
from edgevision.tensors import Array, TensorSpec

_KEPT_LANES = max(8, 2 * (os.cpu_count() or 1))


class Lanes:
    """Lends lanes, so that threads that share a session never share an interpreter or request.

    A lane is made when no free one of the batch size asked for is left, kept for the next
    caller, and dropped after the runtime failed in it: some runtimes crash on the next good
    call after a failed one.

    Args:
        make: makes a lane for a batch size.
        keep: how many free lanes are kept; the one unused for longest goes first. Two for each core,
            of two batch sizes, unless given, and 8 at least.
    """

    def __init__(self, make: Callable[[int], Lane], keep: int = _KEPT_LANES) -> None:
        self._make = make
        self._keep = keep
        self._free: list[tuple[int, Lane]] = []
        self._lock = threading.Lock()
        self._closed = False

    def lease(self, batch: int = 1) -> AbstractContextManager[Lane]:
        """Lend a lane for `batch`, from ``__enter__`` to ``__exit__``.

        Raises:
            SessionClosedError: on entering, when `close` was called.
        """
        return _Lease(self, batch)

    def run(self, inputs: Mapping[str, Array], batch: int) -> dict[str, Array]:
        """Copy `inputs` into a lane and run it."""
        with self.lease(batch) as lane:
            for name, array in inputs.items():
                lane.inputs[name][...] = array
            return lane.run()

    def add(self, batch: int, lane: Lane) -> None:
        """Take in a lane that is free: one that comes back, or the one that opening made."""
        with self._lock:
            if not self._closed:
                self._free.append((batch, lane))
                del self._free[: -self._keep]

    def close(self) -> None:
        """Drop all free lanes, and what made them; those still lent are dropped when they come back."""
        with self._lock:
            self._closed = True
            self._free.clear()
            self._make = _refuse

    def _take(self, batch: int) -> Lane:
        with self._lock:
            for position in range(len(self._free) - 1, -1, -1):
                if self._free[position][0] == batch:
                    return self._free.pop(position)[1]
        return self._make(batch)


class _Lease:
    """One loan. A class, for `contextlib.contextmanager` costs 2 µs a frame more."""

    __slots__ = ("_batch", "_lane", "_lanes")

    def __init__(self, lanes: Lanes, batch: int) -> None:
        self._lanes = lanes
        self._batch = batch

    def __enter__(self) -> Lane:
        self._lane = self._lanes._take(self._batch)
        return self._lane

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, InferenceError):
            self._lanes.add(self._batch, self._lane)


@dataclass(frozen=True, eq=False, repr=False)
class LaneSession:
    """A `Session` made of lanes: all that a backend needs whose runtime has interpreters or requests.

    Attributes:
        inputs, outputs, device, precision: as in `Session`.
        lanes: make and lend the interpreters or requests.
        fallback_nodes: names of the nodes that run on the CPU, where the caller allowed it.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    device: str
    precision: str
    lanes: Lanes
    fallback_nodes: tuple[str, ...] = ()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `Session.run`."""
        return self.lanes.run(inputs, batch_of(self.inputs, inputs))

    def lease(self, batch: int = 1) -> AbstractContextManager[Lane]:
        """As `LeasingSession.lease`."""
        return self.lanes.lease(batch)

    def close(self) -> None:
        """As `Session.close`."""
        self.lanes.close()


def batch_of(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> int:
    """The batch of checked inputs: the first size of an input whose batch is open, else 1."""
    return next((inputs[spec.name].shape[0] for spec in specs if spec.dynamic_batch), 1)


def _refuse(batch: int) -> Lane:
    raise SessionClosedError("the session is closed; open it again with edgevision.load(…)")
