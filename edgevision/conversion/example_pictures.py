"""The pictures that a bundle keeps: images on which its artifacts differ from the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import cv2
import numpy as np

from edgevision.bundle.pictures import INPUT, MOST_BYTES, SOURCE, TRUTH, Picture
from edgevision.conversion.candidates import Trial
from edgevision.conversion.reference import Reference
from edgevision.datasets.image_sets import ImageSet
from edgevision.drawing.sizes import shrunk
from edgevision.evaluation.task_evaluation import ComparingEvaluator, PicturingEvaluator
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import ValueMapping
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.metrics.comparison import changes_of

#: Number of images, and pixels of their longer side: answers that are drawn need larger pictures.
_CLASSIFIED = 200, 128
_PICTURED = 12, 256
#: Pictures up to this size are stored without loss.
_MOST_PNG_BYTES = 12_000
_JPEG_QUALITY = 88

#: The pictures of one example: name -> pixels.
_Shown = Mapping[str, Pixels]


@dataclass(frozen=True)
class _Answers:
    """The answers of the source and of the artifacts for single examples.

    Attributes:
        reference: the source's answers on the evaluation set.
        models: artifact -> its model.
    """

    reference: Reference
    models: Mapping[str, Any]

    def example(self, place: int) -> Any:
        """The image or the seed."""
        examples = self.reference.examples
        return next(iter(examples.at([place]) if isinstance(examples, ImageSet) else examples.only(place)))

    def shown(self, image: Pixels | Frame) -> Pixels:
        """An image for people, as the network sees its values."""
        preprocessing = self.reference.evaluator.preprocessing
        return viewable(image, ValueMapping() if preprocessing is None else preprocessing.mapping)

    def of_source(self, place: int) -> Any:
        """The source's answer."""
        return self.reference.answers[place]

    def of_artifacts(self, example: Any) -> dict[str, Any]:
        """Artifact -> its answer."""
        evaluator = self.reference.evaluator
        return {name: evaluator.answers(model, [example])[0] for name, model in self.models.items()}


def example_pictures(
    reference: Reference, trials: Sequence[Trial], most_bytes: int = MOST_BYTES
) -> tuple[Picture, ...]:
    """Small pictures of the images on which artifacts differ from their source, largest change first.

    For a classifier the image; for other tasks what their evaluators show: the ground truth, and each model's
    answer.
    None of a set with DICOM files that were not released: they may be of patients.

    Args:
        reference: the source's answers on the evaluation set.
        trials: the artifacts, still loaded.
        most_bytes: of all pictures together.

    Raises:
        InputError: an image can no longer be read.
        InferenceError: a runtime failed.
    """
    if isinstance(reference.examples, ImageSet) and reference.examples.private:
        return ()
    models = {trial.id: reference.evaluator.model(trial.session) for trial in trials}
    show, (most, side) = _presentation(_Answers(reference, models))
    pictures: list[Picture] = []
    free = most_bytes
    for name, place in changed_places(trials, reference.examples.shown_names)[:most]:
        of_image = [Picture(name, what, encoded(pixels, side)) for what, pixels in show(place).items()]
        free -= sum(len(picture.content) for picture in of_image)
        if free < 0:
            break
        pictures += of_image
    return tuple(pictures)


def changed_places(trials: Sequence[Trial], image_names: Sequence[str]) -> list[tuple[str, int]]:
    """Names and places of the images that differ: the worst of each artifact, then the second, and so on."""
    places = {name: place for place, name in enumerate(image_names)}
    changed = [[row.image for row in changes_of(trial.measured.comparison.details)] for trial in trials]
    names = dict.fromkeys(name for name in chain(*zip_longest(*changed)) if name is not None)
    return [(name, places[name]) for name in names]


def _presentation(answers: _Answers) -> tuple[Callable[[int], _Shown], tuple[int, int]]:
    """How to show an example, and the number and size of the pictures."""
    evaluator = answers.reference.evaluator
    if isinstance(evaluator, ComparingEvaluator):
        return lambda place: _compared(answers, evaluator, place), evaluator.picture_limits
    if isinstance(evaluator, PicturingEvaluator):
        return lambda place: _pictured(answers, evaluator, place), _PICTURED
    return lambda place: {INPUT: answers.shown(answers.example(place))}, _CLASSIFIED


def _compared(answers: _Answers, evaluator: ComparingEvaluator, place: int) -> _Shown:
    example = answers.example(place)
    image = None if isinstance(example, int) else answers.shown(example)
    return evaluator.compared_pictures(image, place, answers.of_source(place), answers.of_artifacts(example))


def _pictured(answers: _Answers, evaluator: PicturingEvaluator, place: int) -> _Shown:
    example = answers.example(place)
    image = answers.shown(example)
    truth = evaluator.truth_picture(image, place)
    shown = {} if truth is None else {TRUTH: truth}
    shown[SOURCE] = evaluator.picture(image, answers.of_source(place))
    for name, answer in answers.of_artifacts(example).items():
        shown[name] = evaluator.picture(image, answer)
    return shown


def encoded(image: Pixels, side: int) -> bytes:
    """A PNG file of an image if that is small, or a JPEG; its longer side has at most `side` pixels."""
    pixels = np.ascontiguousarray(shrunk(image, side))
    if pixels.shape[2:] == (3,):
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", pixels)
    if len(png) <= _MOST_PNG_BYTES:
        return png.tobytes()
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return jpeg.tobytes()
