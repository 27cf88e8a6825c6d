"""Progress of long operations, for a caller who displays it."""

from __future__ import annotations

from collections.abc import Callable

#: Called as ``progress(stage, done, total)`` after each step; `done` and `total` count steps.
Progress = Callable[[str, int, int], None]


def no_progress(stage: str, done: int, total: int) -> None:
    """Ignore progress, for a caller who passed no function."""


class Steps:
    """A count of steps over several stages, reported to the caller after each one.

    Args:
        progress: the caller's; `None` reports nothing.
        expected: total number of steps, as far as it is known.
    """

    def __init__(self, progress: Progress | None, expected: int) -> None:
        self._progress = progress
        self._total = expected
        self._done = 0
        self._stage, self._steps = "", 0

    def next(self, stage: str, steps: int) -> None:
        """Begin a stage of `steps` steps, and raise the total if it needs more than were expected."""
        self._done += self._steps
        self._stage, self._steps = stage, steps
        self._total = max(self._total, self._done + steps)
        self.measured(0)

    def measured(self, examples: int) -> None:
        """Report that `examples` steps of the current stage are done."""
        if self._progress is not None:
            self._progress(self._stage, self._done + examples, self._total)
