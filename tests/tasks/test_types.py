"""One image gives one result and a batch a list, for type checkers too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SNIPPET = """
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import assert_type

from edgevision.tasks.classify import Classification, Classifier
from edgevision.tasks.detect import Detector
from edgevision.tasks.detections import Detections
from edgevision.tasks.generation.build import Generator
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.images import GeneratedImages


def classify(model: Classifier, frame: NDArray[np.uint8], path: Path, photo: Image.Image) -> float:
    assert_type(model(frame), Classification)
    assert_type(model(frame[..., ::-1], color="bgr"), Classification)
    assert_type(model(np.zeros((8, 8, 3), np.uint8)), Classification)
    assert_type(model("photo.jpg"), Classification)
    assert_type(model(path), Classification)
    assert_type(model(b"..."), Classification)
    assert_type(model(photo), Classification)
    assert_type(model([frame, path]), list[Classification])
    assert_type(model(("a.jpg", "b.jpg")), list[Classification])
    assert_type(model(list(np.zeros((2, 8, 8, 3), np.uint8))), list[Classification])
    assert_type(model.classify_batch(np.zeros((2, 8, 8, 3), np.uint8)), list[Classification])
    best = model(frame).top(np.int64(3)) + model(frame).above(np.float32(0.5))
    return best[0].score + model(frame).top(1)[0].score + sum(found.score for found in model(frame))


def mistakes(model: Classifier, frame: NDArray[np.uint8]) -> None:
    model(3)  # type: ignore[call-overload]
    model(None)  # type: ignore[call-overload]
    model(frame).top("many")  # type: ignore[arg-type]
    model([frame]).top()  # type: ignore[attr-defined]


def detect(
    model: Detector, frame: NDArray[np.uint8], anything: Any
) -> list[tuple[float, float, float, float]]:
    assert_type(model(frame, score_threshold=np.float32(0.5), max_detections=np.int64(3)), Detections)
    assert_type(model([frame]), list[Detections])
    assert_type(model.detect_batch([frame]), list[Detections])
    assert_type(model(anything), Any)
    return [found.box for found in model(frame)] + [found.box for one in model([frame]) for found in one]


def generate(model: ImageToImage, any_kind: Generator, frame: NDArray[np.uint8]) -> None:
    assert_type(model(frame), GeneratedImages)
    assert_type(model([frame]), list[GeneratedImages])
    if not isinstance(any_kind, ImageToImage):
        images = any_kind.sample(np.int64(4), seed=np.int64(1))
        images.save("folder")
        assert_type(images[0], NDArray[np.uint8])


def within(model: Classifier, detector: Detector) -> None:
    with model as same, detector as finder:
        assert_type(same, Classifier)
        assert_type(finder, Detector)
"""


def test_calls_type_as_what_they_give(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "snippet.py").write_text(SNIPPET)
    root = Path(__file__).parents[2]
    # The running Python's version: numpy's stubs for another one may not resolve.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", root / "pyproject.toml"]
    command += ["--python-version", version, "--cache-dir", root / ".mypy_cache", tmp_path / "snippet.py"]
    environment = {**os.environ, "MYPYPATH": str(root)}
    checked = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
