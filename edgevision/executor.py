"""The interface of an executor: where many images are worked on, this process's cores or a cluster.

A plugin provides executors. `edgevision.batch` cuts its images into units, hands them over with the work that
is to be done on each, and takes the answers in the order of the units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

#: What is worked on together by one worker; its answer has one entry per entry of the unit.
Unit = Sequence[Any]
Answer = Sequence[Any]


class Work(Protocol):
    """The work on units. It can be pickled: other processes open it, too.

    Attributes:
        divisible: True if the entries of a unit may be worked on one by one, with the same answers.
        workers: threads that one process should work with at a time.
    """

    @property
    def divisible(self) -> bool: ...

    @property
    def workers(self) -> int: ...

    def open(self) -> AbstractContextManager[Callable[[Unit], Answer]]:
        """Load the model, once per process; the end of the block closes it.

        The function that it gives is called from several threads. What is wrong with an entry is in the
        answer; it raises where the work cannot go on at all.

        Raises:
            EdgeVisionError: the model cannot be loaded there.
        """
        ...

    def lost(self, entry: Any, reason: str) -> Any:
        """The answer about an entry whose process was killed again and again while it worked on it.

        Raises:
            ProcessError: there is no answer without it.
        """
        ...


class Executor(Protocol):
    """A place where units are worked on, provided by a plugin.

    Attributes:
        name: its name, such as ``local``.
        summary: where it works, in one line.
        unit_size: images of one unit, unless the network needs another number.
    """

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    @property
    def unit_size(self) -> int: ...

    def run(self, work: Work, units: Iterable[Unit], workers: int | None) -> Iterator[Answer]:
        """Work on all units, several at a time.

        Units are taken as they are needed, and what was not taken by the caller is bounded, so that a billion
        images need no more memory than a thousand. Closing the iterator ends the work and frees everything.

        Args:
            work: opened by each worker process.
            units: iterated by the calling thread alone.
            workers: how many work at a time; `None` is as many as there are cores.

        Returns:
            The answers, in the order of the units, each once.

        Raises:
            OptionError: there are not so many workers to be had.
            MissingRuntimeError: a library that it needs is not installed.
            ProcessError: the workers are gone, and do not come back.
            EdgeVisionError: what `work` raised.
        """
        ...
