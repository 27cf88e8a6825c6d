"""Network inputs for the examples of a set: for calibration, and for known answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownImages, KnownTensors
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.decode import as_image
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
    """The images at `places` of a set, resized to the input of the network."""
    chosen = [as_image(image) for image in images.at(sorted(places))]
    return KnownImages(np.stack([preprocessing.resized(image) for image in chosen]), preprocessing)


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
