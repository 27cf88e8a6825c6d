"""One pass over a set of images that keeps 300 bytes per image, all that the checks need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import ValueMapping
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.system.cores import cores
from edgevision.system.in_order import in_blocks, in_order

#: Width and height of a thumbnail: a CIFAR-10 image at half its size.
THUMBNAIL = 16
#: Side of the centre crop in which adjacent pixels are correlated, enough to detect noise.
_MIDDLE = 256
#: Image side below which noise can be correlated by chance.
_FEWEST = 24
#: Images per task of a thread; single small images would cost more to schedule than to read.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Summaries:
    """Summaries of all readable images, in the order of the set.

    Attributes:
        names: names of these images.
        thumbnails: (n, 16, 16) uint8, mean brightness by area. Colours are left out because JPEG changes
            those of small images by several levels.
        deviations: (n,) float32, largest standard deviation of a channel, in levels of 0…255.
        correlations: (n,) float32, largest absolute correlation of the brightness of adjacent pixels,
            horizontal and vertical, at full and at half size. Near 0 for noise; 1 for images that are too
            small to judge.
        broken: the error of each image that cannot be read, with its name.
    """

    names: tuple[str, ...]
    thumbnails: NDArray[np.uint8]
    deviations: NDArray[np.float32]
    correlations: NDArray[np.float32]
    broken: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def at(self, kept: Sequence[bool]) -> Summaries:
        """The images that are kept, one bool per image."""
        which = np.asarray(kept, bool)
        return Summaries(
            tuple(name for name, keep in zip(self.names, kept, strict=True) if keep),
            self.thumbnails[which],
            self.deviations[which],
            self.correlations[which],
            self.broken,
        )


_Row = tuple[NDArray[np.uint8], float, float]


def summarise(images: ImageSet, mapping: ValueMapping) -> Summaries:
    """Read every image once, on all cores, in blocks. Needs about 300 bytes of memory per image.

    Args:
        images: the set.
        mapping: how values of more than 8 bits become black and white; an image that it does not cover counts
            as one that cannot be read.
    """
    names, rows, broken = [], [], []
    for name, row in zip(images.shown_names, _rows(images, mapping), strict=True):
        if isinstance(row, str):
            broken.append(row)
        else:
            names.append(name)
            rows.append(row)
    thumbnails = np.empty((len(rows), THUMBNAIL, THUMBNAIL), np.uint8)
    for place, row in enumerate(rows):
        thumbnails[place] = row[0]
    deviations, correlations = (np.array([row[i] for row in rows], np.float32) for i in (1, 2))
    return Summaries(tuple(names), thumbnails, deviations, correlations, tuple(broken))


def _rows(images: ImageSet, mapping: ValueMapping) -> Iterator[_Row | str]:
    row = partial(_row, mapping)
    with in_order(lambda block: map(row, block), in_blocks(images.readers(), _BLOCK), cores()) as rows:
        yield from rows


def _row(mapping: ValueMapping, read: Callable[[], Pixels | Frame]) -> _Row | str:
    try:
        image = viewable(read(), mapping)
    except InputError as error:
        return str(error)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return _thumbnail(grey), _deviation(image), _correlation(grey)


def _thumbnail(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # INTER_AREA of OpenCV is wrong if one side shrinks and the other grows.
    how = cv2.INTER_AREA if min(grey.shape) >= THUMBNAIL else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=how), np.uint8)


def _deviation(image: Pixels) -> float:
    _, deviations = cv2.meanStdDev(image)
    return float(deviations.max())


def _correlation(grey: NDArray[np.uint8]) -> float:
    if min(grey.shape) < _FEWEST:
        return 1.0
    top, left = ((size - min(size, _MIDDLE)) // 2 for size in grey.shape)
    middle = grey[top : top + _MIDDLE, left : left + _MIDDLE]
    half = cv2.resize(middle, (middle.shape[1] // 2, middle.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return max(_of_neighbours(np.asarray(one, np.float32)) for one in (middle, half))


def _of_neighbours(grey: NDArray[np.float32]) -> float:
    grey = grey - grey.mean()
    variance = float((grey * grey).mean())
    if variance == 0.0:
        return 1.0
    across, down = (grey[:, 1:] * grey[:, :-1]).mean(), (grey[1:] * grey[:-1]).mean()
    return max(abs(float(across)), abs(float(down))) / variance
