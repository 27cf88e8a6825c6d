"""batch() with ground truth: the figures of `evaluate`, to the last digit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from batching.image_folders import BROKEN, write_images
from edgevision import BatchSettings, Evaluation
from edgevision.artifact import read_artifact
from edgevision.batching.answer_store import AnswerStore
from edgevision.batching.evaluation_work import blocks_of
from edgevision.batching.local import LocalExecutor
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.tasks.score_calibration import ScoreCalibration
from evaluation.tiny_bundle import write_tiny_bundle
from tiny_bundles import DATA, DETECT, RGB, detector_artifact, write_artifacts

COUNT = 75


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    detector = write_artifacts(folder / "detector.evb", {"tflite-float32": artifact}, task=DETECT, how=RGB)
    return {"classify": write_tiny_bundle(folder / "tiny.evb"), "detect": detector}


@pytest.fixture(scope="module")
def annotations(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects that the tiny detector may find: it is not trained."""
    random = np.random.default_rng(1)
    names = [path.relative_to(images).as_posix() for path in sorted(images.rglob("*.png"))]
    labels = ("red apple", "pear", "c", "d", "e")
    document: dict[str, Any] = {
        "images": [{"id": n, "file_name": name, "width": 10, "height": 12} for n, name in enumerate(names)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(labels)],
        "annotations": [
            {
                "id": n,
                "image_id": n,
                "category_id": int(random.integers(5)),
                "bbox": [1, 1, 5, 6],
                "iscrowd": 0,
                "area": 30,
            }
            for n in range(len(names))
        ],
    }
    path = tmp_path_factory.mktemp("truth") / "boxes.json"
    path.write_text(json.dumps(document))
    return path


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """All of it but when and where."""
    document = evaluation.to_dict()
    return {name: value for name, value in document.items() if name not in ("created", "machine")}


def truth_of(task: str, annotations: Path) -> dict[str, Any]:
    return {"evaluate": True} if task == "classify" else {"annotations": annotations}


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_figures_are_those_of_evaluate(
    task: str, bundles: dict[str, Path], images: Path, annotations: Path, tmp_path: Path
) -> None:
    if task == "detect":
        pytest.importorskip("pycocotools", reason="needs the extra `evaluate`")
    truth = truth_of(task, annotations)
    settings = BatchSettings(workers=3)
    run = edgevision.batch(bundles[task], images, tmp_path / "out", settings=settings, **truth)
    expected = edgevision.evaluate(bundles[task], images, annotations=truth.get("annotations"))
    assert run.evaluation is not None
    assert figures(run.evaluation) == figures(expected)
    assert (run.ok, run.failed) == (COUNT, 1)
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["metrics"] == json.loads(json.dumps(expected.to_dict()["metrics"]))
    assert not list((tmp_path / "out").glob("answers-*"))


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_a_broken_off_evaluation_goes_on_from_its_answers(
    task: str, bundles: dict[str, Path], images: Path, annotations: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    if task == "detect":
        pytest.importorskip("pycocotools", reason="needs the extra `evaluate`")
    truth, worked = truth_of(task, annotations), []
    run = LocalExecutor.run

    def counted(self: Any, work: Any, units: Any, workers: Any) -> Any:
        return run(self, work, (worked.append(unit) or unit for unit in units), 1)

    monkeypatch.setattr(LocalExecutor, "run", counted)

    def interrupt(stage: str, done: int, total: int) -> None:
        if done > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edgevision.batch(bundles[task], images, tmp_path / "out", progress=interrupt, **truth)
    assert list((tmp_path / "out").glob("answers-*"))
    first = len(worked)
    again = edgevision.batch(bundles[task], images, tmp_path / "out", **truth)
    whole = edgevision.batch(bundles[task], images, tmp_path / "whole", **truth)
    assert again.evaluation is not None
    assert whole.evaluation is not None
    assert figures(again.evaluation) == figures(whole.evaluation)
    assert again.reused >= 16
    assert first < len(worked)


def test_answers_of_another_backend_are_not_gone_on_from(images: Path, tmp_path: Path) -> None:
    scores = [np.ones(5, np.float32)]
    (block,) = blocks_of(ImageSet.open(images / "b").at([0]), 1)
    store = AnswerStore(tmp_path, ("bundle", "artifact", "onnx", "cpu"), ())
    store.add(block, scores)
    store.flush()
    (tmp_path / "answers-of-somebody.npz").write_bytes(b"")
    found = AnswerStore(tmp_path, ("bundle", "artifact", "onnx", "cpu"), ())
    assert np.array_equal(found.find(block), scores)
    assert AnswerStore(tmp_path, ("bundle", "artifact", "openvino", "cpu"), ()).find(block) is None
    found.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["answers-of-somebody.npz"]


def test_classes_may_be_a_column_of_a_table(bundles: dict[str, Path], images: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    import pyarrow
    import pyarrow.parquet

    files = sorted(path for path in images.rglob("*.png") if path.name != "broken.png")
    columns = {
        "image": [file.read_bytes() for file in files],
        "name": [file.relative_to(images).as_posix() for file in files],
        "class": [file.parent.name for file in files],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "images.parquet", row_group_size=10)
    settings = BatchSettings(name_column="name", label_column="class")
    table = tmp_path / "images.parquet"
    run = edgevision.batch(bundles["classify"], table, tmp_path / "out", settings=settings, evaluate=True)
    expected = edgevision.evaluate(bundles["classify"], images)
    assert run.evaluation is not None
    assert run.evaluation.to_dict()["metrics"] == expected.to_dict()["metrics"]


def test_arguments_that_an_evaluation_does_not_have_are_refused(
    bundles: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    bundle = bundles["classify"]
    with pytest.raises(OptionError, match="for predictions"):
        edgevision.batch(bundle, images, tmp_path / "a", settings=BatchSettings(top=1), evaluate=True)
    with pytest.raises(OptionError, match="groups: are for an evaluation"):
        edgevision.batch(bundle, images, tmp_path / "b", groups="folder:1")
    flat = write_images(tmp_path / "flat", 3)
    for path in flat.rglob("*.png"):
        path.rename(flat / path.name)
    with pytest.raises(InputError, match="no ground truth"):
        edgevision.batch(bundle, flat, tmp_path / "c", evaluate=True)


def test_a_comparison_is_that_of_compare(bundles: dict[str, Path], images: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    other = write_tiny_bundle(tmp_path / "other.evb", score_calibration=ScoreCalibration(2.0))
    shutil.copytree(images, whole)
    (whole / BROKEN).unlink()
    run = edgevision.batch(bundles["classify"], whole, tmp_path / "out", compare_with=other, evaluate=True)
    expected = edgevision.compare(bundles["classify"], other, whole).to_dict()
    assert run.comparison is not None
    found = run.comparison.to_dict()
    assert {name: found[name] for name in found if name not in ("created", "machine")} == {
        name: expected[name] for name in expected if name not in ("created", "machine")
    }
    assert (run.ok, run.failed) == (COUNT, 0)
    assert (tmp_path / "out" / "comparison.json").exists()
