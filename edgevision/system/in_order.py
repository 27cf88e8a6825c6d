"""Process blocks of anything on several threads; results come in the order of the blocks.

Decoding, resizing and the runtimes' own calls release the GIL, so threads use all cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from edgevision.errors import InferenceError
from edgevision.system.process_bound import before_threads_are_joined

if TYPE_CHECKING:  # a single image needs no threads, and should not wait for their import
    from concurrent.futures import Executor, Future

Item = TypeVar("Item")
Block = TypeVar("Block")
Result = TypeVar("Result")

#: Blocks per worker that are in progress or finished but not yet consumed: a limit on memory.
_AHEAD = 2
#: The longest wait for a result between two looks at signals, in seconds.
_SIGNALS_S = 0.5
_ENDING = "the process is ending before all images were processed; wait for them in the main thread"


def in_blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block


@contextmanager
def in_order(
    work: Callable[[Block], Iterable[Result]], blocks: Iterable[Block], workers: int
) -> Iterator[Iterator[Result]]:
    """Process every block, several at a time.

    At most two blocks per worker are taken from `blocks` ahead of the consumer. When the ``with``
    statement is left, for whatever reason, waiting blocks are dropped, those in progress end after
    their next result, and no thread remains.

    Args:
        work: from a block to its results; called from several threads. A generator can be stopped
            between two results.
        blocks: iterated by the calling thread alone.
        workers: number of threads; with one, the calling thread works when a result is requested.

    Yields:
        The results of all blocks, in their order.

    Raises:
        Exception: the error of `work`, once all results before it were consumed.
    """
    if workers < 2:
        yield (result for block in blocks for result in work(block))
        return
    from concurrent.futures import ThreadPoolExecutor

    worker = _Worker(work)
    _stopped_at_exit().add(worker)
    with ThreadPoolExecutor(workers, "edgevision") as pool:
        try:
            yield _results(pool, worker, blocks, workers * _AHEAD)
        finally:
            worker.stop()
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _Done(Generic[Result]):
    """The results of a block up to an error, and the error."""

    results: Sequence[Result]
    error: Exception | None = None


class _Worker(Generic[Block, Result]):
    """Processes one block at a time, until it is done, fails or is stopped."""

    def __init__(self, work: Callable[[Block], Iterable[Result]]) -> None:
        self._work = work
        self._stopping = threading.Event()
        self._at_exit = False

    def stop(self) -> None:
        self._stopping.set()

    def stop_at_exit(self) -> None:
        """As `stop`, with an error for a thread that still consumes the results."""
        self._at_exit = True
        self._stopping.set()

    def __call__(self, block: Block) -> _Done[Result]:
        results: list[Result] = []
        if self._stopping.is_set():
            return self._stopped(results)
        try:
            for result in self._work(block):
                results.append(result)
                if self._stopping.is_set():
                    return self._stopped(results)
        except Exception as error:  # raised where the results are consumed
            return _Done(results, error)
        return _Done(results)

    def _stopped(self, results: Sequence[Result]) -> _Done[Result]:
        return _Done(results, InferenceError(_ENDING) if self._at_exit else None)


@cache
def _stopped_at_exit() -> WeakSet[_Worker[Any, Any]]:
    """Workers that stop when the main thread has ended.

    Otherwise Python would wait for all blocks that were handed to the pool, which nobody will consume.
    """
    workers: WeakSet[_Worker[Any, Any]] = WeakSet()

    def stop() -> None:
        for worker in list(workers):
            worker.stop_at_exit()

    before_threads_are_joined(stop)
    return workers


def _results(
    pool: Executor, worker: _Worker[Block, Result], blocks: Iterable[Block], ahead: int
) -> Iterator[Result]:
    waiting: deque[Future[_Done[Result]]] = deque()
    for block in blocks:
        try:
            waiting.append(pool.submit(worker, block))
        except RuntimeError as error:  # Python starts no more work once the main thread has ended
            raise InferenceError(_ENDING) from error
        if len(waiting) >= ahead:
            yield from _taken(waiting.popleft())
    while waiting:
        yield from _taken(waiting.popleft())


def _taken(future: Future[_Done[Result]]) -> Iterator[Result]:
    from concurrent.futures import TimeoutError as NotDoneError  # not Python's own before 3.11

    # A signal that arrives just before a wait without an end does not wake it: Ctrl-C would be lost.
    done = None
    while done is None:
        with suppress(NotDoneError):
            done = future.result(timeout=_SIGNALS_S)
    yield from done.results
    if done.error is not None:
        raise done.error
