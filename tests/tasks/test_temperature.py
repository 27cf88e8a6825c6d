"""Temperature scaling of every kind of output: as if the logits had been divided by the temperature."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InferenceError, OptionError
from edgevision.evidence.temperatures import scaled_scores
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.classify import Classifier
from edgevision.tasks.score_calibration import ScoreCalibration
from edgevision.tasks.temperature import score_floor
from edgevision.tensors import Quantization, TensorSpec
from edgevision.testing import FakeBackend

STEP = 1 / 256
IMAGE = np.zeros((4, 4, 3), np.uint8)
LOGITS = np.array([2.0, -1.0, 0.5, -3.0], np.float32)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum()


def _logistic(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def _model(values, score_kind: str, temperature: float | None = None, **tensor) -> Classifier:
    """A network that returns `values` for any image."""
    values = np.asarray(values)
    backend = FakeBackend(answers={"scores": values})
    how = tensor.get("quantization")
    output = TensorSpec("scores", (None, len(values)), values.dtype.name, how)
    session = open_session(
        backend, backend.artifact([TensorSpec("image", (None, 4, 4, 3), "float32")], [output])
    )
    labels = [f"class {place}" for place in range(max(2, len(values)))]
    calibration = None if temperature is None else ScoreCalibration(temperature)
    return Classifier(
        session, Preprocessing((4, 4), (0.0, 255.0)), labels, score_kind, score_calibration=calibration
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(
    ("score_kind", "values", "expected"),
    [
        ("logits", LOGITS, lambda t: _softmax(LOGITS / t)),
        ("softmax", _softmax(LOGITS).astype(np.float32), lambda t: _softmax(LOGITS / t)),
        ("sigmoid", _logistic(LOGITS).astype(np.float32), lambda t: _logistic(LOGITS / t)),
        ("logits", LOGITS[:1], lambda t: [1 - _logistic(LOGITS[0] / t), _logistic(LOGITS[0] / t)]),
        (
            "sigmoid",
            _logistic(LOGITS[:1]).astype(np.float32),
            lambda t: [1 - _logistic(LOGITS[0] / t), _logistic(LOGITS[0] / t)],
        ),
    ],
    ids=["logits", "softmax", "independent", "one logit", "one score"],
)
def test_every_kind_of_output_gives_the_scores_of_the_divided_logits(
    temperature, score_kind, values, expected
) -> None:
    scores = _model(values, score_kind, temperature)(IMAGE).scores
    np.testing.assert_allclose(scores, expected(temperature), atol=2e-6)


@pytest.mark.parametrize("score_kind", ["logits", "softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_an_integer_output_is_dequantized_before_scaling(score_kind: str, dtype: str) -> None:
    how = Quantization(STEP, -128 if dtype == "int8" else 0)
    values = (np.array([1, 3, 77, 175]) + how.zero_point).astype(dtype)
    real = TensorSpec("scores", (None, 4), dtype, how).dequantize(values)
    quantized = _model(values, score_kind, 1.7, quantization=how)(IMAGE).scores
    np.testing.assert_allclose(quantized, _model(real, score_kind, 1.7)(IMAGE).scores, rtol=1e-6)


def test_a_zero_of_an_integer_output_counts_as_half_a_step() -> None:
    values, how = np.array([-128, 127, -128], np.int8), Quantization(STEP, -128)
    scores = _model(values, "softmax", 2.0, quantization=how)(IMAGE).scores
    roots = np.sqrt([STEP / 2, 255 / 256, STEP / 2])
    np.testing.assert_allclose(scores, roots / roots.sum(), rtol=1e-6)


@pytest.mark.parametrize("score_kind", ["softmax", "sigmoid", "logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_an_error_at_a_temperature_too(score_kind: str, value: float) -> None:
    with pytest.raises(InferenceError, match="gave NaN or infinity"):
        _model(np.array([0.5, value], np.float32), score_kind, 1.5)(IMAGE)


@pytest.mark.parametrize(
    ("score_kind", "values", "multi_label"),
    [
        ("softmax", [0.7, 0.2, 0.1], False),
        ("softmax", [1.0, 0.0, 0.0], False),
        ("logits", [30.0, -40.0, 2.0], False),
        ("sigmoid", [0.99, 1.0, 0.0], True),
        ("sigmoid", [0.999], False),
        ("sigmoid", [1.0], False),
        ("logits", [25.0], False),
    ],
)
@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_a_conversion_and_the_model_scale_alike(score_kind, values, multi_label, temperature) -> None:
    values = np.array(values, np.float32)
    plain, scaled = _model(values, score_kind), _model(values, score_kind, temperature)
    floor = score_floor(plain.session.outputs[0], score_kind)
    converted = scaled_scores(plain(IMAGE).scores[None], temperature, floor, multi_label)[0]
    np.testing.assert_allclose(converted, scaled(IMAGE).scores, rtol=2e-5, atol=1e-7)


def test_the_order_of_classes_does_not_change() -> None:
    scores = np.array([0.1, 0.6, 0.05, 0.25], np.float32)
    for temperature in (0.2, 5.0):
        result = _model(scores, "softmax", temperature)(IMAGE)
        assert [best.class_id for best in result] == [1, 3, 0, 2]


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf, True, "1"])
def test_a_temperature_is_a_number_above_zero(temperature: object) -> None:
    with pytest.raises(OptionError, match="temperature: expected a number above 0"):
        ScoreCalibration(temperature)
