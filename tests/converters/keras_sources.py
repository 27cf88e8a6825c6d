"""Images for the small Keras models of these tests, and their reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision_keras.reading.reader import KerasReader

MARKS = [
    pytest.mark.convert,
    # A warning of Keras whenever it saves weights with numpy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    # A warning of tf_keras whenever it writes an .h5 file.
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]
SIZE = 16
COLOURS = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220], [200, 200, 60]], np.float32)


def coloured_images(count: int, seed: int) -> tuple[Any, Any]:
    """Noise on one of four colours: (count, 16, 16, 3) float32 in 0…255, and the index of the colour."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(COLOURS), count)
    noise = rng.normal(0, 90, (count, SIZE, SIZE, 3))
    return np.clip(COLOURS[labels][:, None, None] + noise, 0, 255).astype(np.float32), labels


def read(path: Path, trust_source: bool = False, input_size_wh: tuple[int, int] | None = None) -> Any:
    """Read with the reader that the plugin registers."""
    return KerasReader().read(path, trust_source=trust_source, input_size_wh=input_size_wh)


def calibration_for(source: Any, images: Any) -> list[dict[str, Any]]:
    """A calibration set of single images for the only input of a source."""
    return [{source.inputs[0].name: image[None]} for image in images]


def answers_of(session: CheckedSession, images: Any) -> dict[str, Any]:
    """The outputs of a session for images one by one, as real numbers."""
    spec = session.inputs[0]
    if spec.quantization is not None:
        images = spec.quantize(images)
    answers = [session.run({spec.name: image[None]}) for image in images]
    return {
        output.name: output.dequantize(np.concatenate([answer[output.name] for answer in answers]))
        for output in session.outputs
    }


def artifact_answers(artifact: Artifact, images: Any) -> dict[str, Any]:
    """The outputs of an artifact on its usual backend, as `answers_of`."""
    with open_session(registry().backends()[artifact.format], artifact) as session:
        return answers_of(session, images)
