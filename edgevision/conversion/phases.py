"""The phases of a conversion, which its supervisor hears of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from edgevision.errors import ConversionError


class Phase(Enum):
    """Parts of a conversion that have limits of their own."""

    PREPARING = "preparing"
    CHECKING = "checking"
    READING = "reading"
    CONVERTING = "converting"


@dataclass(frozen=True)
class Activity:
    """A moment of a conversion, as its supervisor knows it.

    Attributes:
        phase: the part of the conversion.
        artifact: id of the artifact that is being converted; empty if none is.
        has_others: True if other artifacts may be written without that one.
    """

    phase: Phase
    artifact: str = ""
    has_others: bool = False

    @property
    def is_reading(self) -> bool:
        """True while the source is checked and read."""
        return self.phase in (Phase.CHECKING, Phase.READING)

    def __str__(self) -> str:
        if self.artifact:
            return f"while {self.artifact} was converted"
        return {
            Phase.PREPARING: "before the model was read",
            Phase.CHECKING: "while the file was checked",
            Phase.READING: "while the model was read",
            Phase.CONVERTING: "after the model was read",
        }[self.phase]


#: Called when an activity begins.
OnActivity = Callable[[Activity], None]


def no_activity(activity: Activity) -> None:
    """Ignore activities, for a conversion without a supervisor."""


@dataclass(frozen=True)
class ArtifactWatch:
    """Follows which artifact a conversion is converting.

    Attributes:
        on_activity: hears of it.
        has_others: True if other artifacts may be written without one that fails.
        failed: id of an artifact -> why it cannot be converted, of those that ended an earlier process.
    """

    on_activity: OnActivity
    has_others: bool
    failed: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def converting(self, artifact: str) -> Iterator[None]:
        """A context in which an artifact is converted, and run for the first time.

        Raises:
            ConversionError: that has ended an earlier process.
        """
        if artifact in self.failed:
            raise ConversionError(self.failed[artifact])
        self.on_activity(Activity(Phase.CONVERTING, artifact, self.has_others))
        try:
            yield
        finally:
            self.on_activity(Activity(Phase.CONVERTING))


NO_WATCH = ArtifactWatch(no_activity, has_others=False)
