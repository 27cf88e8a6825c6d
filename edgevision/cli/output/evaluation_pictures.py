"""Pictures of a bundle's worst images, for ``edgevision evaluate --save``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edgevision.datasets.image_sets import ImageSet
from edgevision.drawing.confusion import draw_confusion
from edgevision.drawing.panels import side_by_side
from edgevision.drawing.results import draw_classification
from edgevision.evaluation.evaluate import Evaluation
from edgevision.evaluation.ground_truth import classify_truth
from edgevision.evaluation.task_evaluation import PicturingEvaluator
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.imaging.write import write_image
from edgevision.metrics.classification import members
from edgevision.tasks.classify import Classification

#: Number of images to draw, worst first.
_MOST = 24


def save_pictures(folder: Path, evaluation: Evaluation, images: ImageSet, annotations: Path | None) -> None:
    """Write the confusion matrix of a classifier, and the worst images with their results.

    ``worst-01-NAME.png`` and so on: for a classifier, the image with its top two classes and the true one;
    for other tasks, the answer beside the ground truth.

    Raises:
        OutputError: a picture cannot be written; those before it remain.
    """
    confusion = evaluation.measures.confusion
    if confusion is not None:
        matrix = confusion.matrix(len(evaluation.labels))
        write_image(folder / "confusion.png", draw_confusion(matrix, evaluation.labels))
    places = evaluation.worst(_MOST)
    worst = images.at(places)
    draw = _drawer(evaluation, worst, annotations)
    shown = (viewable(image, evaluation.mapping) for image in worst)
    for number, (place, image) in enumerate(zip(places, shown, strict=True)):
        stem = PurePosixPath(evaluation.image_names[place]).stem
        write_image(folder / f"worst-{number + 1:02d}-{stem}.png", draw(number, place, image))


def _drawer(
    evaluation: Evaluation, worst: ImageSet, annotations: Path | None
) -> Callable[[int, int, Pixels], Pixels]:
    """The function that draws an image, from its number among the worst and its place in the set."""
    answers, evaluator = evaluation.answers, evaluation.evaluator
    if isinstance(evaluator, PicturingEvaluator):
        return lambda number, place, image: side_by_side(_compared(evaluator, image, answers[place], place))
    true = _true_classes(evaluation, worst, annotations)
    return lambda number, place, image: draw_classification(
        image,
        Classification(answers[place], evaluation.labels),
        min(2, len(evaluation.labels)),
        true[number],
    )


def _compared(evaluator: PicturingEvaluator, image: Pixels, answer: Any, place: int) -> dict[str, Pixels]:
    truth = evaluator.truth_picture(image, place)
    return {"found": evaluator.picture(image, answer), **({} if truth is None else {"ground truth": truth})}


def _true_classes(evaluation: Evaluation, worst: ImageSet, annotations: Path | None) -> list[str]:
    """The names of the true classes of each image."""
    labels = evaluation.labels
    # Of these few images neither the groups nor the copies were to be checked.
    images = replace(worst, grouping=None, copies=())
    truth = classify_truth(images, labels, annotations, multi_label=annotations is not None)
    if truth is None:
        return [""] * len(worst)
    shown = members(truth, len(labels))
    return [", ".join(labels[place] for place in np.flatnonzero(row)) for row in shown]
