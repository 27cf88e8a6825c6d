"""The calibration images that ranges are set on, and those that ways to quantize are compared on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice

import numpy as np

from edgevision.converter import CalibrationData, split_calibration
from edgevision.tensors import Array

#: Tensors of a batch of images, by name.
Batch = Mapping[str, Array]


class FittingImages:
    """The images of a calibration set that set ranges; can be iterated more than once.

    Args:
        calibration: the whole set.
    """

    def __init__(self, calibration: CalibrationData) -> None:
        self._calibration = calibration
        self._positions = split_calibration(_count(calibration))[0]

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        return _at(self._calibration, self._positions)


def split_batches(
    calibration: CalibrationData, most_fitting: int, batch_size: int
) -> tuple[list[Batch], list[Batch]]:
    """(fitting, held out): batches of images.

    Args:
        calibration: the whole set.
        most_fitting: number of fitting images, at most; they are evenly spread.
        batch_size: images per batch.
    """
    fitting, held_out = split_calibration(_count(calibration))
    kept = np.linspace(0, len(fitting) - 1, min(len(fitting), most_fitting)).round().astype(int)
    parts = [fitting[index] for index in kept], held_out
    return (
        list(_stacked(_at(calibration, parts[0]), batch_size)),
        list(_stacked(_at(calibration, parts[1]), batch_size)),
    )


def _count(calibration: CalibrationData) -> int:
    return len(calibration) if isinstance(calibration, Sized) else sum(1 for _ in calibration)


def _at(calibration: CalibrationData, positions: Sequence[int]) -> Iterator[Mapping[str, Array]]:
    chosen = set(positions)
    return (image for index, image in enumerate(calibration) if index in chosen)


def _stacked(images: Iterable[Mapping[str, Array]], size: int) -> Iterator[Batch]:
    remaining = iter(images)
    while batch := list(islice(remaining, size)):
        yield {name: np.concatenate([image[name] for image in batch]) for name in batch[0]}
