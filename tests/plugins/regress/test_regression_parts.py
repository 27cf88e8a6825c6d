"""Several parts of one result: two heads, classes beside a box, and coordinates in pixels of the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InferenceError, InputError, MissingOptionError, OptionError
from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.api import Claim, NetworkFacts, TaskOptions
from edgevision.tasks.description import task_from_dict, task_to_dict
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend
from edgevision_regress.description import RegressTask
from edgevision_regress.evaluation import RegressionEvaluator
from edgevision_regress.kind import RegressKind
from edgevision_regress.model import Regression, Regressor
from edgevision_regress.truth import read_values

BOX = ("box.left", "box.top", "box.right", "box.bottom")
RANGES = ((0.0, 100.0),) * 4
ANIMAL = RegressTask("box", BOX, ("px",) * 4, RANGES, (), "share", "class", "logits")


def _model(answers: dict[str, Any], task: RegressTask, how: Preprocessing, labels: Any = ()) -> Regressor:
    rows = {name: np.asarray(values, np.float32)[None] for name, values in answers.items()}
    backend = FakeBackend(answers=rows)
    image = TensorSpec("image", (None, how.size_wh[1], how.size_wh[0], 3), "float32")
    outputs = [TensorSpec(name, (None, *row.shape[1:]), "float32") for name, row in rows.items()]
    return Regressor(open_session(backend, backend.artifact([image], outputs)), how, task, labels)


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "center-crop"])
@pytest.mark.parametrize("coordinates", ["pixels", "share"])
def test_coordinates_are_those_of_the_image_however_it_was_resized(resize: str, coordinates: str) -> None:
    how = Preprocessing((40, 20), (0.0, 255.0), resize=resize)
    in_image = np.array([[30.0, 12.0, 50.0, 36.0]])
    left, top, right, bottom = placement_of(how, (80, 60)).to_input(in_image)[0]
    names = ("eye.x", "eye.y", "box.right", "box.bottom", "box.width", "box.height", "angle")
    values = np.array([left, top, right, bottom, right - left, bottom - top, 7])
    if coordinates == "share":
        values[:6] /= np.tile([40, 20], 3)
    task = RegressTask("out", names, ("px",) * 6 + ("°",), ((0.0, 80.0),) * 7, (), coordinates)
    found = _model({"out": values}, task, how)(np.zeros((60, 80, 3), np.uint8))
    np.testing.assert_allclose(found.values, [30, 12, 50, 36, 20, 24, 7], atol=1e-3)
    assert found.points["eye"] == pytest.approx((30, 12), abs=1e-3)
    assert found.boxes == {}


def test_two_heads_are_values_of_one_result_and_classes_stand_beside_a_box() -> None:
    how = Preprocessing((8, 8), (0.0, 255.0))
    heads = RegressTask("age", ("age", "height", "weight"), ("y", "m", "kg"), ((0, 100),) * 3, ("body",))
    both = _model({"body": [1.8, 75], "age": [30]}, heads, how)(np.zeros((8, 8, 3), np.uint8))
    assert [one.name for one in both] == ["age", "height", "weight"]
    assert both["weight"] == 75
    animal = _model({"box": [0.25, 0.5, 0.75, 1], "class": [0, 2]}, ANIMAL, how, ("cat", "dog"))
    found = animal(np.zeros((100, 200, 3), np.uint8))
    assert found.boxes["box"] == (50, 50, 150, 100)
    assert found.label == "dog"
    np.testing.assert_allclose(found.scores, [0.1192, 0.8808], atol=1e-4)
    document = json.loads(json.dumps(found.to_dict()))
    assert document["class"]["label"] == "dog"
    assert found.lines()[0].startswith("dog 88.1%  box.left 50 px")
    drawn = found.draw(np.zeros((100, 200, 3), np.uint8))
    assert drawn.any()
    with pytest.raises(OptionError, match="output 'class' has 2 classes, and there are 3 labels"):
        _model({"box": [0, 0, 1, 1], "class": [0, 2]}, ANIMAL, how, ("cat", "dog", "cow"))
    with pytest.raises(OptionError, match="output 'age', 'body' has 2 values, and there are 3 names"):
        _model({"age": [1], "body": [2]}, heads, how)
    broken = _model({"box": [0, 0, 1, 1], "class": [0, np.nan]}, ANIMAL, how)
    with pytest.raises(InferenceError, match="'class' contains NaN"):
        broken(np.zeros((8, 8, 3), np.uint8))


def test_a_description_of_an_earlier_version_is_read() -> None:
    old = {"name": "regress", "output": "out", "names": ["age"], "units": ["y"], "ranges": [[0, 9]]}
    assert task_from_dict(old, "manifest.json") == RegressTask("out", ("age",), ("y",), ((0, 9),))
    assert task_from_dict(task_to_dict(ANIMAL), "manifest.json") == ANIMAL
    for field, value in (("coordinates", "cm"), ("more_outputs", ("box",)), ("class_scores", "votes")):
        with pytest.raises(OptionError, match=field):
            RegressTask(**{**vars(ANIMAL), field: value})


def _network(**stated: Any) -> NetworkFacts:
    outputs = tuple(
        TensorSpec(name, (None, size), "float32") for name, size in (("box", 4), ("class", 2), ("age", 1))
    )
    options: Any = TaskOptions(task="regress", **stated)
    plugins: Any = None
    return NetworkFacts(outputs, (8, 8), options, plugins, "m.keras", {"class": "linear", "box": "linear"})


def test_of_several_outputs_those_of_the_values_are_stated() -> None:
    kind = RegressKind()
    assert kind.recognise(_network()) == Claim.STATED
    with pytest.raises(MissingOptionError, match=r"pass --task-option outputs='\[\"box\", …\]'"):
        kind.describe(_network())
    options = {"outputs": ["box"], "classes": "class", "names": list(BOX), "ranges": [[0, 100]] * 4}
    options |= {"units": ["px"] * 4, "coordinates": "share"}
    assert kind.describe(_network(task_options=options)) == ANIMAL
    both = kind.describe(
        _network(task_options={"outputs": ["age", "box"], "names": ["age", *BOX], "ranges": [[0, 9]] * 5})
    )
    assert both.outputs == ("age", "box")
    with pytest.raises(OptionError, match="pass --output-name"):
        kind.describe(_network(task_options={"outputs": ["nothing"], "names": ["a"]}))


def test_ground_truth_has_a_column_for_the_class(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((4, 4, 3), np.uint8))
    images = ImageSet.open(tmp_path / "images")
    table = tmp_path / "truth.csv"
    table.write_text("image,age,label\na.png,3,dog\n", encoding="utf-8")
    assert read_values(table, images, ["age"], ("cat", "dog")).tolist() == [[3.0, 1.0]]
    table.write_text("image,age,label\na.png,3,cow\n", encoding="utf-8")
    with pytest.raises(InputError, match="column 'label': 'cow' is no class of the model"):
        read_values(table, images, ["age"], ("cat", "dog"))
    table.write_text("image,age\na.png,3\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no column 'label'"):
        read_values(table, images, ["age"], ("cat", "dog"))


def test_both_parts_are_measured_and_compared() -> None:
    def answers(classes: list[int], shift: float) -> list[Regression]:
        scores = np.eye(2, dtype=np.float32)
        values = np.arange(4, dtype=np.float32)[None] + 10 * np.arange(4)[:, None] + shift
        return [
            Regression(row.astype(np.float32), BOX, ("px",) * 4, ("cat", "dog"), scores[one])
            for row, one in zip(values, classes, strict=True)
        ]

    truth = np.column_stack([np.stack([one.values for one in answers([0] * 4, 0)]), [0, 1, 0, 1]])
    evaluator = RegressionEvaluator(ANIMAL, ("cat", "dog"), Preprocessing((8, 8), (0.0, 255.0)), truth)
    measures = evaluator.measure(answers([0, 1, 0, 0], 2))
    assert measures is not None
    values = {metric.name: metric.value for metric in measures.metrics}
    assert values["accuracy"] == 0.75
    assert values["MAE"] == pytest.approx(2)
    assert measures.errors.argmax() == 3
    compared = evaluator.compare(answers([0, 1, 0, 1], 0), answers([0, 1, 0, 0], 0))
    assert compared.agreement == pytest.approx(1 - 0.25 / 5)
    assert compared.largest_difference == 1
    shown = evaluator.truth_picture(np.zeros((60, 80, 3), np.uint8), 0)
    assert shown is not None


def test_a_value_is_explained_as_a_share_of_its_range() -> None:
    how = Preprocessing((32, 32), (0.0, 255.0))
    task = RegressTask("out", ("light", "left.x"), ("", "px"), ((0.0, 255.0), (0.0, 64.0)), (), "share")

    def answers(inputs: Any) -> dict[str, Any]:
        pixels = np.asarray(inputs["image"], np.float32)
        light = pixels[:, :, 16:].std(axis=(1, 2, 3))
        return {"out": np.stack([light, pixels[:, :, :16].std(axis=(1, 2, 3)) / 255], axis=1)}

    backend = FakeBackend(answers=answers)
    image = TensorSpec("image", (None, 32, 32, 3), "float32")
    output = TensorSpec("out", (None, 2), "float32")
    model = Regressor(open_session(backend, backend.artifact([image], [output])), how, task)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    light, left = model.explain(pixels, budget=512), model.explain(pixels, "left.x", budget=512)
    assert (light.label, left.label) == ("light", "left.x")
    assert light.score == pytest.approx(model(pixels)["light"] / 255, abs=1e-3)
    assert left.score == pytest.approx(model(pixels)["left.x"] / 64, abs=1e-3)
    assert light.map[:, 32:].mean() > 3 * abs(light.map[:, :32].mean())
    assert left.map[:, :32].mean() > 3 * abs(left.map[:, 32:].mean())
    assert model.explanation_curves(pixels, left).insertion[-1] == pytest.approx(left.score)
    with pytest.raises(OptionError, match="no class 'weight'"):
        model.explain(pixels, "weight")
