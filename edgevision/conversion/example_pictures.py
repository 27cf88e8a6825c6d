"""Makes the pictures that a bundle keeps: of images on which its artifacts differ from the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

import cv2
import numpy as np

from edgevision.bundle.pictures import INPUT, MOST_BYTES, SOURCE, TRUTH, Picture
from edgevision.conversion.candidates import Candidate
from edgevision.datasets.annotations import Annotations
from edgevision.datasets.image_sets import ImageSet
from edgevision.drawing.results import draw_detections, outline_detections
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.evaluation.run import Examples
from edgevision.evidence.records import Measured
from edgevision.imaging.decode import Pixels
from edgevision.metrics.box_matching import match
from edgevision.metrics.comparison import changes_of
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detections import Detections

#: Images that are shown, and pixels of their longer side: what has boxes is drawn larger, and each
#: model has a picture of its own.
_CLASSIFIED = 200, 128
_DETECTED = 12, 400
_MADE = 12, 256
#: Up to here a picture is kept without any loss.
_MOST_PNG_BYTES = 12_000
_JPEG_QUALITY = 88

#: What is shown of one example -> pixels.
_Shown = Mapping[str, Pixels]


@dataclass(frozen=True)
class _Answers:
    """What the source and the artifacts answer to single examples.

    Attributes:
        evaluator: the task's.
        models: artifact -> the task's model on it.
        examples: the evaluation set.
        source: the source's answers, one an example.
    """

    evaluator: Evaluator
    models: Mapping[str, Any]
    examples: Examples
    source: Sequence[Any]

    def example(self, place: int) -> Any:
        """The image or the seed."""
        one = self.examples
        return next(iter(one.at([place]) if isinstance(one, ImageSet) else one.only(place)))

    def of_artifacts(self, example: Any) -> dict[str, Any]:
        """What each artifact answers."""
        return {name: self.evaluator.answers(model, [example])[0] for name, model in self.models.items()}


def example_pictures(
    evaluator: Evaluator,
    candidates: Sequence[Candidate],
    results: Sequence[Measured],
    examples: Examples,
    source_answers: Sequence[Any],
) -> tuple[Picture, ...]:
    """Small pictures of the images on which artifacts differ from their source, the worst of each first.

    Of a classifier the image; of a detector the truth and what each model finds; of a network that makes
    images what it takes, what it should make, and what each model makes. No more than `MOST_BYTES`
    hold.

    Args:
        evaluator: the task's.
        candidates: the artifacts, still loaded.
        results: what was measured of them.
        examples: the evaluation set.
        source_answers: the source's, one an example.

    Raises:
        InputError: an image cannot be read any more.
        InferenceError: a runtime failed.
    """
    models = {one.planned.id: evaluator.model(one.session) for one in candidates}
    answers = _Answers(evaluator, models, examples, source_answers)
    show, (most, side) = _way_of(answers)
    pictures: list[Picture] = []
    free = MOST_BYTES
    for name, place in _places(results, examples.image_names)[:most]:
        made = [Picture(name, what, _encoded(pixels, side)) for what, pixels in show(place).items()]
        free -= sum(len(one.content) for one in made)
        if free < 0:
            break
        pictures += made
    return tuple(pictures)


def _places(results: Sequence[Measured], image_names: Sequence[str]) -> list[tuple[str, int]]:
    """Names and places of the images that differ: the worst of every artifact, then the second, and so on."""
    places = {name: place for place, name in enumerate(image_names)}
    changed = [[row.image for row in changes_of(one.comparison.details)] for one in results]
    names = dict.fromkeys(name for name in chain(*zip_longest(*changed)) if name is not None)
    return [(name, places[name]) for name in names]


def _way_of(answers: _Answers) -> tuple[Callable[[int], _Shown], tuple[int, int]]:
    """How an example is shown, and how many and how large they are."""
    evaluator = answers.evaluator
    if isinstance(evaluator, DetectionEvaluator):
        truth = evaluator.truth
        return lambda place: _detected(answers, evaluator.task, truth, place), _DETECTED
    if evaluator.task.name == "generate":
        wanted = evaluator.truth if isinstance(evaluator, ImageToImageEvaluator) else None
        return lambda place: _made(answers, wanted, place), _MADE
    return lambda place: {INPUT: answers.example(place)}, _CLASSIFIED


def _made(answers: _Answers, wanted: Sequence[Pixels] | None, place: int) -> _Shown:
    example = answers.example(place)
    shown = {} if isinstance(example, int) else {INPUT: example}
    if wanted is not None:
        shown[TRUTH] = wanted[place]
    return {**shown, SOURCE: answers.source[place], **answers.of_artifacts(example)}


def _detected(answers: _Answers, task: DetectTask, truth: Sequence[Annotations] | None, place: int) -> _Shown:
    """Boxes that both models have as thin outlines, those that one has alone thick and with a label."""
    image = answers.example(place)
    small = _shrunk(image, _DETECTED[1])
    factor = small.shape[1] / image.shape[1]
    source = _small(answers.source[place], task, factor)
    found = {name: _small(one, task, factor) for name, one in answers.of_artifacts(image).items()}
    matches = {name: match(source, one) for name, one in found.items()}
    lost = np.unique(np.concatenate([one.lost for one in matches.values()]))
    shown = {SOURCE: _drawn(small, source, lost)}
    shown.update({name: _drawn(small, one, matches[name].gained) for name, one in found.items()})
    return shown if truth is None else {TRUTH: _outlined(small, truth[place], factor), **shown}


def _small(found: Detections, task: DetectTask, factor: float) -> Detections:
    """What a call of the model would give, in pixels of the picture."""
    shown = found[found.scores >= task.score_threshold][: task.max_detections]
    return replace(shown, boxes_xyxy=shown.boxes_xyxy * np.float32(factor))


def _drawn(image: Pixels, found: Detections, alone: np.ndarray[Any, Any]) -> Pixels:
    outlined = outline_detections(outline_detections(image, found), found[alone], line=3)
    return draw_detections(outlined, found[alone])


def _outlined(image: Pixels, objects: Annotations, factor: float) -> Pixels:
    boxes = (objects.boxes_xyxy * factor).astype(np.float32)
    return outline_detections(image, Detections(boxes, np.ones(len(boxes), np.float32), objects.class_ids))


def _shrunk(image: Pixels, side: int) -> Pixels:
    """The image with its longer side of `side` pixels at most."""
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return image
    width, height = (max(1, round(size * factor)) for size in (image.shape[1], image.shape[0]))
    small: Pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small


def _encoded(image: Pixels, side: int) -> bytes:
    pixels = np.ascontiguousarray(_shrunk(image, side))
    if pixels.shape[2:] == (3,):
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", pixels)
    if len(png) <= _MOST_PNG_BYTES:
        return png.tobytes()
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return jpeg.tobytes()
