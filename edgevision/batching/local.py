"""The executor `local`: this process, on all its cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgevision.executor import Answer, Unit, Work
from edgevision.system.in_order import in_order


class LocalExecutor:
    """As `edgevision.executor.Executor`: threads of this process share one loaded model."""

    name = "local"
    summary = "this process, on all its cores"
    unit_size = 8

    def run(self, work: Work, units: Iterable[Unit], workers: int | None) -> Iterator[Answer]:
        """As `Executor.run`."""
        threads = work.workers if workers is None else workers
        with work.open() as answer, in_order(lambda unit: [answer(unit)], units, threads) as answers:
            yield from answers
