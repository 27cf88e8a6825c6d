"""Sets of seeds: what a network that makes images of nothing else is calibrated and measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

#: Seeds of calibration begin here, far from those that people type and evidence is measured on.
CALIBRATION_START = 1_000_000


@dataclass(frozen=True)
class SeedSet:
    """Seeds that follow each other, one an image.

    Attributes:
        start: the first.
        count: how many.
    """

    start: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.start + self.count))

    def readers(self) -> Iterator[Callable[[], int]]:
        """For each seed a function that gives it, as `ImageSet.readers` for images."""
        return (partial(int, seed) for seed in self)

    @property
    def name(self) -> str:
        """For people."""
        return f"seeds {self.start} to {self.start + self.count - 1}"

    @property
    def image_names(self) -> tuple[str, ...]:
        """The name of each image that is made."""
        return tuple(f"seed {seed}" for seed in self)

    def only(self, place: int) -> SeedSet:
        """The seed at `place` alone."""
        return SeedSet(self.start + place, 1)

    @property
    def digest(self) -> str:
        """SHA-256 of the set."""
        return hashlib.sha256(self.name.encode()).hexdigest()
