"""Measuring on several cores gives the same answers as on one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import InputError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.run import measure, workers_on
from edgevision.imaging.preprocess import Preprocessing
from edgevision.imaging.write import write_image
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.classify import Classifier
from edgevision.tasks.description import ClassifyTask

DATA = Path(__file__).parents[1] / "data"
EVALUATOR = ClassificationEvaluator(
    ClassifyTask("scores", "softmax"), ("a", "b", "c", "d", "e"), Preprocessing((8, 8), (0.0, 1.0)), None
)
ONE_THREAD = SessionSettings(threads=1)


@pytest.fixture(params=["tflite", "openvino"])
def model(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip({"tflite": "ai_edge_litert"}.get(request.param, request.param))
    artifact = read_artifact(DATA / "tiny.tflite")
    with open_session(registry().backend(request.param), artifact, ONE_THREAD) as session:
        yield EVALUATOR.model(session)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seventy images: four batches, and six that go through a network one by one."""
    images = np.random.default_rng(0).integers(0, 256, (70, 12, 16, 3), np.uint8)
    for place, image in enumerate(images):
        write_image(tmp_path / f"{place:02}.png", image)
    return tmp_path


def test_any_number_of_workers_gives_the_answers_of_one(model: Classifier, folder: Path) -> None:
    images = ImageSet.open(folder)
    progress: list[int] = []
    (alone,) = measure(EVALUATOR, [model], images, lambda done: None)
    first, second = measure(EVALUATOR, [model, model], images, progress.append, workers=3)
    assert np.array_equal(first, alone)
    assert np.array_equal(second, alone)
    assert np.array_equal(alone, model.scores(list(images))), "the same images share a batch"
    assert progress == [16, 32, 48, 64, 70]


@pytest.mark.parametrize("workers", [1, 3])
def test_of_several_broken_images_the_first_is_named(model: Classifier, folder: Path, workers: int) -> None:
    for name in ("41.png", "60.png", "23.png"):
        (folder / name).write_text("no image")
    with pytest.raises(InputError, match=r"23\.png: unsupported image format"):
        measure(EVALUATOR, [model], ImageSet.open(folder), lambda done: None, workers)


def test_workers_share_the_cores_if_there_are_enough_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.execution.thread_shares.cores", lambda: 4)
    images = ImageSet.from_arrays([np.zeros((4, 4, 3), np.uint8)] * 33)
    assert workers_on(images, SessionSettings()) == (3, ONE_THREAD)
    assert workers_on(images.at(range(16)), SessionSettings()) == (1, SessionSettings())
    assert workers_on(SeedSet(0, 64), SessionSettings()) == (1, SessionSettings())
    assert workers_on(SeedSet(0, 65), SessionSettings()) == (2, ONE_THREAD)
