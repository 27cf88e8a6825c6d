"""The source on images as its training reads them: which images, and what is compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.converter import TrainingInputSource, TrainingResize
from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation import training_input
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.training_input import training_sample
from edgevision.evidence.training_input import TrainingInputEvidence
from edgevision.imaging.frame import Frame
from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.intervals import Interval
from edgevision.plugins import registry
from edgevision.tasks.description import ClassifyTask, DetectTask
from edgevision.tasks.detections import Detections

HOW = Preprocessing((4, 4), (0.0, 255.0))


class _Source:
    """A source whose training reads all images but PNG, 100 darker than a device."""

    training_input = "a library, version 1"

    def __init__(self) -> None:
        self.asked: list[TrainingResize] = []

    def training_pixels(self, data: bytes, resize: TrainingResize) -> Any:
        self.asked.append(resize)
        if data.startswith(b"\x89PNG"):
            return None
        width, height = resize.size_wh
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        pixels = cv2.resize(image, (width, height)).astype(np.float32) - 100
        return pixels[:, :, : resize.channels]


class _Brightness:
    """A model with two classes: dark and bright."""

    def scores(self, images: Any) -> np.ndarray:
        means = np.array([float(_pixels(image).mean()) / 255 for image in images])
        return np.stack([1 - means, means], axis=1).astype(np.float32)


def _pixels(image: Any) -> np.ndarray:
    return image.pixels if isinstance(image, Frame) else image


def _evaluator(truth: Any = None, how: Preprocessing = HOW) -> ClassificationEvaluator:
    return ClassificationEvaluator(ClassifyTask("scores", "softmax"), ("dark", "bright"), how, truth)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Six images between mid-grey and white in one folder per class, of which one is a PNG."""
    for place in range(6):
        folder = tmp_path / ("bright" if place % 2 else "dark")
        folder.mkdir(exist_ok=True)
        suffix = "png" if place == 5 else "jpg"
        cv2.imwrite(str(folder / f"{place}.{suffix}"), np.full((9, 7, 3), 140 + 20 * place, np.uint8))
    return ImageSet.open(tmp_path)


def test_a_stack_of_images_does_not_rule_out_the_files_after_it(images: ImageSet) -> None:
    pages = [np.full((9, 7, 3), level, np.uint8) for level in (140, 200)]
    assert cv2.imwritemulti(str(Path(images.name) / "bright" / "0.tiff"), pages)
    mixed = ImageSet.open(images.name)
    sample = training_sample(_Source(), _evaluator(mixed.labels), mixed)
    assert mixed.image_names[0] == "bright/0.tiff#0"
    assert sample is not None
    assert len(sample.places) == 8


def test_the_same_images_are_compared_and_the_others_are_counted(images: ImageSet) -> None:
    source, model = _Source(), _Brightness()
    assert isinstance(source, TrainingInputSource)
    evaluator = _evaluator(images.labels)
    answers, done = list(model.scores(list(images))), []
    sample = training_sample(source, evaluator, images)
    found = sample.measure(model, answers, done.append)
    assert (found.functions, found.images, found.evaluation_images, found.unread) == (
        "a library, version 1",
        *(5, 6, 1),
    )
    assert found.measured_on == "5 of 6 evaluation images; 1 others could not be read in this way"
    assert done[-1] == 6
    assert source.asked[0] == TrainingResize((4, 4), "stretch", "bilinear", 3)
    # Class 0 are the images with an odd number; all images are bright, and most are dark at 100 less.
    accuracy = found.main_metric
    trained = [(140 + 20 * place - 100) / 255 > 0.5 for place in range(5)]
    assert accuracy.source == pytest.approx(
        np.mean([one == (place % 2 == 0) for place, one in enumerate(trained)])
    )
    assert found.comparison.agreement == pytest.approx(np.mean(trained))
    assert found.comparison.details is None


def test_without_ground_truth_the_agreement_is_compared(images: ImageSet) -> None:
    model = _Brightness()
    found = training_sample(_Source(), _evaluator(), images).measure(
        model, list(model.scores(list(images))), lambda _: None
    )
    assert found.main_metric is None
    assert found.comparison.agreement < 1
    assert not found.differs


def test_the_cost_is_bounded(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_input, "MOST_IMAGES", 4)
    sample = training_sample(_Source(), _evaluator(), images)
    assert len(sample.places) == 4
    assert list(sample.places) == sorted(set(sample.places))


@pytest.mark.parametrize(
    "case", ["another source", "arrays", "more than 8 bits", "a task that cannot compare a sample"]
)
def test_where_there_is_nothing_to_compare_nothing_is_measured(images: ImageSet, case: str) -> None:
    source, evaluator, examples = _Source(), _evaluator(), images
    if case == "another source":
        source = SimpleNamespace(kind="other")
    elif case == "more than 8 bits":
        evaluator = _evaluator(how=Preprocessing((4, 4), (0.0, 1.0), bit_depth=12))
    elif case == "arrays":
        examples = ImageSet.from_arrays(list(images))
    else:
        evaluator = SimpleNamespace(preprocessing=HOW)
    assert training_sample(source, evaluator, examples) is None


def test_grey_images_are_read_with_one_channel(images: ImageSet) -> None:
    source, model = _Source(), _Brightness()
    how = Preprocessing((4, 4), (0.0, 1.0), color="gray")
    sample = training_sample(source, _evaluator(how=how), images)
    sample.measure(model, list(model.scores(list(images))), lambda _: None)
    assert source.asked[0].channels == 1


def test_boxes_are_brought_back_to_the_image() -> None:
    """A detector that sees the resized image answers in its pixels."""
    how = Preprocessing((100, 50), (0.0, 1.0), resize="letterbox")
    box = np.array([[10.0, 20.0, 30.0, 40.0]], np.float32)
    in_input = placement_of(how, (400, 400)).to_input(box)
    answer = Detections(in_input.astype(np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    frame = Frame(np.zeros((50, 100, 3), np.float32), levels=(0.0, 255.0))
    task = DetectTask("yolo-end2end", {"output": "boxes", "box_unit": "pixels"})
    evaluator = DetectionEvaluator(task, registry().decoder("yolo-end2end"), ("cell",), how, None)
    model: Any = SimpleNamespace(detect_batch=lambda frames, task: [answer for _ in frames])
    (found,) = evaluator.resized_answers(model, [frame], [(400, 400)])
    np.testing.assert_allclose(found.boxes_xyxy, box, atol=1e-3)


@pytest.mark.parametrize(
    ("interval", "differs"), [((0.001, 0.01), True), ((-0.01, -0.001), True), ((-0.001, 0.01), False)]
)
def test_a_difference_is_said_to_be_one_where_the_interval_excludes_zero(interval, differs: bool) -> None:
    metric = Metric("accuracy", 0.9, 0.895, drop_interval=Interval(*interval, "newcombe"))
    found = TrainingInputEvidence("x", 9, 9, 0, Comparison(9, 1.0, 0.0, 0.0, metrics=(metric,)))
    assert found.differs == differs
    assert [name for name, _ in found.steps([("tflite-int8", found.comparison)])] == [
        "decoder and preprocessing",
        "conversion: tflite-int8",
    ]
