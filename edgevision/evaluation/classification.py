"""Evaluation of classifiers: agreement of their predictions, and accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.evaluation.network_inputs import ImageInputs
from edgevision.evidence.operating_points import with_point
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.changes import Flip, name_of
from edgevision.metrics.classification import Members, Truth, classify_measures, members, predicted_classes
from edgevision.metrics.comparison import (
    MOST_CLASSES,
    MOST_IMAGES,
    POSITIVE_AGREEMENT,
    ClassifyDetails,
    Comparison,
    LabelAgreement,
    pair,
    pair_classes,
)
from edgevision.metrics.intervals import Groups, proportion, share_by_image
from edgevision.metrics.measures import Measures
from edgevision.session import CheckedSession
from edgevision.tasks.classify import Classifier, Scores
from edgevision.tasks.description import ClassifyTask
from edgevision.tasks.score_calibration import ScoreCalibration
from edgevision.tensors import Array


class ClassificationEvaluator(ImageInputs):
    """Compares classifiers with their source; see `Evaluator`.

    Args:
        task: output and kind of its scores.
        labels: one name per class.
        preprocessing: from an image to the source's input.
        truth: int64 ``(images,)``, the class of each evaluation image, where known; with independent scores
            also bool ``(images, classes)``.
        image_names: names of the evaluation images, in their order.
        score_calibration: temperature and operating point of the artifact, if a single one is measured.
        source_notes: how the task was inferred from the source, for each comparison with it.
        groups: group of each evaluation image, `None` if every image is its own.

    Attributes:
        truth, groups: the arguments.
    """

    #: Floats differ by rounding alone; integers by the resolution of 8 bits: the best converters of the
    #: three formats reach 0.96 to 0.98 on a small residual network.
    default_agreement: Mapping[str, float] = {
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
        truth: Truth | None,
        image_names: Sequence[str] = (),
        score_calibration: ScoreCalibration | None = None,
        source_notes: tuple[str, ...] = (),
        groups: Groups | None = None,
    ) -> None:
        self.task = task
        self.groups = groups
        self.labels = labels
        self.preprocessing = preprocessing
        self.truth = truth
        self._image_names = image_names
        self._multi_label = False
        self._score_calibration = score_calibration or ScoreCalibration()
        self._source_notes = source_notes

    def model(self, session: CheckedSession) -> Classifier:
        """As `Evaluator.model`."""
        task = self.task
        model = Classifier(
            session, self.preprocessing, self.labels, task.score_kind, task.output, self._score_calibration
        )
        self._multi_label = model.multi_label
        return model

    def answers(self, model: Classifier, images: Sequence[Array]) -> Sequence[Scores]:
        """The scores of each image, float32 ``(classes,)``."""
        return list(model.scores(images))

    def resized_answers(
        self, model: Classifier, frames: Sequence[Frame], sizes_wh: Sequence[tuple[int, int]]
    ) -> Sequence[Scores]:
        """As `SampledEvaluator.resized_answers`: scores have no coordinates."""
        return list(model.scores(frames))

    def at(self, places: Sequence[int]) -> ClassificationEvaluator:
        """The evaluator of some of the evaluation images, by their indices; without an operating point."""
        evaluator = ClassificationEvaluator(
            self.task,
            self.labels,
            self.preprocessing,
            None if self.truth is None else self.truth[list(places)],
            [self._image_names[place] for place in places] if self._image_names else (),
            groups=None if self.groups is None else self.groups[list(places)],
        )
        evaluator._multi_label = self._multi_label
        return evaluator

    def compare(self, source: Sequence[Scores], artifact: Sequence[Scores]) -> Comparison:
        """As `compare_scores`, with the ground truth of the evaluation set."""
        comparison = compare_scores(
            np.stack(source),
            np.stack(artifact),
            self.truth,
            self._multi_label,
            self.labels,
            self._image_names,
            groups=self.groups,
        )
        return replace(comparison, notes=(*self._source_notes, *comparison.notes))

    def measure(self, answers: Sequence[Scores]) -> Measures | None:
        """As `MeasuringEvaluator.measure`."""
        if self.truth is None:
            return None
        scores = np.stack(answers)
        measures = classify_measures(scores, self.truth, self.labels, self._multi_label, groups=self.groups)
        point = self._score_calibration.operating_point
        return measures if point is None else with_point(measures, point, scores, self.truth, self.groups)

    def representative(self, source: Sequence[Scores], count: int) -> list[int]:
        """The image with the highest score of each class, so that no answer is near a tie, then others.

        A class that is never predicted, but that the evaluation set has, is represented by the image with its
        highest score.
        """
        scores = np.stack(source)
        predicted = predicted_classes(scores, self._multi_label)
        present = predicted.any(axis=0)
        if self.truth is not None:
            present |= members(self.truth, scores.shape[1]).any(axis=0)
        # Images that are predicted as the class come before all others.
        best_of_class = (scores + predicted).argmax(axis=0)[present].tolist()
        most_confident = np.argsort(-scores.max(axis=1), kind="stable").tolist()
        return sorted(list(dict.fromkeys([*best_of_class, *most_confident]))[:count])


def compare_scores(
    source: Scores,
    artifact: Scores,
    truth: Truth | None,
    multi_label: bool = False,
    labels: Sequence[str] = (),
    image_names: Sequence[str] = (),
    *,
    groups: Groups | None = None,
) -> Comparison:
    """Compare float32 scores ``(images, classes)`` of an artifact with its source's.

    The prediction for an image is its top class, and agreement is the share of images with the same one. With
    independent scores, each class at 0.5 or above is predicted, and agreement is the share of decisions, one
    per image and class, that are the same.

    Args:
        source, artifact: scores of 0…1, one row per image, one image or more.
        truth: int64 ``(images,)``, the class of each image, where known; with independent scores
            also bool ``(images, classes)``.
        multi_label: True for independent scores.
        labels: one name per class; default ``class 0``, ``class 1``, …
        image_names: one per image; default ``image 0``, ``image 1``, …
        groups: group of each image, `None` if every image is its own.
    """
    labels = labels or [f"class {number}" for number in range(source.shape[1])]
    predicted = predicted_classes(source, multi_label), predicted_classes(artifact, multi_label)
    alike = predicted[0] == predicted[1]
    same = alike.all(axis=1)
    difference = np.abs(source - artifact)
    before = after = None
    if truth is not None:
        before = classify_measures(source, truth, labels, multi_label, groups=groups)
        after = classify_measures(artifact, truth, labels, multi_label, groups=groups)
    flips = _Flips(source, artifact, truth, multi_label, labels)
    return Comparison(
        images=len(source),
        agreement=float(alike.mean() if multi_label else same.mean()),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        metrics=pair(before.metrics, after.metrics) if before and after else (),
        agreement_interval=share_by_image(alike.mean(axis=1), groups=groups)
        if multi_label
        else proportion(same, groups=groups),
        by_class=pair_classes(before.by_class, after.by_class) if before and after else (),
        details=ClassifyDetails(
            flipped=int((~same).sum()),
            flips=tuple(flips.at(place, image_names) for place in flips.worst(~same)),
            source_confusion=before.confusion if before else None,
            artifact_confusion=after.confusion if after else None,
            source_reliability=before.reliability if before else None,
            artifact_reliability=after.reliability if after else None,
            by_label=_by_label(*predicted, labels, groups) if multi_label else (),
        ),
        notes=before.notes if before else (),
        **(_present(*predicted, groups) if multi_label else {}),
    )


def _present(source: Members, artifact: Members, groups: Groups | None) -> dict[str, Any]:
    """Agreement on the labels that source or artifact predict: F1 of one against the other."""
    both, either = 2 * (source & artifact).sum(axis=1), source.sum(axis=1) + artifact.sum(axis=1)
    value = float(both.sum() / either.sum()) if either.any() else 1.0
    interval = share_by_image(both, either, groups=groups)
    return {"likeness": {POSITIVE_AGREEMENT: value}, "likeness_intervals": {POSITIVE_AGREEMENT: interval}}


def _by_label(
    source: Members, artifact: Members, labels: Sequence[str], groups: Groups | None
) -> tuple[LabelAgreement, ...]:
    same = source == artifact
    alike = same.sum(axis=0)
    lost, gained = (source & ~artifact).sum(axis=0), (artifact & ~source).sum(axis=0)
    return tuple(
        LabelAgreement(
            labels[place],
            int(alike[place]) / len(source),
            proportion(same[:, place], groups=groups),
            int(lost[place]),
            int(gained[place]),
        )
        for place in np.argsort(alike, kind="stable")[:MOST_CLASSES].tolist()
    )


class _Flips:
    """Entries for the images with different predictions of two classifiers."""

    def __init__(
        self,
        source: Scores,
        artifact: Scores,
        truth: Truth | None,
        multi_label: bool,
        labels: Sequence[str],
    ) -> None:
        self._scores = source, artifact
        self._predicted = predicted_classes(source, multi_label), predicted_classes(artifact, multi_label)
        self._truth = None if truth is None else members(truth, source.shape[1])
        self._multi_label = multi_label
        self._labels = labels

    def worst(self, flipped: NDArray[np.bool_]) -> list[int]:
        """Places of flipped images: those that only the source got right first, then the largest changes."""
        moved = np.abs(self._scores[0] - self._scores[1]).max(axis=1)
        if self._truth is not None:
            source_right, artifact_right = (
                (predicted == self._truth).all(axis=1) for predicted in self._predicted
            )
            moved = moved + (source_right & ~artifact_right)
        order = np.argsort(-moved, kind="stable")
        return [int(place) for place in order[flipped[order]][:MOST_IMAGES]]

    def at(self, place: int, image_names: Sequence[str]) -> Flip:
        """The two predictions for one image."""
        rows = [scores[place] for scores in self._scores]
        moved = int(np.abs(rows[0] - rows[1]).argmax())
        columns = [moved, moved] if self._multi_label else [int(row.argmax()) for row in rows]
        scores = [round(float(row[column]), 6) for row, column in zip(rows, columns, strict=True)]
        source, artifact = (self._names(predicted[place]) for predicted in self._predicted)
        truth = None if self._truth is None else self._names(self._truth[place])
        return Flip(name_of(image_names, place), source, artifact, scores[0], scores[1], truth)

    def _names(self, classes: Members) -> tuple[str, ...]:
        return tuple(self._labels[place] for place in np.flatnonzero(classes).tolist())
