"""The stages of a conversion in time: how long they took, and how long the rest will take."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from enum import Enum

from edgevision.system.progress import Progress


class Stage(Enum):
    """Kinds of stages whose durations resemble each other."""

    READING = "reading"
    SOURCE = "the source, by examples"
    FLOAT = "a conversion without calibration"
    INTEGER = "a conversion with calibration"
    RANKING = "ranking layers"
    ARTIFACTS = "artifacts, by examples"
    ATTENTION = "maps, by images"
    TIMING = "timing"
    WRITING = "writing"


#: Seconds that a stage is expected to take until one of its kind has been timed; of stages by examples, each.
_GUESSES = {
    Stage.READING: 8.0,
    Stage.SOURCE: 0.01,
    Stage.FLOAT: 4.0,
    Stage.INTEGER: 8.0,
    Stage.RANKING: 10.0,
    Stage.ARTIFACTS: 0.01,
    Stage.ATTENTION: 2.0,
    Stage.TIMING: 4.0,
    Stage.WRITING: 1.0,
}
_BY_EXAMPLES = (Stage.SOURCE, Stage.ARTIFACTS, Stage.ATTENTION)
#: Runs of the source that a conversion costs for each calibration image.
_RUNS_PER_CALIBRATION_IMAGE = 8


class Schedule:
    """Reports the progress of a conversion in milliseconds: those that went by, and the total as estimated.

    A stage is expected to take what the earlier ones of its kind took. The number of stages to come is known
    for artifacts that were asked for; a search may need more of them, and then the total grows.

    Args:
        progress: the caller's function; `None` reports nothing.
        expected: kind of stage -> the number of such stages to come, or, of a stage by examples, of examples.
        calibration_images: number of calibration images.
        clock: the current time in seconds.
    """

    def __init__(
        self,
        progress: Progress | None,
        expected: dict[Stage, int],
        calibration_images: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._expected = Counter(expected)
        self._calibration_images = calibration_images
        self._clock = clock
        self._start = self._stage_start = clock()
        self._seconds: defaultdict[Stage, float] = defaultdict(float)
        self._units: Counter[Stage] = Counter()
        self._name, self._kind, self._planned, self._measured = "", Stage.READING, 0, 0
        self._raised: BaseException | None = None

    def next(self, name: str, kind: Stage, examples: int = 0) -> None:
        """Begin a stage.

        Args:
            name: shown to the caller.
            kind: tells how long it will take.
            examples: their number, of a stage by examples.
        """
        self._finish()
        self._name, self._kind = name, kind
        self._planned = examples if kind in _BY_EXAMPLES else 1
        self._expected[kind] = max(0, self._expected[kind] - self._planned)
        if kind in (Stage.ARTIFACTS, Stage.WRITING):  # conversions that were expected and not needed
            self._expected[Stage.FLOAT] = self._expected[Stage.INTEGER] = 0
        self._report()

    def measured(self, examples: int) -> None:
        """Report that `examples` of the current stage are done."""
        self._measured = examples
        self._report()

    def check_caller(self, error: BaseException) -> None:
        """Raise `error` again if the caller's function raised it, which is no failure of a stage."""
        if error is self._raised:
            raise error

    def _finish(self) -> None:
        if self._name:
            self._seconds[self._kind] += self._clock() - self._stage_start
            self._units[self._kind] += self._planned
        self._stage_start, self._measured = self._clock(), 0

    def _report(self) -> None:
        if self._progress is None:
            return
        done = self._clock() - self._start
        try:
            self._progress(self._name, round(1000 * done), round(1000 * (done + self._seconds_left())))
        except BaseException as error:
            self._raised = error
            raise

    def _seconds_left(self) -> float:
        """Of the current stage, and of those to come."""
        to_come = sum(self._seconds_of(kind) * count for kind, count in self._expected.items())
        elapsed = self._clock() - self._stage_start
        if self._measured:
            return to_come + elapsed * (self._planned - self._measured) / self._measured
        return to_come + max(0.0, self._seconds_of(self._kind) * self._planned - elapsed)

    def _seconds_of(self, kind: Stage) -> float:
        """Of a stage, or of an example of a stage by examples."""
        if self._units[kind]:
            return self._seconds[kind] / self._units[kind]
        if kind is Stage.ARTIFACTS and self._units[Stage.SOURCE]:
            return self._seconds_of(Stage.SOURCE)
        if kind in (Stage.INTEGER, Stage.RANKING):
            runs = self._seconds_of(Stage.SOURCE) * self._calibration_images * _RUNS_PER_CALIBRATION_IMAGE
            return _GUESSES[kind] + runs
        return _GUESSES[kind]
