"""Network inputs for the examples of a set: for calibration, and for known answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownImages, KnownTensors
from edgevision.calibration.synthetic import first_noise
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.decode import as_frame, as_image
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import known_levels, shares_of_white
from edgevision.imaging.pixels import as_rgb
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.imaging.tiles import axis_tiles, padded_image
from edgevision.session import CheckedSession
from edgevision.tensors import Array, TensorSpec

#: Input name -> float32 array with a batch of one.
NetworkInputs = Mapping[str, Array]


class PreprocessedImages:
    """Preprocessed images, read again in each iteration to keep memory small.

    Args:
        spec: the source's input.
        preprocessing: from an image to that input.
        images: the set.
    """

    def __init__(self, spec: TensorSpec, preprocessing: Preprocessing, images: ImageSet) -> None:
        self._spec = spec
        self._preprocess = Preprocessor(preprocessing, spec)
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[NetworkInputs]:
        for image in self._images:
            tensor = np.zeros(self._spec.with_batch(1), self._spec.dtype)
            self._preprocess(image, tensor[0])
            yield {self._spec.name: tensor}


class TileInputs:
    """The network's inputs for tiles of a set's images, `TILES` of each, spread over the image.

    Args:
        spec: the source's input.
        preprocessing: from a tile to that input.
        images: the set.
        overlap: pixels that neighbouring tiles share.
    """

    #: Tiles of one image; of a small image some are the same.
    TILES = 4

    def __init__(
        self, spec: TensorSpec, preprocessing: Preprocessing, images: ImageSet, overlap: int
    ) -> None:
        self._spec = spec
        self._preprocessing = preprocessing
        self._images = images
        self._overlap = overlap

    def __len__(self) -> int:
        return self.TILES * len(self._images)

    def __iter__(self) -> Iterator[NetworkInputs]:
        preprocess = Preprocessor(self._preprocessing, self._spec)
        width, height = self._preprocessing.size_wh
        for image in self._images:
            frame = known_levels(as_frame(image), self._preprocessing.mapping)
            rows = axis_tiles(frame.pixels.shape[0], height, height, self._overlap)
            columns = axis_tiles(frame.pixels.shape[1], width, width, self._overlap)
            pixels = padded_image(frame.pixels, rows, columns)
            corners = [(top, left) for top in rows.starts for left in columns.starts]
            places = np.linspace(0, len(corners) - 1, self.TILES).round().astype(int)
            for top, left in (corners[place] for place in places.tolist()):
                tensor = np.zeros(self._spec.with_batch(1), self._spec.dtype)
                part = np.ascontiguousarray(pixels[top : top + height, left : left + width])
                preprocess.put(replace(frame, pixels=part), tensor[0])
                yield {self._spec.name: tensor}


def known_images(preprocessing: Preprocessing, images: ImageSet, places: Sequence[int]) -> KnownImages:
    """The images at `places` of a set, resized to the input of the network.

    Noise instead where the set has DICOM files that were not released: they may be of patients.
    """
    if images.private:
        return KnownImages(_noise(preprocessing, len(places)), preprocessing)
    chosen = images.at(sorted(places))
    if preprocessing.mapping.is_plain:
        small = np.stack([preprocessing.resized_pixels(as_image(image)) for image in chosen])
        return KnownImages(small, preprocessing)
    shares = np.stack([_rgb_shares(preprocessing, image) for image in chosen])
    return KnownImages(shares, preprocessing)


def _rgb_shares(preprocessing: Preprocessing, image: NDArray[np.uint8] | Frame) -> NDArray[np.float32]:
    """float32 (height, width, 3), 0 for black and 1 for white, at the network's size."""
    frame = image if isinstance(image, Frame) else Frame(image)
    return as_rgb(shares_of_white(preprocessing.resized_frame(frame)), frame.color)


def _noise(preprocessing: Preprocessing, count: int) -> Array:
    shares = np.broadcast_to(first_noise(count, preprocessing, 0), (count, *preprocessing.size_wh[::-1], 3))
    if not preprocessing.mapping.is_plain:
        return np.ascontiguousarray(shares, np.float32)
    return np.asarray(np.rint(shares * 255), np.uint8)


class ImageInputs:
    """A part of every evaluator of images: the network's inputs, by its preprocessing."""

    preprocessing: Preprocessing

    def network_inputs(self, source: Session, examples: ImageSet) -> PreprocessedImages:
        """As `Evaluator.network_inputs`."""
        return PreprocessedImages(source.inputs[0], self.preprocessing, examples)

    def known_inputs(self, source: Session, examples: ImageSet, places: Sequence[int]) -> KnownImages:
        """As `Evaluator.known_inputs`."""
        return known_images(self.preprocessing, examples, places)


def known_tensors(calls: Sequence[NetworkInputs], count: int) -> KnownTensors:
    """Up to `count` calls of a network, evenly spaced from the first to the last."""
    places = np.linspace(0, len(calls) - 1, min(len(calls), count)).round().astype(int).tolist()
    return KnownTensors({name: np.concatenate([calls[place][name] for place in places]) for name in calls[0]})


def recorded(session: Session, use: Callable[[CheckedSession], Any]) -> list[NetworkInputs]:
    """The inputs of a session during `use`, one entry per example.

    Args:
        session: a session of the source.
        use: runs the session; its result is ignored.
    """
    recorder = _Recorder(session)
    use(CheckedSession(recorder, "recorder"))
    return recorder.recorded


class _Recorder:
    """A session that records its inputs."""

    def __init__(self, session: Session) -> None:
        self.inputs, self.outputs = session.inputs, session.outputs
        self.device, self.precision = session.device, session.precision
        self.recorded: list[NetworkInputs] = []
        self._session = session

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        for place in range(len(next(iter(inputs.values())))):
            self.recorded.append({name: values[place : place + 1].copy() for name, values in inputs.items()})
        return self._session.run(inputs)

    def close(self) -> None:
        self._session.close()
