"""Units of work on an executor, which ends with the block that takes their answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from edgevision.executor import Answer, Executor, Unit, Work


@contextmanager
def running(
    executor: Executor, work: Work, units: Iterable[Unit], workers: int | None
) -> Iterator[Iterator[Answer]]:
    """The answers of an executor, in the order of the units; its work ends with the block.

    Raises:
        EdgeVisionError: as `Executor.run`.
    """
    answers = executor.run(work, units, workers)
    try:
        yield answers
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()
