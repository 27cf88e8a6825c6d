"""An operating point and a temperature from a conversion to the device, on handwritten digits."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import edgevision
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import AgreementError, ConversionError
from edgevision.evaluation.open_model import RunSettings
from edgevision.evidence.document import read_evidence
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.records import Evidence

pytestmark = pytest.mark.convert

SENSITIVITY = OperatingPointSpecification("3", "sensitivity", 0.8)


@pytest.fixture(scope="module")
def digits(quickstart: Path) -> Path:
    return quickstart / "quickstart"


@pytest.fixture(scope="module")
def halves(digits: Path) -> tuple[ImageSet, ImageSet]:
    """Images that the network was not trained on: to calibrate and to evaluate on."""
    images = ImageSet.open(digits / "evaluation")
    return images.at(range(0, len(images), 2)), images.at(range(1, len(images), 2))


@pytest.fixture(scope="module")
def bundle(digits: Path, halves: tuple[ImageSet, ImageSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("operating") / "digits.evb"
    calibration, evaluation = halves
    convert(
        digits / "digits.keras",
        path,
        targets=["raspberry-pi-5", "intel-cpu"],
        calibration=calibration,
        evaluation=evaluation,
        precisions=["int8"],
        settings=ConversionSettings(operating_point=SENSITIVITY, calibrate_scores=True),
    )
    return path


@pytest.fixture(scope="module")
def evidence(bundle: Path) -> Evidence:
    opened = read_bundle(bundle)
    return read_evidence(opened.read(opened.manifest.evidence).decode(), "evidence")


def test_each_artifact_has_a_temperature_and_a_threshold_of_its_own(bundle: Path, evidence: Evidence) -> None:
    entries = read_bundle(bundle).manifest.artifacts
    calibrations = [entry.score_calibration for entry in entries]
    assert len(calibrations) == 2
    for calibration, result in zip(calibrations, evidence.results, strict=True):
        assert calibration.operating_point.threshold == result.operating_point.point.threshold
        assert calibration.temperature == result.temperature.artifact.temperature
        assert (calibration.operating_point.positive, calibration.operating_point.class_id) == ("3", 3)
    assert calibrations[0] != calibrations[1]


@pytest.mark.parametrize("name", ["manifest", "evidence"])
def test_the_documents_match_their_schemas(bundle: Path, name: str) -> None:
    schema = json.loads(files("edgevision.schemas").joinpath(f"{name}.schema.json").read_text())
    jsonschema.validate(json.loads((bundle / f"{name}.json").read_text()), schema)


@pytest.mark.parametrize("place", [0, 1], ids=["tflite", "openvino"])
def test_decisions_on_the_device_match_the_evidence(
    bundle: Path, evidence: Evidence, halves, place: int
) -> None:
    result = evidence.results[place]
    with edgevision.load(bundle, result.backend) as model:
        decided = [np.array([one.positive for one in model(list(half))]) for half in halves]
    point = result.operating_point.point
    for half, metrics, taken in zip(halves, (point.calibration, point.evaluation), decided, strict=True):
        threes = half.labels == 3
        assert metrics[0].artifact == pytest.approx(taken[threes].mean())
        assert metrics[1].artifact == pytest.approx(1 - taken[~threes].mean())
        assert metrics[2].artifact == pytest.approx((half.labels[taken] == 3).mean())
    assert point.calibration[0].artifact >= 0.8


def test_a_later_evaluation_matches_the_evidence(bundle: Path, evidence: Evidence, halves) -> None:
    on = RunSettings(evidence.results[0].backend)
    evaluation = edgevision.evaluate(bundle, halves[1], on)
    point, temperature = evidence.results[0].operating_point.point, evidence.results[0].temperature
    for metric in point.evaluation:
        assert evaluation.metric(f"{metric.name} for '3'").value == pytest.approx(metric.artifact)
    assert evaluation.measures.reliability.ece == pytest.approx(
        temperature.artifact.after.reliability.ece, abs=1e-4
    )


def test_the_evidence_has_both_curves_and_the_requirement(evidence: Evidence) -> None:
    for result in evidence.results:
        requirement = result.requirements[-1]
        assert (requirement.what, requirement.limit, requirement.at_least) == (
            "sensitivity for '3'",
            0.8,
            True,
        )
        point = result.operating_point
        assert requirement.status == "passed"
        assert requirement.bound == point.lower_limits[1] < requirement.measured
        assert point.confidence == 0.95
        # The guarantee moves the threshold down from the one with 80 % of the calibration images.
        for guaranteed, empirical in (
            (point.point, point.empirical_point),
            (point.source_point, point.source_empirical_point),
        ):
            assert guaranteed.threshold <= empirical.threshold
            assert empirical.calibration[0].artifact >= 0.8
        for curve in (result.operating_point.source_curve, result.operating_point.artifact_curve):
            assert curve.area > 0.99
            assert (curve.sensitivity[-1], curve.specificity[-1]) == (1.0, 0.0)


def test_commands_show_the_decision_and_the_operating_point(
    bundle: Path, digits: Path, edgevision_command
) -> None:
    image = next((digits / "evaluation" / "3").iterdir())
    predicted = edgevision_command("predict", bundle, image).stdout
    assert "  [3: yes, " in predicted
    document = json.loads(edgevision_command("predict", bundle, image, "--json").stdout)
    assert document["operating_point"]["positive"] is True
    inspected = edgevision_command("inspect", bundle).stdout
    assert "scores of tflite-int8: temperature " in inspected
    assert "; '3' at a score of " in inspected
    assert "operating point of '3': sensitivity of at least 80.00 % with a confidence of 95 %" in inspected
    assert "the guarantee costs " in inspected
    assert "source: its own threshold is " in inspected
    assert "of a perfectly calibrated model, after" in inspected
    assert "decoder and preprocessing, against quantization" in inspected
    assert "calibrated scores, before and after" in inspected


def test_nothing_is_written_if_the_evaluation_images_rule_the_requirement_out(
    digits: Path, tmp_path: Path
) -> None:
    """Half of what the evaluation set calls a 3 is an 8."""
    images = ImageSet.open(digits / "evaluation")
    labels = images.labels.copy()
    labels[labels == 8] = 3
    wrong = ImageSet.from_arrays(list(images), labels, images.class_names)
    with pytest.raises(AgreementError, match=r"sensitivity for '3'.* \(required: 80.00 %\)") as raised:
        convert(
            digits / "digits.keras",
            tmp_path / "digits.evb",
            targets=["generic-cpu"],
            calibration=ImageSet.open(digits / "training"),
            evaluation=wrong,
            precisions=["float32"],
            settings=ConversionSettings(operating_point=SENSITIVITY),
        )
    assert raised.value.evidence.results[0].operating_point is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"operating_point": OperatingPointSpecification("3", "precision", 0.8)},
            "no threshold on the score of '3' is shown to keep a precision of 80.00 %",
        ),
        ({"calibrate_scores": True}, "no temperature from 0.05 to 20 calibrates the scores"),
    ],
)
def test_a_requirement_that_the_source_cannot_meet_is_refused_before_any_conversion(
    digits: Path, tmp_path: Path, settings, message: str
) -> None:
    """Labels drawn at random cannot be predicted."""
    images = ImageSet.open(digits / "training").sample(300)
    lot = np.random.default_rng(0).integers(0, 10, len(images))
    stages: list[str] = []
    with pytest.raises(ConversionError, match=f"the source: {message}"):
        convert(
            digits / "digits.keras",
            tmp_path / "digits.evb",
            targets=["generic-cpu"],
            calibration=ImageSet.from_arrays(list(images), lot, images.class_names),
            evaluation=digits / "evaluation",
            precisions=["float32"],
            settings=ConversionSettings(**settings),
            progress=lambda stage, *_: stages.append(stage),
        )
    assert not any(stage.startswith("converting") for stage in stages)


def test_too_few_evaluation_images_show_nothing_and_the_exit_code_says_so(
    quickstart: Path, edgevision_command
) -> None:
    """53 images of a class cannot show 95 %, however they are predicted: 59 of 59 would (Wilks)."""
    words = (
        *("convert", "quickstart/digits.keras", "--target", "generic-cpu", "--precision", "float32"),
        *("--calibration", "quickstart/training", "--calibration-samples", "1200"),
        *("--evaluation", "quickstart/evaluation", "-o", "unshown.evb"),
        *("--positive", "3", "--at-sensitivity", "0.95"),
    )
    done = edgevision_command(*words, cwd=quickstart)
    assert done.returncode == 13, done.stderr
    assert "which do not show the required 95.00 %: its lower 95 % limit is" in done.stdout
    assert not (quickstart / "unshown.evb").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--positive", "3"], "no requirement for its threshold; pass --at-sensitivity 0.95"),
        (["--at-precision", "0.9"], "--at-precision 0.9: no class of interest; pass --positive CLASS"),
        (
            ["--positive", "3", "--at-precision", "0.9", "--at-sensitivity", "0.9"],
            "--at-sensitivity and --at-precision: one threshold can meet only one requirement",
        ),
        (["--positive", "3", "--at-specificity", "1"], "is not in the range 0<x<1"),
        (["--confidence", "0.9"], "--confidence 0.9: there is no operating point; pass --positive CLASS and"),
        (["--on-average"], "--on-average: there is no operating point; pass --positive CLASS and"),
        (
            ["--positive", "3", "--at-sensitivity", "0.9", "--confidence", "0.9", "--on-average"],
            "--confidence 0.9 and --on-average: a threshold has one guarantee; remove one of them",
        ),
        (
            ["--positive", "3", "--at-precision", "0.9", "--on-average"],
            "precision: is no mean over images, so it cannot be kept on average",
        ),
        (
            ["--positive", "3", "--at-sensitivity", "0.9", "--confidence", "0.3"],
            "is not in the range 0.5<=x<1",
        ),
        (
            ["--positive", "3", "--at-specificity", "0.9"],
            "pass --calibration FOLDER, with one folder per class",
        ),
        (
            ["--positive", "drei", "--at-specificity", "0.9", "--calibration", "quickstart/training"],
            "class 'drei' is not in the label list (0, 1, 2",
        ),
    ],
)
def test_contradictory_or_incomplete_options_exit_with_code_2(
    quickstart: Path, edgevision_command, words: list[str], message: str
) -> None:
    result = edgevision_command(
        *("convert", "quickstart/digits.keras", "--target", "generic-cpu", "--precision", "float32"),
        *("--evaluation", "quickstart/evaluation", "-o", "other.evb", *words),
        cwd=quickstart,
    )
    assert result.returncode == 2, result.stderr
    assert message in " ".join(result.stderr.split())
    assert not (quickstart / "other.evb").exists()
