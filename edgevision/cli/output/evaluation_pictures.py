"""Pictures of a bundle's worst images, for ``edgevision evaluate --save``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from edgevision.datasets.annotations import Annotations, read_annotations
from edgevision.datasets.image_sets import ImageSet
from edgevision.drawing.confusion import draw_confusion
from edgevision.drawing.results import draw_classification, draw_detections
from edgevision.evaluation.evaluate import Evaluation
from edgevision.evaluation.ground_truth import truth_images
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.imaging.write import write_image
from edgevision.tasks.classify import Classification
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detections import Detections

#: Number of images to draw, worst first.
_MOST = 24
_GAP = 4


def save_pictures(
    folder: Path, evaluation: Evaluation, images: ImageSet, annotations: Path | None, truth: Path | None
) -> None:
    """Write the confusion matrix of a classifier, and the worst images with their results.

    ``worst-01-NAME.png`` and so on: for a classifier, the image with its top two classes; for a
    detector, the ground truth on the left and the detections on the right; for an image-to-image model,
    the output on the left and the ground truth on the right.

    Raises:
        OutputError: a picture cannot be written; those before it remain.
    """
    confusion = evaluation.measures.confusion
    if confusion is not None:
        matrix = confusion.matrix(len(evaluation.labels))
        write_image(folder / "confusion.png", draw_confusion(matrix, evaluation.labels))
    places = evaluation.worst(_MOST)
    worst = images.at(places)
    draw = _drawer(evaluation, worst, annotations, truth)
    shown = (viewable(image, evaluation.mapping) for image in worst)
    for number, (place, image) in enumerate(zip(places, shown, strict=True)):
        stem = PurePosixPath(evaluation.image_names[place]).stem
        write_image(folder / f"worst-{number + 1:02d}-{stem}.png", draw(number, place, image))


def _drawer(
    evaluation: Evaluation, worst: ImageSet, annotations: Path | None, truth: Path | None
) -> Callable[[int, int, Pixels], Pixels]:
    """The function that draws an image, from its number among the worst and its place in the set."""
    answers, task = evaluation.answers, evaluation.task
    if annotations is not None and isinstance(task, DetectTask):
        objects = read_annotations(annotations, worst.image_names, evaluation.labels)
        return lambda number, place, image: _beside(
            draw_detections(image, _as_detections(objects[number], evaluation.labels)),
            draw_detections(image, _shown(answers[place], task)),
        )
    if truth is not None:
        expected = truth_images(truth, worst)
        return lambda number, place, image: _beside(answers[place], expected[number])
    return lambda number, place, image: draw_classification(
        image, Classification(answers[place], evaluation.labels), min(2, len(evaluation.labels))
    )


def _as_detections(objects: Annotations, labels: tuple[str, ...]) -> Detections:
    return Detections(
        objects.boxes_xyxy, np.ones(len(objects.class_ids), np.float32), objects.class_ids, labels
    )


def _shown(detections: Detections, task: DetectTask) -> Detections:
    """The detections that a call of the model would return."""
    return detections[detections.scores >= task.score_threshold][: task.max_detections]


def _beside(left: Pixels, right: Pixels) -> Pixels:
    """Two images of the same height side by side, with a white gap between them."""
    gap = np.full((left.shape[0], _GAP, 3), 255, np.uint8)
    beside: Pixels = np.concatenate([_in_colour(left), gap, _in_colour(right)], axis=1)
    return beside


def _in_colour(image: Pixels) -> Pixels:
    colour: Pixels = np.broadcast_to(image, (*image.shape[:2], 3))
    return colour
