"""One pass over a set of images, of any size: what its checks need of each image, in 300 bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision.execution.pipeline import in_blocks, in_order
from edgevision.imaging.decode import Pixels
from edgevision.system.cores import cores

#: Width and height of a thumbnail: a CIFAR-10 image at half its size.
THUMBNAIL = 16
#: Neighbours are looked at in the middle of an image, this wide and high: enough to tell noise.
_MIDDLE = 256
#: Pixels across or down below which chance alone makes neighbours of noise look alike.
_FEWEST = 24
#: Images that a thread takes at a time: small ones take less time than to be handed over one by one.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Summaries:
    """What was seen of each image that can be read, in the set's order.

    Attributes:
        names: of these images.
        thumbnails: (n, 16, 16) uint8, each pixel the mean brightness of its part of the image. Of
            brightness alone: JPEG files blur colours, and small pictures' by several levels.
        deviations: (n,) float32, the largest standard deviation of a channel, in levels of 0…255.
        correlations: (n,) float32, of brightness in neighbouring pixels: the largest, either sign, across
            and down, at the image's own size and at half of it. Near 0 for noise alone; 1 for an image
            that is too small to tell.
        broken: for each image that cannot be read, the reason, with its name.
    """

    names: tuple[str, ...]
    thumbnails: NDArray[np.uint8]
    deviations: NDArray[np.float32]
    correlations: NDArray[np.float32]
    broken: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


_Row = tuple[NDArray[np.uint8], float, float]


def summarise(images: ImageSet) -> Summaries:
    """Read every image once, on all cores, a block at a time. Memory: about 300 bytes an image."""
    names, rows, broken = [], [], []
    for name, row in zip(images.image_names, _rows(images), strict=True):
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


def _rows(images: ImageSet) -> Iterator[_Row | str]:
    with in_order(lambda block: map(_row, block), in_blocks(images.readers(), _BLOCK), cores()) as rows:
        yield from rows


def _row(read: Callable[[], Pixels]) -> _Row | str:
    try:
        image = read()
    except InputError as error:
        return str(error)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return _thumbnail(grey), _deviation(image), _correlation(grey)


def _thumbnail(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # OpenCV's area is wrong where one side shrinks and the other grows.
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
