"""Coverage: the share of activations outside the range, and the difference of two halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from edgevision.calibration.coverage import coverage_findings, measure_coverage
from edgevision.converter import Activations
from edgevision.tensors import Array


class TwoLayers:
    """Two layers: the first returns its input, the second the square of it."""

    def activations(
        self, inputs: Mapping[str, Array], limits: Sequence[tuple[float, float]] = ()
    ) -> tuple[Activations, ...]:
        """As `ActivationSource.activations`."""
        values = inputs["x"]
        layers = {"same": values, "square": values**2}
        return tuple(
            Activations(
                name, float(one.min()), float(one.max()), int(((one < low) | (one > high)).sum()), one.size
            )
            for (name, one), (low, high) in zip(
                layers.items(), limits or [(-np.inf, np.inf)] * 2, strict=True
            )
        )


def inputs(*values: float) -> list[dict[str, Array]]:
    return [{"x": np.array([[value]], np.float32)} for value in values]


def test_clipping_and_the_difference_of_the_halves_are_measured_by_layer() -> None:
    coverage = measure_coverage(TwoLayers(), inputs(0, 1, 2, 3, 8, 10), inputs(-1, 5, 9, 10, 11))
    assert (coverage.calibration_images, coverage.evaluation_images, coverage.layers) == (6, 5, 2)
    assert coverage.clipped == pytest.approx((2 + 1) / 10)
    same, square = coverage.worst
    assert (same.layer, same.low, same.high, same.clipped) == ("same", 0, 10, pytest.approx(0.4))
    assert same.halves == ((0, 8), (1, 10))
    assert same.unsteady == pytest.approx(0.2)
    assert (square.layer, square.clipped) == ("square", pytest.approx(0.2))
    assert coverage.unsteady == pytest.approx((0.2 + 0.36) / 2)


def test_a_loss_within_rounding_does_not_count_as_clipped() -> None:
    step = 10 / 255
    coverage = measure_coverage(TwoLayers(), inputs(0, 10), inputs(10 + 0.4 * step, 10 + 0.6 * step))
    assert coverage.worst[0].clipped == pytest.approx(0.5) or coverage.worst[1].clipped == pytest.approx(0.5)


def test_batches_give_the_same_result_as_all_images_at_once() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 100)
    coverage = measure_coverage(TwoLayers(), inputs(*values), inputs(*rng.normal(0, 1.5, 70)))
    (same,) = [one for one in coverage.worst if one.layer == "same"]
    assert (same.low, same.high) == (pytest.approx(values.min()), pytest.approx(values.max()))
    assert coverage.evaluation_images == 70


def test_a_single_image_and_a_constant_layer_are_no_error() -> None:
    coverage = measure_coverage(TwoLayers(), inputs(0), inputs(0))
    assert (coverage.clipped, coverage.unsteady, coverage.calibration_images) == (0, 0, 1)
    assert list(coverage_findings(coverage)) == []


def test_clipping_and_unsteady_ranges_get_a_warning() -> None:
    coverage = measure_coverage(TwoLayers(), inputs(0, 1, 0.5, 9), inputs(20, 30, 1))
    clipped, unsteady = coverage_findings(coverage)
    assert (clipped.check, clipped.severity) == ("clipped-activations", "warning")
    assert "same (66.7 %)" in clipped.text
    assert unsteady.check == "unsteady-ranges"
    assert "differ by 92% in the median layer" in unsteady.text or "differ by" in unsteady.text


def test_a_layer_with_several_activations_is_named_once_in_the_warning() -> None:
    coverage = measure_coverage(TwoLayers(), inputs(0, 1, 0.5, 9), inputs(20, 30, 1))
    same_name = replace(coverage, worst=tuple(replace(one, layer="norm") for one in coverage.worst))
    clipped, *_ = coverage_findings(same_name)
    assert clipped.text.count("norm") == 1
