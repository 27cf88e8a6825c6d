"""Work on blocks of images on several threads; the results come in the order of the blocks.

Decoding, resizing and the runtimes' own calls let other threads run meanwhile, so that threads reach
all cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from edgevision.backend import SessionSettings
from edgevision.system.cores import cores

if TYPE_CHECKING:  # one image alone needs no threads, and no time to import them
    from concurrent.futures import Executor, Future

Item = TypeVar("Item")
Block = TypeVar("Block")
Result = TypeVar("Result")

#: Blocks that are worked on or wait to be taken, for each worker: what bounds the memory.
_AHEAD = 2


def shared_out(settings: SessionSettings, blocks: int) -> tuple[int, SessionSettings]:
    """Share the cores out: how many workers there are for so many blocks, and settings for their session.

    As many workers as cores, each with one thread of the runtime; if `settings` say how many
    threads a call has, only so many workers that these do not exceed the cores.
    """
    workers = min(blocks, cores() // (settings.threads or 1))
    if workers < 2:
        return 1, settings
    if settings.threads is None and settings.device in (None, "cpu"):
        settings = replace(settings, threads=1)
    return workers, settings


def turn_on(device: str) -> AbstractContextManager[object]:
    """What a worker holds while it runs a session on `device`: on the CPU nothing, elsewhere a lock.

    Another device works for one caller at a time, and each slot takes some of its memory.
    """
    return nullcontext() if device == "cpu" else threading.Lock()


def in_blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block


@contextmanager
def in_order(
    work: Callable[[Block], Iterable[Result]], blocks: Iterable[Block], workers: int
) -> Iterator[Iterator[Result]]:
    """Do `work` on every block, several at a time.

    At most two blocks a worker are taken from `blocks` before the results of the first are wanted.
    When the ``with`` statement is left, however that is, waiting blocks are dropped, those at work
    end after their next result, and no thread is left.

    Args:
        work: gives the results of one block; called from several threads. What it gives one by one
            (a generator) can be stopped in between.
        blocks: taken from by the calling thread alone.
        workers: threads; with one, the calling thread does the work when a result is wanted.

    Yields:
        The results of all blocks, in their order.

    Raises:
        Exception: what `work` raised, once all results before it were taken.
    """
    if workers < 2:
        yield (result for block in blocks for result in work(block))
        return
    from concurrent.futures import ThreadPoolExecutor

    worker = _Worker(work)
    with ThreadPoolExecutor(workers, "edgevision") as pool:
        try:
            yield _results(pool, worker, blocks, workers * _AHEAD)
        finally:
            worker.stop()
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _Done(Generic[Result]):
    """What came of a block: the results up to an error, and the error."""

    results: Sequence[Result]
    error: Exception | None = None


class _Worker(Generic[Block, Result]):
    """Works on one block, until it is done, fails or is stopped."""

    def __init__(self, work: Callable[[Block], Iterable[Result]]) -> None:
        self._work = work
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def __call__(self, block: Block) -> _Done[Result]:
        results = []
        try:
            for result in self._work(block):
                results.append(result)
                if self._stopping.is_set():
                    break
        except Exception as error:  # raised where the results are taken
            return _Done(results, error)
        return _Done(results)


def _results(
    pool: Executor, worker: _Worker[Block, Result], blocks: Iterable[Block], ahead: int
) -> Iterator[Result]:
    waiting: deque[Future[_Done[Result]]] = deque()
    for block in blocks:
        waiting.append(pool.submit(worker, block))
        if len(waiting) >= ahead:
            yield from _taken(waiting.popleft())
    while waiting:
        yield from _taken(waiting.popleft())


def _taken(future: Future[_Done[Result]]) -> Iterator[Result]:
    done = future.result()
    yield from done.results
    if done.error is not None:
        raise done.error
