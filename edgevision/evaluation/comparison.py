"""How closely an artifact agrees with its source, and how often each is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.classify import Scores

Decisions = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """An artifact's scores held against its source's, on the same images.

    Attributes:
        images: how many.
        agreement: share of images on which both decide alike, 0…1: the same top class, or for
            independent scores the same set of classes at 0.5 or above.
        largest_difference, mean_difference: of all scores, 0…1.
        accuracy, source_accuracy: share of images whose top class is the label; `None` without
            labels.
    """

    images: int
    agreement: float
    largest_difference: float
    mean_difference: float
    accuracy: float | None = None
    source_accuracy: float | None = None

    @property
    def accuracy_drop(self) -> float | None:
        """How much lower the artifact's accuracy is than its source's; below 0 where it is higher."""
        if self.accuracy is None or self.source_accuracy is None:
            return None
        return self.source_accuracy - self.accuracy


def compare_scores(
    source: Scores, artifact: Scores, labels: Decisions | None, multi_label: bool = False
) -> Comparison:
    """Compare float32 scores ``(images, classes)`` of an artifact with its source's.

    Args:
        source, artifact: scores of 0…1, a row an image, one image or more.
        labels: int64 ``(images,)``, the class of each image, where known.
        multi_label: whether each class has a score of its own.
    """
    same = (
        ((source >= 0.5) == (artifact >= 0.5)).all(axis=1)
        if multi_label
        else source.argmax(axis=1) == artifact.argmax(axis=1)
    )
    difference = np.abs(source - artifact)
    return Comparison(
        images=len(source),
        agreement=float(same.mean()),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        accuracy=_accuracy(artifact, labels),
        source_accuracy=_accuracy(source, labels),
    )


def _accuracy(scores: Scores, labels: Decisions | None) -> float | None:
    return None if labels is None else float((scores.argmax(axis=1) == labels).mean())
