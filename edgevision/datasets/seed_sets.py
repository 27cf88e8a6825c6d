"""Sets of seeds, on which generators without an image input are calibrated and evaluated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

#: First seed for calibration, far from the seeds of users and of evaluation sets.
CALIBRATION_START = 1_000_000


@dataclass(frozen=True)
class SeedSet:
    """Consecutive seeds, one per generated image.

    Attributes:
        start: first seed.
        count: number of seeds.
    """

    start: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.start + self.count))

    def readers(self) -> Iterator[Callable[[], int]]:
        """One function per seed that returns it, like `ImageSet.readers`."""
        return (partial(int, seed) for seed in self)

    @property
    def name(self) -> str:
        """Description of the set, for messages."""
        return f"seeds {self.start} to {self.start + self.count - 1}"

    @property
    def image_names(self) -> tuple[str, ...]:
        """The name of each generated image."""
        return tuple(f"seed {seed}" for seed in self)

    @property
    def shown_names(self) -> tuple[str, ...]:
        """As `image_names`."""
        return self.image_names

    def only(self, place: int) -> SeedSet:
        """A set of the seed at index `place` alone."""
        return SeedSet(self.start + place, 1)

    @property
    def digest(self) -> str:
        """SHA-256 of the set."""
        return hashlib.sha256(self.name.encode()).hexdigest()
