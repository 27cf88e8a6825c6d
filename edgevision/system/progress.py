"""How far long work is, for a caller who wants to show it."""

from __future__ import annotations

from collections.abc import Callable

#: Told (what is being done, steps done, steps in all).
Progress = Callable[[str, int, int], None]


class Steps:
    """Counts what is done, and tells the caller's progress.

    Args:
        progress: the caller's.
        expected: steps in all, as far as that is known.
    """

    def __init__(self, progress: Progress | None, expected: int) -> None:
        self._progress = progress
        self._in_all = expected
        self._done = 0
        self._stage, self._steps = "", 0

    def next(self, stage: str, steps: int) -> None:
        """Begin a stage that is so many steps long; a search may have more than were expected."""
        self._done += self._steps
        self._stage, self._steps = stage, steps
        self._in_all = max(self._in_all, self._done + steps)
        self.measured(0)

    def measured(self, examples: int) -> None:
        """Say how many steps of the stage are done."""
        if self._progress is not None:
            self._progress(self._stage, self._done + examples, self._in_all)
