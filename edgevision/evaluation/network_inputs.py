"""Network inputs for the examples of a set: for calibration, and for known answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownImages, KnownTensors
from edgevision.calibration.synthetic import first_noise
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.decode import as_image
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import shares_of_white
from edgevision.imaging.pixels import as_rgb
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
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
