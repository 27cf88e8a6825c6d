"""Conversions of networks that were trained for int8, and the advice to train for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgevision
from edgevision.artifact import FROM_TRAINING
from edgevision.conversion.plan import plan_conversion
from edgevision.conversion.requirements import missed_requirement
from edgevision.conversion.settings import ConversionRequest
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.errors import MissingOptionError
from edgevision.evidence.quantization import QuantizationEvidence
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Comparison
from edgevision.plugins import registry
from measured_artifacts import measured_artifact

KERAS_WARNING = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"


def request(*precisions: str) -> ConversionRequest:
    return ConversionRequest(
        *(Path("x.keras"), Path("x.evb"), ("raspberry-pi-5",), precisions, None, None),
        settings=edgevision.ConversionSettings(),
    )


@pytest.mark.parametrize(
    ("precisions", "has_ranges", "searching", "calibrated"),
    [
        ((), True, True, ()),
        ((), False, False, None),
        (("int8",), True, False, ()),
        (("int8",), False, False, ("tflite-int8",)),
        (("int16x8",), True, False, ("tflite-int16x8",)),
    ],
)
def test_a_source_with_ranges_needs_no_calibration_set_for_int8(
    precisions: tuple[str, ...], has_ranges: bool, searching: bool, calibrated: tuple[str, ...] | None
) -> None:
    plan = plan_conversion(request(*precisions), registry(), has_ranges=has_ranges)
    assert plan.searching == searching
    assert calibrated is None or plan.calibrated == calibrated


@pytest.mark.parametrize(("rule", "advised"), [("mixed", True), (FROM_TRAINING, False)])
@pytest.mark.parametrize("what", ["agreement", "drop in accuracy"])
def test_int8_that_misses_its_budget_says_how_to_train_for_it(rule: str, advised: bool, what: str) -> None:
    at_least = what == "agreement"
    limit, value = (0.95, 0.9) if at_least else (0.01, 0.03)
    requirement = Requirement(what, at_least, limit, value, bound=value)
    measured = replace(
        measured_artifact(Comparison(100, 0.9, 0.1, 0.1, ()), requirement),
        quantization=QuantizationEvidence("edgevision", range_rule=rule),
    )
    text = missed_requirement(measured, SetFacts("images", 100, "1" * 64, labelled=True))
    assert ("edgevision.quantization_aware(model, targets=[…])" in text) == advised


@pytest.mark.convert
@pytest.mark.filterwarnings(KERAS_WARNING)
def test_a_conversion_without_calibration_takes_the_ranges_and_says_so(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    pytest.importorskip("tensorflow", reason="needs the extra `convert`")
    layers = keras.layers
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = rng.integers(0, 90, (120, 12, 12, 3)).astype(np.uint8)
    pixels[np.arange(120), :, :, labels] += 120
    keras.utils.set_random_seed(1)
    network = keras.Sequential(
        [
            keras.Input((12, 12, 3), name="image"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model = edgevision.quantization_aware(network, ["raspberry-pi-5"])
    model.compile(
        keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", run_eagerly=True, jit_compile=False
    )
    model.fit(pixels.astype(np.float32), labels, batch_size=20, epochs=4, verbose=0)
    model.save(tmp_path / "int8.keras")
    images = ImageSet.from_arrays(pixels, labels, ("a", "b", "c"), name="images")
    evidence = edgevision.convert(
        tmp_path / "int8.keras",
        tmp_path / "new.evb",
        targets=["raspberry-pi-5"],
        evaluation=images,
        settings=edgevision.ConversionSettings(source_limits=None, accept_not_shown=True),
    )
    (result,) = evidence.results
    assert (result.artifact, evidence.calibration) == ("tflite-int8", None)
    assert result.quantization is not None
    assert result.quantization.range_rule == FROM_TRAINING
    assert "ranges: from training" in list(result.quantization.notes)
    assert result.comparison.agreement > 0.98
    with edgevision.load_classifier(tmp_path / "new.evb", backend="tflite") as classifier:
        assert classifier(pixels[1]).top(1)[0].label == "b"
    with pytest.raises(MissingOptionError, match="calibration"):
        edgevision.convert(
            tmp_path / "int8.keras",
            tmp_path / "other.evb",
            targets=["raspberry-pi-5"],
            precisions=["int16x8"],
            evaluation=images,
            settings=edgevision.ConversionSettings(source_limits=None),
        )
