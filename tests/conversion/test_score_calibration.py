"""What can be wished for a classifier's scores, and what is refused before any long work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.conversion.candidates import Candidate
from edgevision.conversion.plan import MeasurementBackend, PlannedArtifact
from edgevision.conversion.score_calibration import ScoreCalibrator, Wished, wished
from edgevision.conversion.sets import open_sets
from edgevision.conversion.settings import ConversionSettings
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.generation import GenerationEvaluator
from edgevision.evidence.operating_points import OperatingPointSpecification
from edgevision.evidence.records import Measured
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.classify import Classifier
from edgevision.tasks.description import ClassifyTask, GenerateTask
from edgevision.tasks.generation.settings import LatentSettings
from edgevision.tasks.options import TaskOptions

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


def test_the_truth_of_both_sets_is_known_in_the_order_of_the_labels() -> None:
    calibration = ImageSet.from_arrays(list(_images([0] * 20)), [0] * 11 + [1] * 9, ("horse", "dog"))
    found = wished(SENSITIVITY, False, _evaluator([0, 1, 2]), calibration)
    assert found.class_id == 1
    assert [one.sum() for one in found.positives] == [9, 1]
    assert found.truth[0].sum(axis=0).tolist() == [0, 9, 11]


@pytest.mark.parametrize(
    ("specification", "calibration", "evaluation", "message"),
    [
        (
            SENSITIVITY,
            None,
            [0, 1],
            "--at-sensitivity 0.9: nothing tells the classes of the calibration images",
        ),
        (
            SENSITIVITY,
            [0] * 9 + [1] * 9,
            None,
            "nothing tells the classes of the evaluation images; sort them",
        ),
        (None, None, [0, 1], "--calibrate-scores: nothing tells the classes of the calibration images"),
        (SENSITIVITY, [0, 2] * 20, [0, 1], "arrays: has no image of class 'dog', so nothing tells a sensit"),
        (SENSITIVITY, [0, 1] * 20, [0, 2], "the evaluation set: has no image of class 'dog'"),
        (SENSITIVITY, [0, 1] * 20, [1, 1], "the evaluation set: has no other class than 'dog'"),
        (
            SENSITIVITY,
            [1] * 8 + [0] * 40,
            [0, 1],
            "8 images of class 'dog' cannot show .* on 9 of them or more",
        ),
        (
            OperatingPointSpecification("dog", "specificity", 0.95),
            [1] * 40 + [0] * 18,
            [0, 1],
            "18 images of other classes than 'dog' cannot show a specificity of 95.00 %; calibrate on 19",
        ),
    ],
)
def test_sets_that_cannot_tell_are_refused(specification, calibration, evaluation, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wished(specification, specification is None, _evaluator(evaluation), _images(calibration))


def test_a_class_that_there_is_not_is_refused_with_the_nearest() -> None:
    specification = OperatingPointSpecification("hors", "precision", 0.9)
    with pytest.raises(
        OptionError,
        match=r"class 'hors' is not in the label list \(cat, dog, horse.*\); did you mean 'horse'\?",
    ):
        wished(specification, False, _evaluator([0, 1]), _images([0, 1] * 20))


@pytest.mark.parametrize(
    ("specification", "option"), [(SENSITIVITY, "--at-sensitivity 0.9"), (None, "--calibrate-sc")]
)
def test_a_network_that_does_not_classify_is_refused(specification, option: str) -> None:
    evaluator = GenerationEvaluator(GENERATE, (), ())
    with pytest.raises(OptionError, match=f"{option}.* is for classifiers, and this network makes images"):
        wished(specification, specification is None, evaluator, _images([0, 1] * 20))


@pytest.mark.parametrize("calibration", [None, "synthetic"])
def test_images_whose_classes_are_known_must_be_given(calibration) -> None:
    for settings in (
        ConversionSettings(operating_point=SENSITIVITY),
        ConversionSettings(calibrate_scores=True),
    ):
        with pytest.raises(
            OptionError, match="images of yours whose classes are known.*--calibration FOLDER"
        ):
            open_sets(_images([0, 1] * 20), calibration, (), settings)


def test_a_network_that_makes_images_of_seeds_is_refused_before_it_is_read() -> None:
    settings = ConversionSettings(TaskOptions(generation=GENERATE), calibrate_scores=True)
    with pytest.raises(OptionError, match="--calibrate-scores: is for classifiers"):
        open_sets(None, None, (), settings)


def test_a_calibration_set_is_opened_though_no_artifact_needs_it() -> None:
    calibration = _images([0, 1] * 40, seed=1)
    sets = open_sets(_images([0, 1] * 40), calibration, (), ConversionSettings(operating_point=SENSITIVITY))
    assert sets.calibration is not None
    assert open_sets(_images([0, 1] * 40), calibration, (), ConversionSettings()).calibration is None


@pytest.mark.parametrize("name", ["tiny", "tiny_int8"])
def test_independent_scores_of_an_artifact_are_read_as_the_evidence_says(name: str) -> None:
    """The truth is drawn at a temperature of 0.4 from the scores of the very network that is the source."""
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
    wish = Wished(
        specification,
        True,
        evaluator,
        calibration,
        (truth[sides[0]], truth[sides[1]]),
        labels.index(specification.positive),
    )

    source = evaluator.model(_candidate("tiny").session)
    readings = ScoreCalibrator(wish, source, list(scores[sides[1]]), lambda _: None)
    plain = evaluator.model(candidate.session).scores(pixels[sides[1]])
    ((read, measured),) = readings.read(
        [candidate], [list(plain)], [_measured(evaluator, plain)], lambda _: None
    )

    assert measured.temperature.source.temperature == pytest.approx(0.4, rel=0.2)
    assert measured.temperature.artifact.after.nll < measured.temperature.artifact.before.nll
    with Classifier(candidate.session, how, labels, "sigmoid", "scores", read.score_calibration) as model:
        decided = np.array([one.positive for one in model(list(pixels[sides[1]]))])
    sensitivity, specificity, _ = measured.operating_point.point.evaluation
    positive = truth[sides[1]][:, wish.class_id]
    assert sensitivity.artifact == pytest.approx(decided[positive].mean())
    assert specificity.artifact == pytest.approx(1 - decided[~positive].mean())
    assert measured.requirements[-1].what == f"sensitivity for '{specification.positive}' (upper 95 % limit)"


def _candidate(name: str) -> Candidate:
    backend, settings = registry().backend("tflite"), SessionSettings()
    artifact = read_artifact(DATA / f"{name}.tflite")
    session = open_session(backend, artifact, settings)
    return Candidate(
        PlannedArtifact("tflite", "int8", ()), artifact, MeasurementBackend(backend, settings, True), session
    )


def _measured(evaluator: ClassificationEvaluator, scores: np.ndarray) -> Measured:
    comparison = evaluator.compare(list(scores), list(scores))
    return Measured("tflite-int8", "0" * 64, 1, "tflite", "", "cpu", "int8", True, comparison, ())
