"""Pictures of what a bundle gets wrong, for ``edgevision evaluate --save``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.annotations import Annotations, read_annotations
from edgevision.datasets.image_sets import ImageSet
from edgevision.drawing.confusion import draw_confusion
from edgevision.drawing.results import draw_classification, draw_detections
from edgevision.evaluation.evaluate import Evaluation
from edgevision.evaluation.ground_truth import truth_images
from edgevision.imaging.write import write_image
from edgevision.tasks.classify import Classification
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detections import Detections

Pixels = NDArray[np.uint8]

#: Images that are drawn, the worst.
_MOST = 24
_GAP = 4


def save_pictures(
    folder: Path, found: Evaluation, images: ImageSet, annotations: Path | None, truth: Path | None
) -> None:
    """Write the confusion matrix of a classifier, and the worst images with what was found in them.

    ``worst-01-NAME.png`` and so on: a classifier's image with its first two classes; a detector's
    with what is true on the left and what was found on the right; of a network that makes images, what
    it made on the left and what it should have made on the right.

    Raises:
        OutputError: a picture cannot be written. Those before it stay.
    """
    confusion = found.measures.confusion
    if confusion is not None:
        matrix = confusion.matrix(len(found.labels))
        write_image(folder / "confusion.png", draw_confusion(matrix, found.labels))
    places = found.worst(_MOST)
    worst = images.at(places)
    draw = _drawer(found, worst, annotations, truth)
    for number, (place, image) in enumerate(zip(places, worst, strict=True)):
        stem = PurePosixPath(found.image_names[place]).stem
        write_image(folder / f"worst-{number + 1:02d}-{stem}.png", draw(number, place, image))


def _drawer(
    found: Evaluation, worst: ImageSet, annotations: Path | None, truth: Path | None
) -> Callable[[int, int, Pixels], Pixels]:
    """Draws the image at a place among the worst, and in the set."""
    answers, task = found.answers, found.task
    if annotations is not None and isinstance(task, DetectTask):
        objects = read_annotations(annotations, worst.image_names, found.labels)
        return lambda number, place, image: _beside(
            draw_detections(image, _as_detections(objects[number], found.labels)),
            draw_detections(image, _shown(answers[place], task)),
        )
    if truth is not None:
        wanted = truth_images(truth, worst)
        return lambda number, place, image: _beside(answers[place], wanted[number])
    return lambda number, place, image: draw_classification(
        image, Classification(answers[place], found.labels), min(2, len(found.labels))
    )


def _as_detections(objects: Annotations, labels: tuple[str, ...]) -> Detections:
    return Detections(
        objects.boxes_xyxy, np.ones(len(objects.class_ids), np.float32), objects.class_ids, labels
    )


def _shown(found: Detections, task: DetectTask) -> Detections:
    """What a call of the model would give."""
    return found[found.scores >= task.score_threshold][: task.max_detections]


def _beside(left: Pixels, right: Pixels) -> Pixels:
    """Two images of one height, with a white gap between them."""
    gap = np.full((left.shape[0], _GAP, 3), 255, np.uint8)
    beside: Pixels = np.concatenate([_in_colour(left), gap, _in_colour(right)], axis=1)
    return beside


def _in_colour(image: Pixels) -> Pixels:
    colour: Pixels = np.broadcast_to(image, (*image.shape[:2], 3))
    return colour
