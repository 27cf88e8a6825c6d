"""The generator of the digits example: it generates the requested digits, on every runtime."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgevision.evaluation.source_session import SourceSession
from edgevision.plugins import registry
from edgevision.session import CheckedSession
from edgevision.tasks.description import read_generation
from edgevision.tasks.generation.diffusion import DiffusionGenerator

pytestmark = [
    pytest.mark.convert,  # the example imports Keras and scikit-learn
    # A warning of Keras 3.15 with numpy 2 about its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

Modules = Callable[[str], ModuleType]

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
WEIGHTS = EXAMPLE / "generator.keras"
TASK = EXAMPLE / "generator.task.json"
#: Ten of each digit.
REQUESTED = [number % 10 for number in range(100)]


@pytest.fixture(scope="module")
def generator() -> DiffusionGenerator:
    """The committed weights in Keras, with their task description."""
    source = registry().readers()["keras"].read(WEIGHTS, trust_source=False, input_size_wh=None)
    return DiffusionGenerator(CheckedSession(SourceSession(source), "keras"), read_generation(TASK))


def test_a_classifier_trained_on_other_digits_recognises_the_requested_ones(
    generator: DiffusionGenerator, digits_module: Modules
) -> None:
    svm = pytest.importorskip("sklearn.svm", reason="the digits are scikit-learn's")
    quickstart = digits_module("quickstart")
    images, labels = quickstart.small_digits()
    seen = images[: quickstart.TRAINING_IMAGES].reshape(-1, 64).astype(float)
    unseen = images[quickstart.TRAINING_IMAGES :].reshape(-1, 64).astype(float)
    classifier = svm.SVC().fit(unseen, labels[quickstart.TRAINING_IMAGES :])
    generated = (
        generator.sample(len(REQUESTED), seed=0, condition=REQUESTED).images.reshape(-1, 64).astype(float)
    )
    assert np.mean(classifier.predict(generated) == REQUESTED) >= 0.97
    # They are not copies: their distance to the training digits is similar to that of held-out digits.
    assert _to_nearest(generated, seen) >= 0.8 * _to_nearest(unseen, seen)


def _to_nearest(images: np.ndarray, others: np.ndarray) -> float:
    """Mean distance to the nearest of the others."""
    return float(np.mean([np.sqrt(((others - image) ** 2).sum(axis=1)).min() for image in images]))


def test_a_seed_determines_the_generated_digit(generator: DiffusionGenerator) -> None:
    many = generator.sample(9, seed=3, condition=4)
    np.testing.assert_array_equal(generator.sample(1, seed=10, condition=4)[0], many[7])
    assert len({image.tobytes() for image in many}) == 9


def test_guidance_changes_the_generated_digits(generator: DiffusionGenerator) -> None:
    guided, free = (generator.sample(4, seed=0, condition=8, guidance=g).images for g in (None, 1.0))
    assert not np.array_equal(guided, free)


def test_a_short_training_writes_a_network_and_the_committed_task(
    digits_module: Modules, tmp_path: Path
) -> None:
    path = tmp_path / "generator.keras"
    done = CliRunner().invoke(digits_module("generator").main, ["train", "--steps", "10", "-o", str(path)])
    assert done.exit_code == 0, done.output
    assert WEIGHTS.stat().st_size < 1_100_000
    with zipfile.ZipFile(path) as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")
    assert (tmp_path / "generator.task.json").read_text() == TASK.read_text()


def test_the_commands_in_the_readme_convert_the_generator_to_int8_and_generate_digits(
    as_typed: Callable[[str], Path],
) -> None:
    folder = as_typed("The generator")
    results = json.loads((folder / "generator.evb" / "evidence.json").read_text())["results"]
    assert [result["artifact"] for result in results] == [
        "tflite-int8",
        "openvino-int8",
        "onnx-int8-symmetric",
    ]
    for result in results:
        assert result["comparison"]["likeness"]["SSIM"] >= 0.95, result["artifact"]
    assert cv2.imread(str(folder / "sevens.png")) is not None
