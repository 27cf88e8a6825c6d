"""Trials of candidates: the search runs them on real runtimes until one is inside the budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import AgreementError, IncompleteConversionError, NotShownError, OptionError
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Evidence
from edgevision.evidence.requirements import Budget
from edgevision.loading.load import load
from edgevision.tasks.options import TaskOptions

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 with numpy 2 warns of its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def digits(quickstart: Path) -> Path:
    return quickstart / "quickstart"


def _converted(digits: Path, bundle: Path, max_drop: float | None, **more: Any) -> Evidence:
    return convert(
        digits / "digits.keras",
        bundle,
        targets=["raspberry-pi-5", "intel-cpu"],
        calibration=ImageSet.open(digits / "training").sample(100),
        evaluation=digits / "evaluation",
        settings=ConversionSettings(budget=Budget(max_drop)),
        **more,
    )


@pytest.mark.usefixtures("speeds")
def test_with_a_calibration_set_the_cheapest_inside_the_budget_is_chosen(
    digits: Path, tmp_path: Path
) -> None:
    evidence = _converted(digits, tmp_path / "digits.evb", max_drop=3.0)
    assert [result.artifact for result in evidence.results] == ["tflite-int8", "openvino-int8"]
    for result in evidence.results:
        (requirement,) = result.requirements
        assert requirement.what == "drop in accuracy"
        metric = result.comparison.metric("accuracy")
        assert requirement.measured == metric.drop
        assert metric.drop_interval.high < requirement.bound <= requirement.limit
        assert requirement.passed
    tried = [attempt.artifact for attempt in evidence.attempts]
    assert tried == ["tflite-int8", "openvino-int8", "openvino-float32"]
    (note,) = (note for note in evidence.notes if "speed" in note)
    assert note.startswith("the speed of candidates for raspberry-pi-5 was not judged: this machine (")
    bundle = read_bundle(tmp_path / "digits.evb")
    assert read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence") == evidence


def test_a_set_that_is_too_small_for_the_budget_is_refused_before_any_conversion(
    digits: Path, tmp_path: Path
) -> None:
    stages: list[str] = []
    with pytest.raises(
        NotShownError,
        match=r"597 images cannot show that the drop in accuracy is at most 0\.10 percentage points: even "
        r"for an artifact identical to the source, .*; pass --evaluation with at least 4[34]\d\d images",
    ):
        _converted(
            digits, tmp_path / "digits.evb", max_drop=0.1, progress=lambda stage, *_: stages.append(stage)
        )
    assert not any(stage.startswith("converting") for stage in stages)
    assert not (tmp_path / "digits.evb").exists()


def test_auto_stands_alone(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'auto' chooses the precision itself; remove int8"):
        _converted(digits, tmp_path / "digits.evb", None, precisions=["auto", "int8"])


@pytest.mark.usefixtures("speeds")
def test_without_a_calibration_set_the_search_tries_precisions_that_need_none(
    digits: Path, tmp_path: Path
) -> None:
    evidence = convert(
        digits / "digits.keras",
        tmp_path / "digits.evb",
        targets=["raspberry-pi-5", "intel-cpu"],
        evaluation=digits / "evaluation",
        precisions=["auto"],
        settings=ConversionSettings(budget=Budget(2.0)),
    )
    assert [result.artifact for result in evidence.results] == ["tflite-int8-dynamic", "openvino-float16"]
    assert evidence.calibration is None


#: Eight bits cannot represent small values beside large ones: the small values of `both` are lost.
_LARGE = 400.0


@pytest.fixture(scope="module")
def cancelling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that depends on the small difference of two large numbers."""
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    image = keras.Input((8, 8, 3), name="image")
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    both = keras.layers.Dense(2, name="both", activation="relu", use_bias=False)(mean)
    x = keras.layers.Dense(2, name="difference", activation="relu", use_bias=False)(both)
    for number in range(5):
        x = keras.layers.Dense(2, name=f"passing_{number}", use_bias=False)(x)
    model = keras.Model(image, x)
    large_and_small = np.array([[_LARGE, _LARGE], [4, 0], [0, 4]], np.float32)
    difference = np.array([[1, -1], [-1, 1]], np.float32)
    model.set_weights([large_and_small, difference, *[np.eye(2, dtype=np.float32)] * 5])
    target = tmp_path_factory.mktemp("cancelling") / "cancelling.keras"
    model.save(target)
    return target


def _tints(count: int, seed: int) -> ImageSet:
    """Images of one color; the class is whether green or blue is stronger."""
    colors = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 3)).astype(np.uint8)
    labels = (colors[:, 0, 0, 1] > colors[:, 0, 0, 2]).astype(int)
    images = np.broadcast_to(colors, (count, 8, 8, 3))
    return ImageSet.from_arrays(list(images), 1 - labels, ["green", "blue"])


@pytest.mark.usefixtures("speeds")
def test_if_int8_misses_layers_stay_in_float_until_the_budget_is_met(
    cancelling: Path, tmp_path: Path
) -> None:
    evidence = convert(
        cancelling,
        tmp_path / "model.evb",
        targets=["generic-cpu", "intel-cpu", "onnx-cpu"],
        calibration=_tints(64, 0),
        evaluation=_tints(1500, 1),
        settings=ConversionSettings(budget=Budget(2.0), task=TaskOptions(score_kind="logits")),
    )
    attempts = {attempt.artifact: attempt for attempt in evidence.attempts}
    for result, fmt in zip(evidence.results, ("tflite", "openvino", "onnx"), strict=True):
        assert result.passed
        assert not all(requirement.passed for requirement in attempts[f"{fmt}-int8"].requirements), (
            "int8 alone misses the budget"
        )
        assert result.artifact != f"{fmt}-int8"
        ranked = [layer for layer, _ in evidence.sensitivities[fmt]]
        assert result.float_layers == tuple(ranked[: len(result.float_layers)])
    assert {result.artifact.partition("-")[2] for result in evidence.results} == {"int8-mixed-2"}
    for backend in ("tflite", "openvino", "onnx"):
        load(tmp_path / "model.evb", backend=backend, selftest="always").close()


def test_if_nothing_meets_the_budget_the_nearest_is_reported_and_nothing_written(
    cancelling: Path, tmp_path: Path
) -> None:
    with pytest.raises(AgreementError, match=r"the drop in accuracy on \d+ images is \d") as caught:
        convert(
            cancelling,
            tmp_path / "model.evb",
            targets=["coral-edgetpu"],
            calibration=_tints(64, 0),
            evaluation=_tints(1500, 1),
            settings=ConversionSettings(budget=Budget(2.0), task=TaskOptions(score_kind="logits")),
        )
    evidence = caught.value.evidence
    assert isinstance(evidence, Evidence)
    assert [attempt.artifact for attempt in evidence.attempts] == ["tflite-int8-full-integer"]
    assert list(tmp_path.iterdir()) == []


def test_an_integer_only_device_needs_a_calibration_set(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="coral-edgetpu runs only artifacts that need a calibration set"):
        convert(
            digits / "digits.keras",
            tmp_path / "digits.evb",
            targets=["coral-edgetpu"],
            evaluation=digits / "evaluation",
            precisions=["auto"],
        )


@pytest.mark.usefixtures("speeds")
def test_each_target_has_its_own_limits(digits: Path, tmp_path: Path) -> None:
    profiles = tmp_path / "mine.toml"
    profiles.write_text(
        '[tiny]\ndescription = "a tiny device"\nbackend = "tflite"\nformat = "tflite"\n'
        'precisions = ["int8", "float32"]\n[tiny.limits]\nmax_size_mb = 0.1\n'
        '[roomy]\ndescription = "a roomy one"\nbackend = "tflite"\nformat = "tflite"\n'
        'precisions = ["int8", "float32"]\n'
    )
    settings = ConversionSettings(targets_files=(profiles,))
    sets = {
        "calibration": ImageSet.open(digits / "training").sample(50),
        "evaluation": ImageSet.open(digits / "evaluation").sample(400),
    }
    roomy = convert(
        digits / "digits.keras", tmp_path / "roomy.evb", targets=["roomy"], settings=settings, **sets
    )
    assert [one.artifact for one in roomy.results] == ["tflite-int8"]
    assert roomy.results[0].passed
    for names in (["tiny", "roomy"], ["roomy", "tiny"]):
        with pytest.raises(AgreementError, match=r"tflite-int8: size is .* \(its target allows 0.1 MB\)"):
            convert(
                digits / "digits.keras",
                tmp_path / "both.evb",
                targets=names,
                precisions=["int8"],
                settings=settings,
                **sets,
            )
    integer_only = profiles.read_text().replace(
        'precisions = ["int8", "float32"]', 'precisions = ["int8"]', 1
    )
    profiles.write_text(integer_only)
    with pytest.raises(IncompleteConversionError) as raised:
        convert(
            digits / "digits.keras",
            tmp_path / "both.evb",
            targets=["tiny", "roomy"],
            settings=settings,
            **sets,
        )
    (missing,) = raised.value.evidence.missing
    assert (missing.artifact, missing.targets) == ("tflite-int8-full-integer", ("tiny",))


def test_what_a_search_chooses_is_not_slower_than_float32_by_its_own_evidence(
    cancelling: Path, tmp_path: Path
) -> None:
    evidence = convert(
        cancelling,
        tmp_path / "model.evb",
        targets=["onnx-cpu"],
        calibration=_tints(32, 0),
        evaluation=_tints(50, 1),
        settings=ConversionSettings(budget=Budget(min_agreement=0.0), task=TaskOptions(score_kind="logits")),
    )
    tried = {attempt.artifact: attempt for attempt in evidence.attempts}
    int8, float32 = tried["onnx-int8"], tried["onnx-float32"]
    assert int8.cpu_ms is not None
    assert float32.cpu_ms is not None
    (result,) = evidence.results
    if result.artifact == "onnx-int8":
        assert int8.cpu_ms < 1.25 * float32.cpu_ms
    else:
        assert result.artifact == "onnx-float32"
        assert "times the time of onnx-float32 on this machine" in int8.slower
