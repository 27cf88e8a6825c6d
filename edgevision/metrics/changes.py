"""Differences between artifact and source by image, and the errors of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.system.arguments import array, check_lengths, whole_number
from edgevision.system.shown import shown


@dataclass(frozen=True)
class Flip:
    """An image with different predictions of two classifiers.

    Attributes:
        image: name in the set.
        source, artifact: names of the predicted classes: one, or with independent scores all that reach 0.5.
        source_score, artifact_score: scores of the predicted class, 0…1; with independent scores, both scores
            of the class whose score changed most.
        truth: ground-truth classes; `None` if unknown.
    """

    image: str
    source: tuple[str, ...]
    artifact: tuple[str, ...]
    source_score: float
    artifact_score: float
    truth: tuple[str, ...] | None = None


@dataclass(frozen=True)
class BoxChange:
    """An image with different detections of two detectors.

    Attributes:
        image: name in the set.
        matched: number of boxes that both detected.
        lost, gained: class names of the boxes that only the source, or only the artifact, detected.
    """

    image: str
    matched: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]


@dataclass(frozen=True)
class PixelChange:
    """An image for which two networks have different output images.

    Attributes:
        image: name in the set.
        ssim: structural similarity of the two outputs, at most 1.
        psnr_db: peak signal-to-noise ratio of the two outputs.
    """

    image: str
    ssim: float
    psnr_db: float


@dataclass(frozen=True)
class ResultChange:
    """An image with different results of two models of a plugin's task.

    Attributes:
        image: name in the set.
        difference: how much they differ, 0…1.
        text: the difference in words, such as ``Dice 0.93``.
    """

    image: str
    difference: float
    text: str


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix, stored sparsely.

    Attributes:
        cells: (true class, predicted class, images), sorted; pairs that do not occur are left out.

    Raises:
        OptionError: a class is no whole number from 0 to 100,000, or a number of images is none.
    """

    cells: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        for cell in self.cells:
            if len(cell) != 3:
                raise OptionError(f"cells: expected two classes and a number of images, got {shown(cell)}")
            for number, most in zip(cell, (_MOST_LABELS, _MOST_LABELS, _MOST_IMAGES), strict=True):
                whole_number(number, "cells", 0, most)

    @classmethod
    def of(cls, truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> Confusion:
        """Count the pairs of true and predicted classes, both int64 ``(images,)``.

        Raises:
            OptionError: they are not two arrays of whole numbers, of the same length.
        """
        array(truth, "truth", "iu", axes=(1,))
        array(predicted, "predicted", "iu", axes=(1,))
        check_lengths(truth=truth, predicted=predicted)
        pairs, counts = np.unique(np.stack([truth, predicted], axis=1), axis=0, return_counts=True)
        rows = np.column_stack([pairs, counts]).tolist()
        return cls(tuple((row[0], row[1], row[2]) for row in rows))

    def matrix(self, classes: int) -> NDArray[np.int64]:
        """int64 ``(classes, classes)``: one row per true class, one column per predicted class.

        Raises:
            OptionError: `classes` is not a whole number, or does not cover every class that occurs.
        """
        highest = max((max(row, column) for row, column, _ in self.cells), default=-1)
        classes = whole_number(classes, "classes", highest + 1, _MOST_CLASSES)
        matrix = np.zeros((classes, classes), np.int64)
        for row, column, count in self.cells:
            matrix[row, column] = count
        return matrix


_MOST_LABELS, _MOST_IMAGES = 100_000, 1 << 53
#: More have no meaning, and a matrix of them no memory.
_MOST_CLASSES = 20_000


def name_of(image_names: Sequence[str], place: int) -> str:
    """The name of an image in its set; ``image 7`` if the set has no names."""
    return image_names[place] if image_names else f"image {place}"
