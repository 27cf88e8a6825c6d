"""What an artifact does otherwise than its source, image by image, and where each is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Flip:
    """An image that two classifiers decide differently.

    Attributes:
        image: its name in the set.
        source, artifact: names of the classes that each decides for: one, or with independent scores
            as many as reach 0.5.
        source_score, artifact_score: of the first class of each decision, 0…1; with independent scores,
            each one's score of the class that moved most.
        truth: the classes that it truly is of, where known.
    """

    image: str
    source: tuple[str, ...]
    artifact: tuple[str, ...]
    source_score: float
    artifact_score: float
    truth: tuple[str, ...] | None = None


@dataclass(frozen=True)
class BoxChange:
    """An image in which two detectors find other objects.

    Attributes:
        image: its name in the set.
        matched: boxes that both have.
        lost, gained: class names of the boxes that only the source, or only the artifact, has.
    """

    image: str
    matched: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]


@dataclass(frozen=True)
class PixelChange:
    """An image of which two networks make other images.

    Attributes:
        image: its name in the set.
        ssim: structural similarity of the two, 1 at most.
        psnr_db: peak signal-to-noise ratio of the two.
    """

    image: str
    ssim: float
    psnr_db: float


@dataclass(frozen=True)
class Confusion:
    """How often each class was taken for which.

    Attributes:
        cells: (true class, class decided for, images), sorted; pairs that never occur are left out.
    """

    cells: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, truth: NDArray[np.int64], decided: NDArray[np.int64]) -> Confusion:
        """Count the pairs of two int64 ``(images,)``."""
        pairs, counts = np.unique(np.stack([truth, decided], axis=1), axis=0, return_counts=True)
        rows = np.column_stack([pairs, counts]).tolist()
        return cls(tuple((row[0], row[1], row[2]) for row in rows))

    def matrix(self, classes: int) -> NDArray[np.int64]:
        """int64 ``(classes, classes)``: a row a true class, a column a class that was decided for."""
        matrix = np.zeros((classes, classes), np.int64)
        for row, column, count in self.cells:
            matrix[row, column] = count
        return matrix


@dataclass(frozen=True)
class ReliabilityBin:
    """Decisions whose confidence lies in one of the bins.

    Attributes:
        count: how many.
        confidence: their mean confidence, 0…1.
        accuracy: the share of them that is right.
    """

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """Whether a score of 0.8 is right eight times of ten (Guo et al. 2017, section 2).

    Attributes:
        ece: expected calibration error, 0…1: mean distance of confidence and accuracy; lower is better.
        bins: fifteen of the same width, from 0 to 1; one without decisions counts 0 of them.
    """

    ece: float
    bins: tuple[ReliabilityBin, ...]

    @classmethod
    def of(cls, confidence: NDArray[np.float32], right: NDArray[np.bool_], bins: int = 15) -> Reliability:
        """Sort decisions, float32 ``(n,)`` of 0…1 and bool ``(n,)``, into bins ``(low, high]``."""
        places = (np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1).clip(0, bins - 1)
        counts = np.bincount(places, minlength=bins)
        least = np.maximum(counts, 1)
        confidences = np.bincount(places, confidence, minlength=bins) / least
        accuracies = np.bincount(places, right, minlength=bins) / least
        error = float((counts * np.abs(confidences - accuracies)).sum() / max(1, len(right)))
        rows = zip(counts.tolist(), confidences.tolist(), accuracies.tolist(), strict=True)
        return cls(round(error, 6), tuple(ReliabilityBin(n, round(c, 6), round(a, 6)) for n, c, a in rows))


def name_of(image_names: Sequence[str], place: int) -> str:
    """The name of an image in its set, or its place where there are no names."""
    return image_names[place] if image_names else f"image {place}"
