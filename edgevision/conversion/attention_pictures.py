"""Pictures of what the answers of a source and of its artifacts rest on, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import cv2
import numpy as np

from edgevision.bundle.pictures import ATTENTION, OWN_ATTENTION, SOURCE, Picture
from edgevision.conversion.candidates import Trial
from edgevision.conversion.example_pictures import changed_places, encoded
from edgevision.conversion.reference import Reference
from edgevision.datasets.image_sets import ImageSet
from edgevision.decoder import Floats
from edgevision.drawing.explanations import draw_map
from edgevision.drawing.sizes import shrunk
from edgevision.errors import NothingFoundError
from edgevision.evaluation.attention import SourceAttention, SourceMap
from edgevision.explaining.settings import ExplainSettings
from edgevision.imaging.decode import as_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.tasks.explained import over_image
from edgevision.tasks.explained_input import ExplainedInput

#: Images of each kind, the longer side of a picture in pixels, and all of them together in bytes.
_MOST_MOVED, _MOST_CHANGED = 6, 4
_SIDE = 224
_MOST_BYTES = 500_000


def attention_pictures(
    attention: SourceAttention, reference: Reference, trials: Sequence[Trial]
) -> tuple[Picture, ...]:
    """Images on which the attention of an artifact has moved most, and such whose answer has changed.

    Of the first, the maps are of the source's answer; of the others, of each model's own answer. None of a
    set with DICOM files that were not released.

    Args:
        attention: the maps of the source.
        reference: the source's answers on the evaluation set.
        trials: the artifacts with their maps, still loaded.

    Raises:
        InputError: an image can no longer be read.
        InferenceError: a runtime failed.
    """
    if attention.sample.private:
        return ()
    pictures: list[Picture] = []
    free = _MOST_BYTES
    for of_image in chain(_moved(attention, reference, trials), _changed(attention, reference, trials)):
        free -= sum(len(picture.content) for picture in of_image)
        if free < 0:
            break
        pictures += of_image
    return tuple(pictures)


def _moved(
    attention: SourceAttention, reference: Reference, trials: Sequence[Trial]
) -> Iterator[list[Picture]]:
    """The pictures of images with a large drift: the worst of each artifact, then the second, and so on."""
    by_place = [{pair.source.place: pair for pair in trial.maps} for trial in trials]
    places = dict.fromkeys(place for place in chain(*zip_longest(*by_place)) if place is not None)
    names = attention.sample.shown_names
    mapping = reference.model.preprocessing.mapping
    for place in list(places)[:_MOST_MOVED]:
        frame = as_frame(next(iter(attention.sample.at([place]))))
        image = viewable(frame, mapping)
        source = next(one for one in attention.maps if one.place == place)
        maps: dict[str, Floats | None] = {SOURCE: source.map}
        maps |= {f"{SOURCE}, {method}": found for method, found in source.gradients.items()}
        for trial, pairs in zip(trials, by_place, strict=True):
            maps[trial.id] = pairs[place].artifact if place in pairs else None
        yield [
            _picture(names[place], f"{ATTENTION}{model}", image, _over(found, source, frame), source.box_xyxy)
            for model, found in maps.items()
            if found is not None
        ]


def _over(found: Floats, source: SourceMap, frame: Frame) -> Floats:
    return over_image(found.astype(np.float64), source.preprocess, frame.size_wh)


def _changed(
    attention: SourceAttention, reference: Reference, trials: Sequence[Trial]
) -> Iterator[list[Picture]]:
    """The pictures of each image whose answer has changed, by each model for its own answer."""
    assert isinstance(reference.examples, ImageSet)  # noqa: S101 - as its answers are explained
    settings = ExplainSettings(
        budget=attention.specification.budget,
        cells=attention.specification.cells,
        seed=attention.specification.seed,
        reliability=attention.specification.reliability,
    )
    models = {SOURCE: reference.model}
    models |= {trial.id: reference.evaluator.model(trial.session) for trial in trials}
    for name, place in changed_places(trials, reference.examples.shown_names)[:_MOST_CHANGED]:
        frame = as_frame(next(iter(reference.examples.at([place]))))
        yield list(_own(models, name, frame, settings))


def _own(models: Mapping[str, Any], name: str, frame: Frame, settings: ExplainSettings) -> Iterator[Picture]:
    for model, network in models.items():
        try:
            explained = ExplainedInput.of(network, frame, None, settings)
        except NothingFoundError:  # it finds nothing in this image
            continue
        found = explained.explanation(explained.map(settings), settings)
        image = viewable(frame, network.preprocessing.mapping)
        yield _picture(name, f"{OWN_ATTENTION}{model}", image, found.map, found.box_xyxy)


def _picture(
    name: str,
    shows: str,
    image: Pixels,
    found: Floats,
    box_xyxy: tuple[float, float, float, float] | None,
) -> Picture:
    small = shrunk(image, _SIDE)
    factor = small.shape[1] / image.shape[1]
    found = np.asarray(cv2.resize(found, small.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    if box_xyxy is not None:
        left, top, right, bottom = (value * factor for value in box_xyxy)
        box_xyxy = left, top, right, bottom
    return Picture(name, shows, encoded(draw_map(small, found, box_xyxy), _SIDE))
