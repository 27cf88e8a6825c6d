"""Values that are not of the stated kind of scores are an error, and never a prediction."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InferenceError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.classify import Classifier
from edgevision.tasks.score_calibration import ScoreCalibration
from edgevision.tasks.score_checks import score_check
from edgevision.tensors import Quantization, TensorSpec
from edgevision.testing import FakeBackend

IMAGE = np.zeros((4, 4, 3), np.uint8)


def _output(classes: int, dtype: str = "float32", step: float | None = None) -> TensorSpec:
    quantization = None if step is None else Quantization(step, -128 if dtype == "int8" else 0)
    return TensorSpec("scores", (None, classes), dtype, quantization)


def _model(values, score_kind: str, temperature: float | None = None, **tensor) -> Classifier:
    """A network that returns `values` for any image."""
    values = np.asarray(values, tensor.get("dtype", np.float32))
    backend = FakeBackend(answers={"scores": values})
    image = TensorSpec("image", (None, 4, 4, 3), "float32")
    session = open_session(backend, backend.artifact([image], [_output(len(values), **tensor)]))
    labels = [f"class {place}" for place in range(max(2, len(values)))]
    calibration = None if temperature is None else ScoreCalibration(temperature)
    return Classifier(
        session, Preprocessing((4, 4), (0.0, 255.0)), labels, score_kind, score_calibration=calibration
    )


WRONG = {
    "logits as softmax": (
        [114.0, -3.0, 2.0],
        "softmax",
        "values of -3 to 114, expected 0…1 .* --scores logits",
    ),
    "logits as sigmoid": ([4.0, 0.5, 0.1], "sigmoid", "values of 0.1 to 4, expected 0…1 .* 'sigmoid'"),
    "small logits as softmax": ([0.4, 0.1, 0.2], "softmax", "sum to 0.7, expected 1 .* 'softmax'"),
    "independent scores as softmax": ([0.9, 0.8, 0.1], "softmax", "sum to 1.8, .* --scores sigmoid"),
    "many independent scores": ([0.5] * 1000, "softmax", "sum to 500"),
    "one logit": ([7.0], "sigmoid", "values of 7 to 7"),
}


@pytest.mark.parametrize("temperature", [None, 1.5])
@pytest.mark.parametrize("case", WRONG)
def test_values_of_another_kind_are_an_error_for_one_image_and_for_many(
    case: str, temperature: float | None
) -> None:
    values, score_kind, message = WRONG[case]
    model = _model(values, score_kind, temperature)
    with pytest.raises(InferenceError, match=message):
        model(IMAGE)
    with pytest.raises(InferenceError, match=message):
        model([IMAGE, IMAGE])


def test_logits_of_eight_bits_are_no_softmax() -> None:
    model = _model([-20, 90, 3], "softmax", dtype="int8", step=0.1)
    with pytest.raises(InferenceError, match="values of 10.8 to 21.8"):
        model(IMAGE)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("sharpness", [0.0, 1.0, 8.0])
@pytest.mark.parametrize(
    ("dtype", "step"),
    [("float32", None), ("float16", None), ("int8", 1 / 256), ("uint8", 1 / 256), ("int16", 1 / 32768)],
)
def test_the_rounding_of_a_softmax_is_no_error(
    classes: int, sharpness: float, dtype: str, step: float | None
) -> None:
    spec = _output(classes, dtype, step)
    logits = np.random.default_rng(classes).normal(size=(50, classes)) * sharpness
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = (exponent / exponent.sum(axis=1, keepdims=True)).astype(np.float32)
    rounded = spec.dequantize(spec.quantize(scores))
    for rows in (rounded, rounded[:1]):
        np.testing.assert_array_equal(score_check(spec, "softmax")(rows), rows)
    # A runtime may dequantize within the network: then the output has no step that is known.
    check = score_check(_output(classes), "softmax")
    np.testing.assert_array_equal(check(rounded), rounded)


def test_scores_slightly_outside_are_clipped() -> None:
    check = score_check(_output(3), "sigmoid")
    values = np.array([[1.004, -0.003, 0.5]], np.float32)
    np.testing.assert_array_equal(check(values), np.array([[1, 0, 0.5]], np.float32))


def test_logits_that_are_a_softmax_on_three_images_are_an_error() -> None:
    model = _model([0.2, 0.7, 0.1], "logits")
    with pytest.raises(InferenceError, match="would flatten them by a second one; pass --scores softmax"):
        model([IMAGE] * 3)
    one_by_one = _model([0.2, 0.7, 0.1], "logits")
    one_by_one(IMAGE)
    one_by_one(IMAGE)
    with pytest.raises(InferenceError, match="each of 3 images"):
        one_by_one(IMAGE)


def test_many_logits_that_are_a_softmax_are_an_error_on_the_first_image() -> None:
    with pytest.raises(InferenceError, match="the values of an image are in 0…1 and sum to 1, so"):
        _model([0.9, 0.1] + [0.0] * 8, "logits")(IMAGE)
    eight_bits = [102, -103] + [-128] * 8
    with pytest.raises(InferenceError, match="the values of an image"):
        _model(eight_bits, "logits", dtype="int8", step=1 / 256)(IMAGE)
    _model([0.9, 0.2] + [0.0] * 8, "logits")(IMAGE)


def test_quantized_logits_that_are_a_softmax_are_an_error() -> None:
    model = _model([-77, 51, -102], "logits", dtype="int8", step=1 / 256)
    with pytest.raises(InferenceError, match="sum to 1"):
        model([IMAGE] * 3)


def test_one_other_image_shows_that_logits_are_logits() -> None:
    check = score_check(_output(2), "logits")
    check(np.array([[0.3, 0.7], [0.4, 0.6], [0.3, 0.9]], np.float32))
    check(np.array([[0.3, 0.7]] * 9, np.float32))


@pytest.mark.parametrize("values", [[0.2, 0.7, 0.3], [-0.1, 1.0, 0.1], [5.0, 2.0, 1.0]])
def test_logits_of_any_value_are_accepted(values: list[float]) -> None:
    model = _model(values, "logits")
    assert sum(model([IMAGE] * 20)[0].scores) == pytest.approx(1)
