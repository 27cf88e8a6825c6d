"""Classification, whatever backend runs the network."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgevision.errors import CopyError, InferenceError, InputError, OptionError, SessionClosedError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.batches import BATCH
from edgevision.tasks.classify import Classification, Classifier, class_scores
from edgevision.tensors import Quantization, TensorSpec
from edgevision.testing import FakeBackend
from edgevision.testing.models import fake_classifier

IMAGE = TensorSpec("image", (None, 4, 4, 3), "float32")
LABELS = ("red", "green", "blue")


def _mean_color(inputs):
    """Scores that are the mean of each channel: what a network would see in a plain picture."""
    return {"scores": inputs["image"].mean(axis=(1, 2)) / 255}


def _classifier(answers=_mean_color, classes=3, score_kind="sigmoid", labels=LABELS, image=IMAGE, **kind):
    backend = FakeBackend(answers=answers)
    scores = TensorSpec(
        "scores", (image.shape[0], classes), kind.get("dtype", "float32"), kind.get("quantization")
    )
    session = open_session(backend, backend.artifact([image], [scores]))
    return Classifier(session, Preprocessing((4, 4), (0.0, 255.0)), labels, score_kind)


def _plain(red: int, green: int, blue: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), (red, green, blue), np.uint8)


def test_the_best_class_comes_first_with_its_label_score_and_class_id() -> None:
    found = _classifier()(_plain(0, 255, 51)).top(2)
    assert [(one.label, one.class_id) for one in found] == [("green", 1), ("blue", 2)]
    assert [one.score for one in found] == pytest.approx([1.0, 0.2])


def test_every_form_of_an_image_gives_the_same_result(tmp_path: Path) -> None:
    image = _plain(10, 20, 200)
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    model = _classifier()
    expected = model(image).scores
    for value in (path, str(path), Image.fromarray(image), np.asfortranarray(image)):
        np.testing.assert_array_equal(model(value).scores, expected)
    np.testing.assert_array_equal(model(image[..., ::-1], color="bgr").scores, expected)


def test_a_grey_image_has_the_same_value_in_every_channel() -> None:
    np.testing.assert_allclose(
        _classifier()(np.full((8, 8), 51, np.uint8)).scores, [0.2, 0.2, 0.2], rtol=1e-6
    )


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, 2 * BATCH + 3])
def test_a_batch_gives_each_image_its_own_answer_in_order(count: int) -> None:
    model = _classifier()
    images = [_plain(number, 0, 255 - number) for number in range(count)]
    found = model(images)
    assert isinstance(found, list)
    singles = [model(image).scores for image in images]
    assert len(found) == count
    assert all((one.scores == alone).all() for one, alone in zip(found, singles, strict=True))
    if count:
        stacked = model(np.stack(images))
        assert all((one.scores == alone).all() for one, alone in zip(stacked, singles, strict=True))


def test_an_artifact_with_a_fixed_batch_of_one_takes_batches_one_by_one() -> None:
    model = _classifier(image=TensorSpec("image", (1, 4, 4, 3), "float32"))
    assert [one.top()[0].label for one in model([_plain(9, 0, 0), _plain(0, 9, 0)])] == ["red", "green"]


def test_eight_threads_get_their_own_answers() -> None:
    model = _classifier()
    images = [_plain(number, 255 - number, 0) for number in range(64)]
    expected = [model(image).scores for image in images]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: model(image).scores, images))
    np.testing.assert_array_equal(found, expected)


def test_integer_scores_are_dequantized() -> None:
    answers = {"scores": np.array([-128, 0, 127], np.int8)}
    model = _classifier(answers, dtype="int8", quantization=Quantization(1 / 256, -128))
    np.testing.assert_allclose(model(_plain(0, 0, 0)).scores, [0, 0.5, 255 / 256])


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_model_is_not_copied_and_says_what_to_do_instead(copied: Callable[[object], object]) -> None:
    with pytest.raises(CopyError, match="Classifier: a model belongs to the process that loaded it"):
        copied(fake_classifier(["cat", "dog"], [0.25, 0.75]))


def test_logits_become_scores_that_sum_to_one() -> None:
    scores = class_scores(np.array([[0.0, np.log(3.0)], [1000.0, 0.0]], np.float32), "logits")
    np.testing.assert_allclose(scores, [[0.25, 0.75], [1.0, 0.0]], atol=1e-6)


def test_independent_scores_can_indicate_several_classes() -> None:
    model = _classifier({"scores": [0.9, 0.2, 0.7]}, score_kind="sigmoid")
    found = model(_plain(0, 0, 0))
    assert found.multi_label
    assert [one.label for one in found.above(0.5)] == ["red", "blue"]


@pytest.mark.parametrize(("score_kind", "value", "positive"), [("sigmoid", 0.9, 0.9), ("logits", 0.0, 0.5)])
def test_a_single_score_distinguishes_two_classes(score_kind: str, value: float, positive: float) -> None:
    model = _classifier({"scores": [value]}, classes=1, score_kind=score_kind, labels=("healthy", "ill"))
    found = model(_plain(0, 0, 0))
    assert not found.multi_label
    np.testing.assert_allclose(found.scores, [1 - positive, positive], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_an_error_and_never_a_class(value: float) -> None:
    with pytest.raises(InferenceError, match="gave NaN or infinity"):
        _classifier({"scores": [0.5, value, 0.1]})(_plain(0, 0, 0))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_an_infinite_scale_is_an_error_and_never_a_class() -> None:
    answers = {"scores": np.array([-128, 0, 127], np.int8)}
    model = _classifier(answers, dtype="int8", quantization=Quantization(np.inf, -128))
    with pytest.raises(InferenceError, match="gave NaN or infinity"):
        model(_plain(0, 0, 0))


def test_a_network_that_answers_for_one_image_gets_one_at_a_time() -> None:
    backend = FakeBackend(answers={"scores": [0.1, 0.8, 0.1]})
    session = open_session(backend, backend.artifact([IMAGE], [TensorSpec("scores", (1, 3), "float32")]))
    assert session.inputs[0].shape == (1, *IMAGE.shape[1:])
    model = Classifier(session, Preprocessing((4, 4), (0.0, 255.0)), LABELS, "softmax")
    assert [result.top()[0].class_id for result in model([_plain(0, 0, 0)] * 16)] == [1] * 16


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), "floating-point values of 32 bits per channel; say how"),
        (np.zeros((8, 8, 4), np.uint8), "expected"),
        (np.zeros((0, 8, 3), np.uint8), "expected"),
        (
            None,
            "expected a .h, w, 3. array, a path, the bytes of a file, a PIL image or a YuvFrame, got "
            "NoneType",
        ),
        ("absent.jpg", r"absent\.jpg"),
    ],
)
def test_invalid_images_are_refused(image: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _classifier()(image)


def test_there_must_be_one_label_per_class() -> None:
    with pytest.raises(OptionError, match="2 labels for a network with 3 classes"):
        _classifier(labels=("red", "green"))


def test_a_network_with_several_outputs_needs_one_to_be_named() -> None:
    backend = FakeBackend()
    outputs = [TensorSpec("scores", (None, 3), "float32"), TensorSpec("features", (None, 8), "float32")]
    session = open_session(backend, backend.artifact([IMAGE], outputs))
    how = Preprocessing((4, 4), (0.0, 255.0))
    with pytest.raises(OptionError, match="outputs 'scores', 'features'; select the one .* --output-name"):
        Classifier(session, how, LABELS, "softmax")
    assert Classifier(session, how, LABELS, "softmax", "scores").labels == LABELS


def test_a_closed_model_says_so() -> None:
    with _classifier() as model:
        model(_plain(0, 0, 0))
    with pytest.raises(SessionClosedError, match="closed"):
        model(_plain(0, 0, 0))


def test_results_are_json_values() -> None:
    found = Classification(np.array([0.25, 0.75], np.float32), ("cat", "dog"))
    assert found.to_dict(1) == {
        "multi_label": False,
        "classes": [{"label": "dog", "score": 0.75, "class_id": 1}],
    }
    assert [one.label for one in found] == ["dog", "cat"]
    with pytest.raises(OptionError, match="top: expected 1 or more"):
        found.top(0)


def test_of_equal_scores_the_lower_class_comes_first() -> None:
    found = Classification(np.array([0.2, 0.4, 0.4], np.float32), LABELS)
    assert [one.class_id for one in found.top(3)] == [1, 2, 0]


def test_a_network_with_two_inputs_is_refused_by_every_task_that_takes_an_image() -> None:
    backend = FakeBackend()
    inputs = [IMAGE, TensorSpec("mask", (None, 4, 4, 1), "float32")]
    session = open_session(backend, backend.artifact(inputs, [TensorSpec("scores", (None, 3), "float32")]))
    with pytest.raises(
        OptionError, match="classification: expected a network with one input, .* 'image', 'mask'"
    ):
        Classifier(session, Preprocessing((4, 4), (0.0, 255.0)), LABELS, "softmax")
