"""Score calibration: the requests that are refused before any long work, and the results of the others."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.cli.output.evidence import echo_evidence
from edgevision.conversion.candidates import Candidate, Trial
from edgevision.conversion.plan import MeasurementBackend, PlannedArtifact
from edgevision.conversion.reference import Reference
from edgevision.conversion.score_calibration import (
    ScoreCalibrationRequest,
    ScoreCalibrator,
    score_calibration_request,
)
from edgevision.conversion.sets import ConversionSets, open_sets
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.generation import GenerationEvaluator
from edgevision.evaluation.run import Images
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.prediction_sets import PredictionSetSpecification
from edgevision.evidence.records import Measured
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.classification import members
from edgevision.plugins import registry
from edgevision.reporting.report import write_report
from edgevision.session import open_session
from edgevision.tasks.classify import Classifier
from edgevision.tasks.description import ClassifyTask, GenerateTask
from edgevision.tasks.generation_settings import LatentSettings
from edgevision.tasks.options import TaskOptions
from measured_artifacts import measured_artifact
from reporting.report_bundle import evidence_of, write_report_bundle

DATA = Path(__file__).parents[1] / "data"
LABELS = ("cat", "dog", "horse")
SENSITIVITY = OperatingPointSpecification("dog", "sensitivity", 0.9)
GENERATE = GenerateTask("latent", "image", (0.0, 1.0), "rgb", LatentSettings("z", "normal", None))


def _images(classes: list[int] | None, seed: int = 0) -> ImageSet:
    count = 40 if classes is None else len(classes)
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return ImageSet.from_arrays(pixels, classes, LABELS if classes else None)


def _evaluator(classes: list[int] | None = None) -> ClassificationEvaluator:
    truth = None if classes is None else np.array(classes)
    return ClassificationEvaluator(
        ClassifyTask("scores", "softmax"), LABELS, Preprocessing((8, 8), (0.0, 1.0)), truth
    )


def _request(
    specification: OperatingPointSpecification | None, evaluator: Evaluator, calibration: ImageSet
) -> ScoreCalibrationRequest:
    """The request for a threshold, or without a specification for temperatures."""
    settings = ConversionSettings(operating_point=specification, calibrate_scores=specification is None)
    return score_calibration_request(settings, evaluator, calibration)


def _open_sets(
    settings: ConversionSettings, evaluation: Images | None, calibration: Images | None
) -> ConversionSets:
    request = ConversionRequest(
        Path("model.keras"), Path("model.evb"), ("generic-cpu",), (), evaluation, calibration, settings
    )
    return open_sets(request, ())


def test_the_classes_of_both_sets_are_in_the_order_of_the_labels() -> None:
    calibration = ImageSet.from_arrays(list(_images([0] * 40)), [0] * 11 + [1] * 29, ("horse", "dog"))
    request = _request(SENSITIVITY, _evaluator([0, 1, 2]), calibration)
    assert request.class_id == 1
    assert [positive.sum() for positive in request.positives] == [29, 1]
    assert request.calibration_truth.sum(axis=0).tolist() == [0, 29, 11]


@pytest.mark.parametrize(
    ("specification", "calibration", "evaluation", "message"),
    [
        (
            SENSITIVITY,
            None,
            [0, 1],
            "--at-sensitivity 0.9: the classes of the calibration images are unknown",
        ),
        (
            SENSITIVITY,
            [0] * 9 + [1] * 29,
            None,
            "the classes of the evaluation images are unknown; sort them into one folder per class",
        ),
        (None, None, [0, 1], "--calibrate-scores: the classes of the calibration images are unknown"),
        (SENSITIVITY, [0, 2] * 30, [0, 1], "arrays: has no image of class 'dog', so its sensitivity cannot"),
        (SENSITIVITY, [0, 1] * 30, [0, 2], "the evaluation set: has no image of class 'dog'"),
        (SENSITIVITY, [0, 1] * 30, [1, 1], "the evaluation set: has no class other than 'dog'"),
        (
            SENSITIVITY,
            [1] * 28 + [0] * 40,
            [0, 1],
            "28 images of class 'dog' cannot show a sensitivity of 90.00 % at a confidence of 0.95; "
            "calibrate on 29 of them or more .*, require less, or lower --confidence",
        ),
        (
            OperatingPointSpecification("dog", "sensitivity", 0.9, None),
            [1] * 8 + [0] * 40,
            [0, 1],
            "8 images of class 'dog' cannot show a sensitivity of 90.00 %; calibrate on 9 of them or more",
        ),
        (
            OperatingPointSpecification("dog", "specificity", 0.95),
            [1] * 40 + [0] * 58,
            [0, 1],
            "58 images of classes other than 'dog' cannot show a specificity of 95.00 % at .* on 59",
        ),
    ],
)
def test_sets_without_the_images_that_are_needed_are_refused(
    specification, calibration, evaluation, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _request(specification, _evaluator(evaluation), _images(calibration))


def test_an_unknown_class_is_refused_with_the_nearest() -> None:
    specification = OperatingPointSpecification("hors", "precision", 0.9)
    with pytest.raises(
        OptionError,
        match=r"class 'hors' is not in the label list \(cat, dog, horse.*\); did you mean 'horse'\?",
    ):
        _request(specification, _evaluator([0, 1]), _images([0, 1] * 20))


@pytest.mark.parametrize(
    ("specification", "option"), [(SENSITIVITY, "--at-sensitivity 0.9"), (None, "--calibrate-sc")]
)
def test_a_network_that_does_not_classify_is_refused(specification, option: str) -> None:
    evaluator = GenerationEvaluator(GENERATE, (), ())
    with pytest.raises(
        OptionError, match=f"{option}.* only for classifiers, and this model generates images"
    ):
        _request(specification, evaluator, _images([0, 1] * 20))


@pytest.mark.parametrize("calibration", [None, "synthetic"])
def test_labelled_calibration_images_are_required(calibration) -> None:
    for settings in (
        ConversionSettings(operating_point=SENSITIVITY),
        ConversionSettings(calibrate_scores=True),
    ):
        with pytest.raises(OptionError, match="labelled images of yours.*--calibration FOLDER"):
            _open_sets(settings, _images([0, 1] * 20), calibration)


def test_a_network_that_generates_images_from_seeds_is_refused_before_it_is_read() -> None:
    settings = ConversionSettings(TaskOptions(generation=GENERATE), calibrate_scores=True)
    with pytest.raises(OptionError, match="--calibrate-scores: only for classifiers"):
        _open_sets(settings, None, None)


def test_a_calibration_set_is_opened_though_no_artifact_needs_it() -> None:
    calibration = _images([0, 1] * 40, seed=1)
    evaluation = _images([0, 1] * 40)
    requested = ConversionSettings(operating_point=SENSITIVITY)
    assert _open_sets(requested, evaluation, calibration).calibration is not None
    assert _open_sets(ConversionSettings(), evaluation, calibration).calibration is None


@pytest.mark.parametrize("name", ["tiny", "tiny_int8"])
def test_independent_scores_of_an_artifact_are_calibrated_as_the_evidence_says(name: str) -> None:
    """The labels are drawn at a temperature of 0.4 from the scores of the network that is the source."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    task, how = ClassifyTask("scores", "sigmoid"), Preprocessing((8, 8), (0.0, 1.0))
    candidate, labels = _candidate(name), tuple("abcde")
    pixels = np.random.default_rng(0).integers(0, 256, (600, 1, 1, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    with Classifier(_candidate("tiny").session, how, labels, "sigmoid", "scores") as source:
        scores = source.scores(pixels)
    odds = (scores / (1 - scores)) ** (1 / 0.4)
    truth = np.random.default_rng(1).random(scores.shape) < odds / (1 + odds)
    sides = [slice(0, 300), slice(300, 600)]
    evaluator = ClassificationEvaluator(task, labels, how, truth[sides[1]])
    calibration = ImageSet.from_arrays(pixels[sides[0]])
    specification = OperatingPointSpecification(labels[int(truth.sum(axis=0).argmax())], "sensitivity", 0.9)
    request = ScoreCalibrationRequest(
        specification,
        True,
        evaluator,
        calibration,
        truth[sides[0]],
        truth[sides[1]],
        labels.index(specification.positive),
    )

    model = evaluator.model(_candidate("tiny").session)
    reference = Reference(None, model, evaluator, calibration, list(scores[sides[1]]))
    calibrator = ScoreCalibrator.fit_source(request, reference, lambda _: None)
    plain = evaluator.model(candidate.session).scores(pixels[sides[1]])
    (trial,) = calibrator.calibrate(
        [Trial(candidate, _measured(evaluator, plain), list(plain))], lambda _: None
    )
    measured, score_calibration = trial.measured, trial.candidate.score_calibration

    assert measured.temperature.source.temperature == pytest.approx(0.4, rel=0.2)
    assert measured.temperature.artifact.after.nll < measured.temperature.artifact.before.nll
    with Classifier(candidate.session, how, labels, "sigmoid", "scores", score_calibration) as model:
        decided = np.array([one.positive for one in model(list(pixels[sides[1]]))])
    sensitivity, specificity, _ = measured.operating_point.point.evaluation
    positive = truth[sides[1]][:, request.class_id]
    assert sensitivity.artifact == pytest.approx(decided[positive].mean())
    assert specificity.artifact == pytest.approx(1 - decided[~positive].mean())
    assert measured.requirements[-1].what == f"sensitivity for '{specification.positive}'"


@pytest.mark.parametrize("temperature", [False, True])
@pytest.mark.parametrize("method", ["lac", "raps"])
def test_prediction_sets_are_set_after_quantization_and_measured_on_other_images(
    method: str, temperature: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels are drawn from the scores of the network that is the source."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    task, how = ClassifyTask("scores", "softmax"), Preprocessing((8, 8), (0.0, 1.0))
    candidate, labels = _candidate("tiny_int8"), tuple("abcde")
    pixels = np.random.default_rng(0).integers(0, 256, (800, 1, 1, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    with Classifier(_candidate("tiny").session, how, labels, "softmax", "scores") as source:
        scores = source.scores(pixels)
    random = np.random.default_rng(1)
    truth = members(np.array([random.choice(5, p=row / row.sum()) for row in scores.astype(float)]), 5)
    sides = [slice(0, 500), slice(500, 800)]
    evaluator = ClassificationEvaluator(task, labels, how, truth[sides[1]])
    calibration = ImageSet.from_arrays(pixels[sides[0]])
    request = ScoreCalibrationRequest(
        *(None, temperature, evaluator, calibration, truth[sides[0]], truth[sides[1]]),
        prediction_sets=PredictionSetSpecification(0.8, method),
    )
    model = evaluator.model(_candidate("tiny").session)
    reference = Reference(None, model, evaluator, calibration, list(scores[sides[1]]))
    calibrator = ScoreCalibrator.fit_source(request, reference, lambda _: None)
    plain = evaluator.model(candidate.session).scores(pixels[sides[1]])
    (trial,) = calibrator.calibrate(
        [Trial(candidate, _measured(evaluator, plain), list(plain))], lambda _: None
    )
    rule, measured = trial.candidate.score_calibration.prediction_sets, trial.measured.prediction_sets
    assert measured.rule == rule
    assert rule.images == (250 if temperature else 500) * (8 if method == "raps" else 10) // 10
    assert rule.quantile != calibrator.source.sets.quantile  # int8 has its own
    with Classifier(
        *(candidate.session, how, labels, "softmax", "scores", trial.candidate.score_calibration)
    ) as model:
        sets = [found.prediction_set for found in model(list(pixels[sides[1]]))]
    inside = [labels[int(row.argmax())] in one for row, one in zip(truth[sides[1]], sets, strict=True)]
    assert measured.artifact.covered == sum(inside)
    assert measured.artifact.interval.high >= 0.8  # and more, where scores of int8 are equal

    evidence = evidence_of(trial.measured)
    document = evidence_json(evidence)
    assert read_evidence(document, "e").results[0].prediction_sets == measured
    schema = files("edgevision.schemas").joinpath("evidence.schema.json").read_text()
    jsonschema.validate(json.loads(document)["results"][0]["prediction_sets"], _part(schema))
    echo_evidence(evidence)
    assert f"prediction sets ({method.upper()}) with a coverage of 80.00 %" in capsys.readouterr().out
    write_report(write_report_bundle(tmp_path / "b.evb", evidence), tmp_path / "b.html")
    page = (tmp_path / "b.html").read_text()
    assert "Prediction sets" in page
    assert "coverage by class, the lowest first" in page


def _part(schema: str) -> dict[str, object]:
    """The schema of prediction sets alone."""
    return {"$ref": "#/$defs/prediction_sets", "$defs": json.loads(schema)["$defs"]}


def test_independent_scores_have_no_prediction_sets() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    how, labels = Preprocessing((8, 8), (0.0, 1.0)), tuple("abcde")
    truth = members(np.arange(40) % 5, 5)
    evaluator = ClassificationEvaluator(ClassifyTask("scores", "sigmoid"), labels, how, truth)
    request = ScoreCalibrationRequest(
        *(None, False, evaluator, _images(None), truth, truth),
        prediction_sets=PredictionSetSpecification(),
    )
    model = evaluator.model(_candidate("tiny").session)
    answers = list(model.scores(np.zeros((40, 8, 8, 3), np.uint8)))
    reference = Reference(None, model, evaluator, _images(None), answers)
    with pytest.raises(OptionError, match="--prediction-sets: the scores of this model are independent"):
        ScoreCalibrator.fit_source(request, reference, lambda _: None)


def test_an_image_without_a_single_class_has_no_prediction_set() -> None:
    settings = ConversionSettings(prediction_sets=PredictionSetSpecification())
    evaluator = _evaluator([0, 1, 2])
    evaluator.truth = np.array([[True, True, False]] * 3)
    calibration = ImageSet.from_arrays(list(_images([0] * 40)), [0] * 11 + [1] * 29, ("horse", "dog"))
    with pytest.raises(InputError, match="--prediction-sets: an image has no class or several"):
        score_calibration_request(settings, evaluator, calibration)


def _candidate(name: str) -> Candidate:
    backend, settings = registry().backend("tflite"), SessionSettings()
    artifact = read_artifact(DATA / f"{name}.tflite")
    session = open_session(backend, artifact, settings)
    return Candidate(
        PlannedArtifact("tflite", "int8", ()), artifact, MeasurementBackend(backend, settings, True), session
    )


def _measured(evaluator: ClassificationEvaluator, scores: np.ndarray) -> Measured:
    comparison = evaluator.compare(list(scores), list(scores))
    return measured_artifact(comparison)
