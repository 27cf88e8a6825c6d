"""The detector of the digits example: its scenes, a short training, and its committed weights."""

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

from edgevision.plugins import registry
from edgevision.tensors import TensorSpec

pytestmark = [
    pytest.mark.convert,  # the example imports Keras and scikit-learn
    # A warning of Keras 3.15 with numpy 2 about its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

Modules = Callable[[str], ModuleType]

WEIGHTS = Path(__file__).parents[2] / "examples" / "digits" / "detector.keras"


def test_a_seed_determines_the_scenes(digits_module: Modules) -> None:
    scenes, digits = digits_module("scenes").scenes, digits_module("quickstart").digits()
    first, again, other = (list(scenes(3, seed, *digits)) for seed in (5, 5, 6))
    for scene, repeated in zip(first, again, strict=True):
        np.testing.assert_array_equal(scene.image, repeated.image)
        np.testing.assert_array_equal(scene.boxes_xyxy, repeated.boxes_xyxy)
    assert not np.array_equal(first[0].image, other[0].image)


def test_boxes_are_tight_around_the_digits(digits_module: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scene and the same scene without its digit differ only inside the box."""
    module, digits = digits_module("scenes"), digits_module("quickstart").digits()
    monkeypatch.setattr(module, "MOST", 1)
    written = list(module.scenes(30, 7, *digits))
    write = module._write
    monkeypatch.setattr(module, "_write", lambda canvas, *more: write(canvas.copy(), *more))
    empty = list(module.scenes(30, 7, *digits))
    assert sum(len(scene.boxes_xyxy) for scene in written) > 20
    for with_digit, without in zip(written, empty, strict=True):
        for left, top, right, bottom in with_digit.boxes_xyxy.astype(int):
            ink = np.abs(with_digit.image.astype(int) - without.image).max(axis=2)
            rows, columns = np.nonzero(ink > 0.4 * ink.max())
            extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            np.testing.assert_allclose(extent, (left, top, right, bottom), atol=4)


def test_digits_are_inside_the_scene_and_hardly_overlap(digits_module: Modules) -> None:
    module, digits = digits_module("scenes"), digits_module("quickstart").digits()
    scenes = list(module.scenes(60, 8, *digits))
    assert {len(scene.boxes_xyxy) for scene in scenes} >= {1, 2, 3, 4, 5}
    for scene in scenes:
        covered = np.zeros(scene.image.shape[:2], int)
        for left, top, right, bottom in scene.boxes_xyxy.astype(int):
            assert 0 < left < right < 96
            assert 0 < top < bottom < 96
            covered[top:bottom, left:right] += 1
        assert (covered > 1).sum() <= 0.1 * (covered > 0).sum()


def test_training_targets_decode_to_the_boxes_of_the_scenes(digits_module: Modules) -> None:
    drawn = list(digits_module("scenes").scenes(10, 12, *digits_module("quickstart").digits()))
    targets = digits_module("detector").targets(drawn)
    targets = {name: value[..., : 10 if name == "heatmap" else 2] for name, value in targets.items()}
    specs = [TensorSpec(name, value.shape[1:], "float32") for name, value in targets.items()]
    decoder = registry().decoder("heatmap")
    settings = {**(decoder.recognise(specs, (96, 96)) or {}), "size_unit": "root-share"}
    head = decoder.prepare(specs, (96, 96), settings)
    for index, scene in enumerate(drawn):
        decoded = head({name: value[index] for name, value in targets.items()}, 0.99)
        order, expected = (np.lexsort(boxes.T) for boxes in (decoded.boxes_xyxy, scene.boxes_xyxy))
        np.testing.assert_allclose(decoded.boxes_xyxy[order], scene.boxes_xyxy[expected], atol=1e-3)
        np.testing.assert_array_equal(decoded.class_ids[order], scene.class_ids[expected])
    assert sum(len(scene.boxes_xyxy) for scene in drawn) > 15


def test_a_short_training_writes_a_network_without_the_optimizer(
    digits_module: Modules, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    done = CliRunner().invoke(digits_module("detector").main, ["train", "--steps", "6", "-o", str(path)])
    assert done.exit_code == 0, done.output
    assert path.stat().st_size < 1_100_000
    with zipfile.ZipFile(path) as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")


def test_the_committed_weights_keep_the_accuracy_in_the_readme_in_int8_on_three_runtimes(
    as_typed: Callable[[str], Path],
) -> None:
    pytest.importorskip("pycocotools", reason="COCO's metrics need pycocotools")
    assert WEIGHTS.stat().st_size < 1_100_000
    folder = as_typed("The detector")
    results = json.loads((folder / "detector.evb" / "evidence.json").read_text())["results"]
    assert [result["artifact"] for result in results] == [
        "tflite-int8",
        "openvino-int8",
        "onnx-int8-symmetric",
    ]
    for result in results:
        metrics = {metric["name"]: metric for metric in result["comparison"]["metrics"]}
        assert metrics["mAP@0.50"]["source"] >= 0.94
        assert metrics["mAP@0.50"]["artifact"] >= 0.94
    drawn = sorted((folder / "found").iterdir())
    assert len(drawn) == len(list((folder / "digit-scenes" / "evaluation").iterdir()))
    assert not np.array_equal(
        cv2.imread(str(drawn[0])), cv2.imread(str(folder / "digit-scenes" / "evaluation" / drawn[0].name))
    )
