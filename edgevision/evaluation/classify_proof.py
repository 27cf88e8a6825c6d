"""Proves classifiers: the same top class, and as often right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Session
from edgevision.evaluation.comparison import Comparison, Metric
from edgevision.evaluation.image_sets import ImageSet
from edgevision.evaluation.network_inputs import PreprocessedImages, known_images
from edgevision.preprocess import Preprocessing
from edgevision.selftest import KnownImages
from edgevision.session import CheckedSession
from edgevision.tasks.classify import Classifier, Scores
from edgevision.tasks.description import ClassifyTask
from edgevision.tensors import Array

Decisions = NDArray[np.int64]


class ClassifyProof:
    """Proves artifacts that classify; see `TaskProof`.

    Args:
        task: output and kind of its scores.
        labels: one name a class.
        preprocessing: from an image to the source's input.
        truth: int64 ``(images,)``, the class of each evaluation image, where known.
    """

    #: Floats differ by rounding alone; integers by what 8 bits can hold: the best converters of the
    #: three formats reach 0.96 to 0.98 on a small residual network.
    least_agreement: Mapping[str, float] = {
        "float32": 0.999,
        "float16": 0.995,
        "int16x8": 0.97,
        "int8-dynamic": 0.97,
        "int8-mixed": 0.95,
        "int8-float-io": 0.95,
        "int8": 0.95,
    }

    def __init__(
        self,
        task: ClassifyTask,
        labels: tuple[str, ...],
        preprocessing: Preprocessing,
        truth: Decisions | None,
    ) -> None:
        self.task = task
        self.labels = labels
        self.preprocessing = preprocessing
        self._truth = truth
        self._multi_label = False

    def model(self, session: CheckedSession) -> Classifier:
        """As `TaskProof.model`."""
        model = Classifier(session, self.preprocessing, self.labels, self.task.score_kind, self.task.output)
        self._multi_label = model.multi_label
        return model

    def answers(self, model: Classifier, images: Sequence[Array]) -> Sequence[Scores]:
        """The scores of each image, float32 ``(classes,)``."""
        return list(model.scores(images))

    def network_inputs(self, source: Session, examples: ImageSet) -> PreprocessedImages:
        """As `TaskProof.network_inputs`."""
        return PreprocessedImages(source.inputs[0], self.preprocessing, examples)

    def questions(self, source: Session, examples: ImageSet, places: Sequence[int]) -> KnownImages:
        """As `TaskProof.questions`."""
        return known_images(self.preprocessing, examples, places)

    def compare(self, source: Sequence[Scores], artifact: Sequence[Scores]) -> Comparison:
        """As `compare_scores`, with the truth of the evaluation set."""
        return compare_scores(np.stack(source), np.stack(artifact), self._truth, self._multi_label)

    def telling(self, source: Sequence[Scores], count: int) -> list[int]:
        """The surest image of each class, so that a known answer is not one on the edge, then others."""
        scores = np.stack(source)
        tops = scores.argmax(axis=1)
        surest = [int(place) for place in np.argsort(-scores.max(axis=1), kind="stable")]
        best_of_class = [next(place for place in surest if tops[place] == one) for one in np.unique(tops)]
        rest = [place for place in surest if place not in best_of_class]
        return sorted((best_of_class + rest)[:count])


def compare_scores(
    source: Scores, artifact: Scores, truth: Decisions | None, multi_label: bool = False
) -> Comparison:
    """Compare float32 scores ``(images, classes)`` of an artifact with its source's.

    The decision of an image is its top class; with independent scores it is the set of classes
    at 0.5 or above.

    Args:
        source, artifact: scores of 0…1, a row an image, one image or more.
        truth: int64 ``(images,)``, the class of each image, where known.
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
        metrics=()
        if truth is None
        else (Metric("accuracy", _accuracy(source, truth), _accuracy(artifact, truth)),),
    )


def _accuracy(scores: Scores, truth: Decisions) -> float:
    return float((scores.argmax(axis=1) == truth).mean())
