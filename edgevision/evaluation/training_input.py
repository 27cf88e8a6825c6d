"""The source through the door of its training: how much the decoder and the preprocessing change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.converter import Source, TrainingInputSource, TrainingResize
from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation.evaluator import SampledEvaluator
from edgevision.evidence.training_input import TrainingInputEvidence
from edgevision.imaging.frame import Frame
from edgevision.imaging.headers import read_header
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tasks.batches import BATCH

#: Evaluation images that are measured, at most: the source runs on them a second time.
MOST_IMAGES = 1000


def training_sample(source: Source, evaluator: object, images: object) -> TrainingSample | None:
    """The evaluation images on which the source is measured as its training read them.

    `None` if there is nothing to compare: the source does not know how its training reads images, the images
    are arrays, have more than 8 bits or are for a model that generates images.

    Args:
        source: the trained model.
        evaluator: the evaluator of its task.
        images: the evaluation set.
    """
    if not isinstance(source, TrainingInputSource) or not isinstance(evaluator, SampledEvaluator):
        return None
    preprocessing = evaluator.preprocessing
    if not isinstance(images, ImageSet) or preprocessing is None or not preprocessing.mapping.is_plain:
        return None
    if not images.has_files:
        return None
    order = np.random.default_rng(0).permutation(len(images))[:MOST_IMAGES]
    return TrainingSample(source, evaluator, preprocessing, images, tuple(sorted(order.tolist())))


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """Evaluation images on which the source is measured as its training read them.

    Attributes:
        source, evaluator, images: as for `training_sample`.
        preprocessing: of the evaluator.
        places: indices of the images, ascending.
    """

    source: TrainingInputSource
    evaluator: SampledEvaluator
    preprocessing: Preprocessing
    images: ImageSet
    places: tuple[int, ...]

    def measure(
        self, model: Any, answers: Sequence[Any], on_done: Callable[[int], None]
    ) -> TrainingInputEvidence | None:
        """Run the source on images as its training reads them, and compare it with itself.

        Args:
            model: the source as a model of its task.
            answers: its answers on images as EdgeVision reads them, one per evaluation image.
            on_done: called after each block, with the number of images done.

        Returns:
            `None` if none of the images can be read in this way, or the model resizes none.

        Raises:
            InputError: an image cannot be read.
        """
        places, read, trained = self.places, list[int](), list[Any]()
        for start in range(0, len(places), BATCH):
            block = list(self._read(places[start : start + BATCH]))
            if block:
                frames, sizes_wh = [one.frame for one in block], [one.size_wh for one in block]
                found = self.evaluator.resized_answers(model, frames, sizes_wh)
                if found is None:
                    return None
                trained += found
                read += [one.place for one in block]
            on_done(min(start + BATCH, len(places)))
        if not read:
            return None
        compared = self.evaluator.at(read).compare(trained, [answers[place] for place in read])
        return TrainingInputEvidence(
            self.source.training_input,
            len(read),
            len(self.images),
            len(places) - len(read),
            replace(compared, details=None, by_class=(), notes=()),
        )

    def _read(self, places: Sequence[int]) -> Iterator[_TrainingImage]:
        how = self.preprocessing
        resize = TrainingResize(how.size_wh, how.resize, how.interpolation, how.channels)
        for place in places:
            data = self.images.file_content(place)
            header = None if data is None else read_header(data)
            if data is None or header is None or header.bits != 8:
                continue
            pixels = self.source.training_pixels(data, resize)
            if pixels is not None:
                yield _TrainingImage(place, _frame(pixels), header.size_wh)


@dataclass(frozen=True, eq=False)
class _TrainingImage:
    """One image as training reads it.

    Attributes:
        place: its index in the evaluation set.
        frame: float32, at the size of the network's input, with its levels.
        size_wh: width and height of the image itself.
    """

    place: int
    frame: Frame
    size_wh: tuple[int, int]


def _frame(pixels: NDArray[np.float32]) -> Frame:
    is_gray = pixels.shape[2] == 1
    return Frame(pixels[:, :, 0] if is_gray else pixels, "gray" if is_gray else "rgb", levels=(0.0, 255.0))
