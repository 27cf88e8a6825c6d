"""The queue of one model: what waits is bounded, and requests that wait together are run together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from edgevision.errors import InferenceError
from edgevision.session import CheckedSession
from edgevision.system.cores import cores
from edgevision.tensors import Array

#: Free slots that a session keeps, of all batch sizes together, with room for a check of its health.
_KEPT_SLOTS = max(8, 2 * cores()) - 1
#: Batch sizes for which runtimes keep a compiled model.
_MOST_SIZES = 4
#: Largest difference of a row that is run with others, as a share of the output's range.
_ROW_TOLERANCE = 0.01


class QueueFullError(Exception):
    """As many requests wait as may.

    Attributes:
        retry_after_s: seconds after which there will be room, by the present pace.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class QueueClosedError(Exception):
    """The model does not take requests any more: another one took its place, or the server ends."""


class ExpiredError(Exception):
    """A request waited for longer than it may."""


@dataclass(eq=False)
class Job:
    """A request that waits for a slot.

    Attributes:
        call: answers it alone.
        inputs: tensors of `rows` rows, which may be run together with those of other jobs; `None` if not.
        expires_s: time, by `time.monotonic`, by which it must be started.
        done: its answer.
    """

    call: Callable[[], Any] | None
    inputs: Mapping[str, Array] | None
    rows: int
    expires_s: float
    done: Future[Any] = field(default_factory=Future)
    arrived_s: float = field(default_factory=time.monotonic)


class BatchingQueue:
    """Runs requests in threads of its own: as many as the model has slots.

    Args:
        session: the network.
        slots: inferences at the same time.
        capacity: jobs that wait, at most.
        max_batch: rows that are run together, at most.
        max_delay_s: seconds that a job waits for others to be run with.

    Attributes:
        joins: whether requests are run together: the network takes any batch, and answers each row as alone.
        batches, rows: how many runs there were, and rows in them.
        in_progress: jobs that were taken and are not answered, those that wait included.
    """

    def __init__(
        self, session: CheckedSession, slots: int, capacity: int, max_batch: int, max_delay_s: float
    ) -> None:
        self._session = session
        self._capacity = capacity
        self._max_batch = max_batch
        self._max_delay_s = max_delay_s
        self.joins = max_batch > 1 and rows_are_independent(session)
        self._sizes = batch_sizes(max_batch, slots) if self.joins else ()
        for size in self._sizes:
            session.run(_noise(session, size))  # some runtimes compile for each
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = self._gathering = False
        self._mean_s = 0.0
        self.batches = self.rows = self.in_progress = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"edgevision-serve-{number}", daemon=True)
            for number in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    def check_room(self) -> None:
        """Refuse a request that would find no room, before it is read.

        Raises:
            QueueFullError: as many wait as may.
        """
        if len(self._jobs) >= self._capacity:
            raise QueueFullError(self._mean_s * len(self._jobs) / len(self._threads))

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn.

        Raises:
            QueueFullError: as many wait as may.
            QueueClosedError: after `close`.
        """
        with self._changed:
            if self._closed:
                raise QueueClosedError
            self.check_room()
            self._jobs.append(job)
            self.in_progress += 1
            job.done.add_done_callback(partial(self._leave, job))
            # One thread takes it; but who gathers must see it among those that wait until that is done.
            self._changed.notify(len(self._threads) if self._gathering else 1)

    def close(self, timeout_s: float | None = None) -> None:
        """Take no more jobs, finish those that wait, and return then, or when the time is over."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if end_s is None else max(0.0, end_s - time.monotonic()))

    def _leave(self, job: Job, done: Future[Any]) -> None:
        with self._changed:
            self.in_progress -= 1
            if done.cancelled():
                with suppress(ValueError):  # its turn has come in this very moment
                    self._jobs.remove(job)  # its place is free now, and not when its turn comes

    def _work(self) -> None:
        while jobs := self._next():
            started_s = time.monotonic()
            try:
                self._run(jobs)
            except BaseException as error:
                for job in jobs:
                    if not job.done.done():
                        job.done.set_exception(error)
            took_s = (time.monotonic() - started_s) / len(jobs)
            self._mean_s += 0.1 * (took_s - self._mean_s)

    def _next(self) -> list[Job]:
        """The jobs of the next run; empty when the queue is closed and nothing waits."""
        with self._changed:
            while True:
                while self._gathering or not self._jobs:
                    if self._closed and not self._jobs:
                        return []
                    self._changed.wait()
                first = self._jobs.popleft()
                if not _begins(first):
                    continue
                if first.inputs is None or not self.joins:
                    return [first]
                self._gathering = True
                try:
                    return self._gathered(first)
                finally:
                    self._gathering = False
                    self._changed.notify_all()

    def _gathered(self, first: Job) -> list[Job]:
        """A job and those after it that are run with it."""
        jobs, rows = [first], first.rows
        end_s = first.arrived_s + self._max_delay_s
        while rows < self._max_batch:
            if self._jobs:
                following = self._jobs[0]
                if following.inputs is None or rows + following.rows > self._max_batch:
                    break
                self._jobs.popleft()
                if _begins(following):
                    jobs.append(following)
                    rows += following.rows
                continue
            left_s = end_s - time.monotonic()
            if left_s <= 0 or self._closed:
                break
            self._changed.wait(left_s)
        return jobs

    def _run(self, jobs: Sequence[Job]) -> None:
        if jobs[0].call is not None:
            jobs[0].done.set_result(jobs[0].call())
            return
        inputs = [job.inputs or {} for job in jobs]
        whole = {name: _joined([one[name] for one in inputs]) for name in inputs[0]}
        rows = sum(job.rows for job in jobs)
        outputs = self._infer(whole, rows)
        start = 0
        for job in jobs:
            own = slice(start, start + job.rows)
            start += job.rows
            alone = len(jobs) == 1
            job.done.set_result(outputs if alone else {name: one[own] for name, one in outputs.items()})

    def _infer(self, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        with self._changed:
            self.batches += 1
            self.rows += rows
        if not self.joins:
            return self._session.run(inputs)
        parts = [
            self._session.run({name: one[part] for name, one in inputs.items()})
            for part in _parts(rows, self._sizes)
        ]
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def batch_sizes(max_batch: int, slots: int) -> tuple[int, ...]:
    """The batch sizes that are run, the largest first: as many as slots and compiled models are kept of."""
    count = max(2, min(_MOST_SIZES, _KEPT_SLOTS // slots))
    sizes = [1]
    size = max_batch
    while size > 1 and len(sizes) < count:
        sizes.append(size)
        size //= 2
    return tuple(sorted(sizes, reverse=True))


def rows_are_independent(session: CheckedSession) -> bool:
    """True if a network takes any batch, and answers each row as it does alone."""
    if not session.dynamic_batch or not all(spec.dynamic_batch for spec in session.outputs):
        return False
    both = _noise(session, 2)
    try:
        together = session.run(both)
        apart = [session.run({name: one[row : row + 1] for name, one in both.items()}) for row in (0, 1)]
    except InferenceError:
        return False
    return all(
        _same(
            spec.dequantize(together[spec.name]), spec.dequantize(_joined([one[spec.name] for one in apart]))
        )
        for spec in session.outputs
    )


def _same(together: Array, apart: Array) -> bool:
    if together.shape != apart.shape:
        return False
    span = float(np.ptp(apart)) if apart.size and np.isfinite(apart).all() else 0.0
    return np.allclose(together, apart, rtol=0, atol=_ROW_TOLERANCE * (span or 1), equal_nan=True)


def _noise(session: CheckedSession, rows: int) -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {
        spec.name: spec.quantize(random.random(spec.with_batch(rows), np.float32)) for spec in session.inputs
    }


def _parts(rows: int, sizes: Sequence[int]) -> list[slice]:
    parts, start = [], 0
    for size in sizes:
        while rows - start >= size:
            parts.append(slice(start, start + size))
            start += size
    return parts


def _joined(arrays: Sequence[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _begins(job: Job) -> bool:
    """True if a job is to be started: its caller still waits, and not for too long."""
    with suppress(Exception):  # the caller left in this very moment
        if job.done.set_running_or_notify_cancel():
            if time.monotonic() <= job.expires_s:
                return True
            job.done.set_exception(ExpiredError())
    return False
