"""Errors of raw outputs in units of the variance of the source's outputs."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import ConversionError
from edgevision.metrics.output_errors import output_errors, rounding_errors

RANDOM = np.random.default_rng(0)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return (exponents / exponents.sum(-1, keepdims=True)).astype(np.float32)


def test_equal_outputs_have_no_error() -> None:
    outputs = {"a": RANDOM.random((6, 4), np.float32), "b": RANDOM.random((6, 7, 3), np.float32)}
    assert output_errors(outputs, outputs, {"a": "softmax"}).tolist() == [0.0] * 6


def test_the_unit_is_the_variance_of_the_source() -> None:
    values = RANDOM.normal(3, 10, (500, 40)).astype(np.float32)
    noise = RANDOM.normal(0, 1, values.shape).astype(np.float32)
    errors = output_errors({"x": values}, {"x": values + noise}, {})
    assert errors.shape == (500,)
    assert errors.mean() == pytest.approx(1 / 100, rel=0.05)
    constant = np.full((3, 2), 5, np.float32)
    assert output_errors({"x": constant}, {"x": constant * 1.1}, {}) == pytest.approx([0.01] * 3, rel=1e-3)
    nothing = np.zeros((3, 2), np.float32)
    assert output_errors({"x": nothing}, {"x": nothing + 1}, {}).tolist() == [1, 1, 1]


def test_of_a_confident_classifier_the_error_of_the_logits_shows() -> None:
    """Softmax hides it: probabilities of 0.99 and 0.96 are near each other, their rests are not."""
    source = _softmax(np.array([[5.0, 0, 0], [0, 5, 0]]))
    artifact = _softmax(np.array([[4.0, 0, 0], [0, 4, 0]]))
    hidden, shown = (output_errors({"p": source}, {"p": artifact}, kinds) for kinds in ({}, {"p": "softmax"}))
    assert hidden.max() < 0.002
    assert shown.min() > 0.05


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_what_eight_bits_cannot_show_is_no_error(kind: str) -> None:
    source = np.array([[1e-9, 1 - 1e-9], [0.5, 0.5]], np.float32)
    artifact = np.array([[0.0, 1.0], [0.5, 0.5]], np.float32)
    assert output_errors({"p": source}, {"p": artifact}, {"p": kind}).max() < 1e-9


@pytest.mark.parametrize("transposed", [False, True])
def test_scores_beside_boxes_in_pixels_in_one_tensor_count(transposed: bool) -> None:
    boxes = RANDOM.uniform(0, 640, (4, 100, 4))
    scores = RANDOM.random((4, 100, 6)) ** 8
    source = np.concatenate([boxes, scores], 2).astype(np.float32)
    lost = np.concatenate([boxes, np.zeros_like(scores)], 2).astype(np.float32)
    if transposed:
        source, lost = source.transpose(0, 2, 1), lost.transpose(0, 2, 1)
    errors = output_errors({"head": source}, {"head": lost}, {})
    assert errors.min() > 0.4, "half of it: the boxes are right, no score is"


def test_an_artifact_without_the_sources_outputs_is_refused() -> None:
    values = np.ones((2, 3), np.float32)
    with pytest.raises(ConversionError, match="no output 'x'; it has: y"):
        output_errors({"x": values}, {"y": values}, {})
    with pytest.raises(ConversionError, match=r"an output is \(2, 4\), and \(2, 3\) in the source"):
        output_errors({"x": values}, {"x": np.ones((2, 4), np.float32)}, {})


def test_rounding_is_relative_to_the_spread_of_an_output_and_the_worst_output_counts() -> None:
    values = RANDOM.normal(0, 2, (50, 400)).astype(np.float32)
    other = RANDOM.normal(0, 3, (50, 4)).astype(np.float32)
    moved = values + np.float32(0.002)
    errors = rounding_errors({"x": values, "y": other}, {"x": moved, "y": other}, {})
    assert errors == pytest.approx([0.001] * 50, rel=0.05)


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        (np.full((3, 2), 0.5, np.float32), "softmax"),
        (np.full((3, 1), 0.5, np.float32), "sigmoid"),
        (np.full((3, 2), 1000.0, np.float32), ""),
        (1000 + RANDOM.random((3, 2), np.float32) / 1000, ""),
        (np.array([[1.0, 0.0]] * 3, np.float32), "softmax"),
    ],
    ids=["uncertain", "balanced", "constant", "nearly constant", "saturated"],
)
def test_rounding_of_an_output_without_spread_is_small(outputs: np.ndarray, kind: str) -> None:
    rounded = np.nextafter(outputs, np.float32(2), dtype=np.float32)
    kinds = {"x": kind} if kind else {}
    assert rounding_errors({"x": outputs}, {"x": rounded}, kinds).max() < 1e-4
    assert rounding_errors({"x": outputs}, {"x": outputs * 0.9}, kinds).max() > 0.01


def test_outputs_that_are_not_finite_have_the_worst_error() -> None:
    values = RANDOM.random((4, 3), np.float32)
    broken = values.copy()
    broken[2, 1] = np.nan
    errors = rounding_errors({"x": values}, {"x": broken}, {})
    assert errors.tolist() == [0.0, 0.0, 1e6, 0.0]
