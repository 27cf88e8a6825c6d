"""Regressions: values with names, units and ranges; ground truth; metrics against numbers by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InferenceError, InputError, MissingOptionError, OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.api import Claim, NetworkFacts, TaskOptions
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend
from edgevision_regress.description import RegressTask
from edgevision_regress.evaluation import RegressionEvaluator, bland_altman
from edgevision_regress.kind import RegressKind
from edgevision_regress.model import Regression, Regressor
from edgevision_regress.truth import read_values

AGE = RegressTask("out", ("age",), ("years",), ((0.0, 100.0),))
POINT = RegressTask("out", ("x", "y"), ("px", "px"), ((0, 64), (0, 32)))
HOW = Preprocessing((8, 8), (0.0, 255.0))


def _regressor(values: Any, task: RegressTask) -> Regressor:
    answer = np.asarray(values, np.float32)[None]
    backend = FakeBackend(answers={"out": answer})
    image = TensorSpec("image", (None, 8, 8, 3), "float32")
    output = TensorSpec("out", (None, *answer.shape[1:]), "float32")
    return Regressor(open_session(backend, backend.artifact([image], [output])), HOW, task)


def test_values_have_names_and_units() -> None:
    found = _regressor([12.5, 30.0], POINT)(np.zeros((20, 30, 3), np.uint8))
    assert (found["x"], found[1], len(found)) == (12.5, 30.0, 2)
    assert found.lines() == ["x 12.5 px  y 30 px"]
    assert json.loads(json.dumps(found.to_dict())) == {
        "values": [{"name": "x", "value": 12.5, "unit": "px"}, {"name": "y", "value": 30.0, "unit": "px"}]
    }
    assert found.draw(np.zeros((20, 30, 3), np.uint8)).shape[0] > 20
    with pytest.raises(OptionError, match="no value 'z'; there are: x, y"):
        found["z"]


def test_a_network_with_other_values_or_none_is_refused() -> None:
    with pytest.raises(OptionError, match="has 3 values, and there are 2 names"):
        _regressor([1, 2, 3], POINT)
    with pytest.raises(InferenceError, match="NaN or infinity"):
        _regressor([np.nan, 1], POINT)(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("names", ("x", "x")),
        ("names", "xy"),
        ("units", ("px",)),
        ("ranges", ((0, 64), (5, 5))),
        ("ranges", ((0, 64),)),
        ("output", 3),
    ],
)
def test_a_wrong_field_of_the_description_is_named(field: str, value: Any) -> None:
    with pytest.raises(OptionError, match=field):
        RegressTask(**{**vars(POINT), field: value})


def _network(truth: Path | None = None, kind: str = "linear", **options: Any) -> NetworkFacts:
    stated: Any = TaskOptions(task="regress", task_options=options, truth=truth)
    plugins: Any = None
    output = TensorSpec("out", (None, 1), "float32")
    return NetworkFacts((output,), (8, 8), stated, plugins, "m.keras", {"out": kind})


def test_a_regression_is_stated_and_described_by_options_or_its_ground_truth(tmp_path: Path) -> None:
    kind = RegressKind()
    assert kind.recognise(_network()) == Claim.STATED
    assert kind.recognise(_network(kind="softmax")) is None
    assert kind.describe(_network(names=["age"], units=["years"], ranges=[[0, 100]])) == AGE
    with pytest.raises(MissingOptionError, match="1 values without names; pass --task-option names"):
        kind.describe(_network())
    with pytest.raises(MissingOptionError, match="range of the value 'age' is not known"):
        kind.describe(_network(names="age"))
    table = tmp_path / "ages.csv"
    table.write_text("image,age\na.png,3\nb.png,80\n", encoding="utf-8")
    assert kind.describe(_network(table)) == RegressTask("out", ("age",), ("",), ((3.0, 80.0),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,age\na.png,1\n", "first line such as image,age"),
        ("image,age\n", "has no row for image 'a.png'"),
        ("image,age\na.png,1\na.png,2\n", "image 'a.png' is there twice"),
        ("image,age\na.png\n", "row 2 has 1 columns, expected 2"),
        ("image,age\na.png,old\n", "image 'a.png', column 'age': expected a number, got 'old'"),
        ("image,age\na.png,inf\n", "expected a number, got 'inf'"),
        ("image,size\na.png,1\n", "has no column 'age'; it has: size"),
    ],
)
def test_ground_truth_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "truth.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_values(tmp_path / "truth.csv", ImageSet.open(tmp_path / "images"), ["age"])


def _answers(values: Any, task: RegressTask = AGE) -> list[Regression]:
    return [Regression(np.atleast_1d(np.float32(one)), task.names, task.units) for one in values]


def test_errors_and_r_squared_are_those_computed_by_hand() -> None:
    truth = np.array([[10.0], [20.0], [30.0], [40.0]])
    measures = RegressionEvaluator(AGE, (), HOW, truth).measure(_answers([12, 20, 26, 40]))
    assert measures is not None
    values = {metric.name: metric for metric in measures.metrics}
    assert values["MAE"].value == pytest.approx(1.5)
    assert values["RMSE"].value == pytest.approx(np.sqrt(20 / 4))
    assert values["R²"].value == pytest.approx(1 - 20 / 500)
    assert (values["MAE"].unit, values["MAE"].lower_is_better) == ("years", True)
    for metric in measures.metrics:
        assert metric.interval is not None
        assert metric.interval.low <= metric.value <= metric.interval.high
    assert measures.notes[0].startswith("age: bias -0.5 ± 2.5 years, limits of agreement -5.")


def test_a_drop_of_an_error_is_how_much_the_artifact_is_worse() -> None:
    random = np.random.default_rng(0)
    truth = random.uniform(0, 100, (200, 1))
    source = truth[:, 0] + random.normal(0, 1, 200)
    evaluator = RegressionEvaluator(AGE, (), HOW, truth)
    worse = evaluator.compare(_answers(source), _answers(source + np.where(source > truth[:, 0], 6, -6)))
    for name in ("MAE", "RMSE", "R²"):
        metric = worse.metric(name)
        assert metric.drop > 0
        assert metric.drop_interval is not None
        assert metric.drop_interval.low <= metric.drop <= metric.drop_interval.high
        # Squares of one further image that is off by the whole range would outweigh all others.
        assert name != "MAE" or metric.drop_interval.low > 0
    assert worse.metric("MAE").drop == pytest.approx(6, abs=1e-4)
    assert worse.agreement == pytest.approx(0.94, abs=1e-4)
    back = evaluator.compare(_answers(truth[:, 0] + 6), _answers(source)).metric("MAE")
    assert back.drop < 0


def test_several_values_have_rows_of_their_own_and_units_are_not_mixed() -> None:
    random = np.random.default_rng(1)
    truth = random.uniform(0, 30, (20, 2))
    same = RegressionEvaluator(POINT, (), HOW, truth).measure(_answers(truth + 1, POINT))
    assert same is not None
    assert [metric.name for metric in same.metrics] == ["MAE", "RMSE", "R²"]
    assert [row.label for row in same.by_class] == ["x", "y"]
    mixed = RegressTask("out", ("x", "angle"), ("px", "degrees"), POINT.ranges)
    other = RegressionEvaluator(mixed, (), HOW, truth).measure(_answers(truth + 1, mixed))
    assert other is not None
    assert [metric.name for metric in other.metrics] == ["R²"]
    assert other.by_class[1].metrics[0].unit == "degrees"


def test_limits_of_agreement_are_those_of_bland_and_altman() -> None:
    # Their example of 1986: peak flow meters, bias -2.1 l/min, SD 38.8, 17 subjects.
    rng = np.random.default_rng(0)
    sample = rng.normal(size=17)
    sample = (sample - sample.mean()) / sample.std(ddof=1) * 38.8 - 2.1
    found = bland_altman(sample)
    assert found.bias == pytest.approx(-2.1)
    assert (found.low, found.high) == (
        pytest.approx(-2.1 - 76.0, abs=0.1),
        pytest.approx(-2.1 + 76.0, abs=0.1),
    )
    assert found.limit_error == pytest.approx(1.96 * np.sqrt(3 * 38.8**2 / 17), rel=1e-3)


def test_the_same_value_everywhere_has_no_r_squared() -> None:
    with pytest.raises(InputError, match="R² is not defined"):
        RegressionEvaluator(AGE, (), HOW, np.full((3, 1), 5.0)).measure(_answers([1, 2, 3]))
