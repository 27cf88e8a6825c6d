"""Known answers: a device that computes something else is caught."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import BundleError, InferenceError
from edgevision.preprocess import Preprocessing
from edgevision.selftest import Selftest, check_known_answers, choose_images, read_selftest, write_selftest
from edgevision.session import open_session
from edgevision.tasks.classify import Classifier
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

IMAGES = np.zeros((2, 4, 4, 3), np.uint8)


def _model(scores: list[float]) -> Classifier:
    backend = FakeBackend(answers={"scores": scores})
    specs = [TensorSpec("image", (None, 4, 4, 3), "float32")], [TensorSpec("scores", (None, 2), "float32")]
    session = open_session(backend, backend.artifact(*specs))
    return Classifier(session, Preprocessing((4, 4), (0.0, 255.0)), ("cat", "dog"), "softmax")


def _known(scores: list[float]) -> Selftest:
    return Selftest(IMAGES, {"fake-float32": np.array([scores] * 2, np.float32)})


def test_what_was_written_is_read_back() -> None:
    found = read_selftest(write_selftest(_known([0.25, 0.75])), "selftest.npz")
    np.testing.assert_array_equal(found.images, IMAGES)
    np.testing.assert_array_equal(found.scores["fake-float32"], [[0.25, 0.75]] * 2)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"selftest\.npz: is no self-test"):
        read_selftest(content, "selftest.npz")


def test_a_device_that_gives_the_known_answers_passes() -> None:
    assert check_known_answers(_model([0.25, 0.75]), _known([0.25, 0.75]), "fake-float32", "float32") == 0.0


@pytest.mark.parametrize(("precision", "off"), [("float32", 0.01), ("float16", 0.05), ("int8", 0.2)])
def test_a_device_that_computes_something_else_is_refused(precision: str, off: float) -> None:
    with pytest.raises(InferenceError, match="does not give its known answers on fake cpu"):
        check_known_answers(_model([0.25 + off, 0.75 - off]), _known([0.25, 0.75]), "fake-float32", precision)


def test_an_integer_artifact_may_round_the_other_way() -> None:
    assert check_known_answers(_model([0.27, 0.73]), _known([0.25, 0.75]), "fake-float32", "int8") < 0.03


def test_an_artifact_without_known_answers_is_not_passed() -> None:
    with pytest.raises(BundleError, match="holds no answers of artifact 'other'"):
        check_known_answers(_model([0.5, 0.5]), _known([0.5, 0.5]), "other", "int8")


def test_the_images_chosen_show_every_class_that_there_is_room_for() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0], [0.1, 0.9, 0.0], [0.0, 0.4, 0.6]])
    assert choose_images(scores.astype(np.float32), 3) == [0, 3, 4]
    assert choose_images(scores.astype(np.float32), 8) == [0, 1, 2, 3, 4]
