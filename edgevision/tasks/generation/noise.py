"""Random numbers for generation: one stream per image, from its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.system.numeric import is_whole
from edgevision.system.shown import shown

if TYPE_CHECKING:
    from edgevision.system.numeric import WholeNumber

#: Seeds are below this, so that JSON and other languages can represent them.
SEED_LIMIT = 2**53
#: Of one call, whose result holds them all.
MOST_IMAGES = 10_000


def seeds_of(count: WholeNumber, seed: WholeNumber | None) -> tuple[int, ...]:
    """The seeds of several images: `seed`, and the next whole numbers.

    Args:
        count: number of images.
        seed: of the first image; `None` draws one from the operating system.

    Raises:
        OptionError: `count` is not a whole number above 0, or `seed` not one from 0 to 2**53.
    """
    if not is_whole(count, 1) or count > MOST_IMAGES:
        raise OptionError(f"count of images: expected 1 or more, up to {MOST_IMAGES}, got {shown(count)}")
    if seed is None:
        import secrets

        # Short enough to type again.
        seed = secrets.randbelow(2**31)
    if not is_whole(seed) or int(seed) + int(count) > SEED_LIMIT:
        raise OptionError(f"seed: expected a whole number, 0 up to 2**53, got {shown(seed)}")
    return tuple(range(int(seed), int(seed) + int(count)))


class NoiseStreams:
    """Noise for several images, each from a generator of its own.

    So an image does not depend on the others in its batch.

    Args:
        seeds: one per image.
        shape: of the noise of one image.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...]) -> None:
        self._generators = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        self._shape = (len(seeds), *shape)

    def normal(self) -> NDArray[np.float32]:
        """The next noise of every image: float32 ``(images, *shape)``, mean 0, deviation 1."""
        out = np.empty(self._shape, np.float32)
        for row, generator in zip(out, self._generators, strict=True):
            generator.standard_normal(dtype=np.float32, out=row)
        return out

    def uniform(self) -> NDArray[np.float32]:
        """As `normal`, but uniform in -1…1."""
        out = np.empty(self._shape, np.float32)
        for row, generator in zip(out, self._generators, strict=True):
            generator.random(dtype=np.float32, out=row)
        return np.asarray(out * np.float32(2) - np.float32(1))
