"""What can be wished for a classifier's scores, and what is refused before any long work."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.conversion_sets import open_sets
from edgevision.conversion_settings import ConversionSettings
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.classify_proof import ClassifyProof
from edgevision.evaluation.image_sets import ImageSet
from edgevision.evaluation.operating_points import OperatingDemand
from edgevision.evaluation.proofs import TaskOptions
from edgevision.evaluation.score_readings import wished
from edgevision.evaluation.seeded_proof import SeededProof
from edgevision.preprocess import Preprocessing
from edgevision.tasks.description import ClassifyTask, GenerateTask
from edgevision.tasks.generate_settings import LatentSettings

LABELS = ("cat", "dog", "horse")
SENSITIVITY = OperatingDemand("dog", "sensitivity", 0.9)
GENERATE = GenerateTask("latent", "image", (0.0, 1.0), "rgb", LatentSettings("z", "normal", None))


def _images(classes: list[int] | None, seed: int = 0) -> ImageSet:
    count = 40 if classes is None else len(classes)
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return ImageSet.from_arrays(pixels, classes, LABELS if classes else None)


def _proof(classes: list[int] | None = None) -> ClassifyProof:
    truth = None if classes is None else np.array(classes)
    return ClassifyProof(ClassifyTask("scores", "softmax"), LABELS, Preprocessing((8, 8), (0.0, 1.0)), truth)


def test_the_truth_of_both_sets_is_known_in_the_order_of_the_labels() -> None:
    calibration = ImageSet.from_arrays(list(_images([0] * 20)), [0] * 11 + [1] * 9, ("horse", "dog"))
    found = wished(SENSITIVITY, False, _proof([0, 1, 2]), calibration)
    assert found.class_id == 1
    assert [one.sum() for one in found.positives] == [9, 1]
    assert found.truth[0].sum(axis=0).tolist() == [0, 9, 11]


@pytest.mark.parametrize(
    ("demand", "calibration", "evaluation", "message"),
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
            OperatingDemand("dog", "specificity", 0.95),
            [1] * 40 + [0] * 18,
            [0, 1],
            "18 images of other classes than 'dog' cannot show a specificity of 95.00 %; calibrate on 19",
        ),
    ],
)
def test_sets_that_cannot_tell_are_refused(demand, calibration, evaluation, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wished(demand, demand is None, _proof(evaluation), _images(calibration))


def test_a_class_that_there_is_not_is_refused_with_the_nearest() -> None:
    demand = OperatingDemand("hors", "precision", 0.9)
    with pytest.raises(
        OptionError, match="no class 'hors'; did you mean 'horse'. there are: cat, dog, horse"
    ):
        wished(demand, False, _proof([0, 1]), _images([0, 1] * 20))


@pytest.mark.parametrize(
    ("demand", "option"), [(SENSITIVITY, "--at-sensitivity 0.9"), (None, "--calibrate-sc")]
)
def test_a_network_that_does_not_classify_is_refused(demand, option: str) -> None:
    proof = SeededProof(GENERATE, (), ())
    with pytest.raises(OptionError, match=f"{option}.* is for classifiers, and this network makes images"):
        wished(demand, demand is None, proof, _images([0, 1] * 20))


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
