"""Known answers: a device that computes something else is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.bundle.known_answers import (
    KnownAnswers,
    KnownImages,
    KnownTensors,
    check_known_answers,
    compute_answers,
    read_known_answers,
    write_known_answers,
)
from edgevision.errors import BundleError, InferenceError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import CheckedSession, open_session
from edgevision.tensors import Quantization, TensorSpec
from edgevision.testing import FakeBackend

IMAGES = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
HOW = Preprocessing((4, 4), (0.0, 255.0))


def _session(scores: list[float]) -> CheckedSession:
    backend = FakeBackend(answers={"scores": scores})
    specs = [TensorSpec("image", (None, 4, 4, 3), "float32")], [TensorSpec("scores", (None, 2), "float32")]
    return open_session(backend, backend.artifact(*specs))


def _known(scores: list[float]) -> KnownAnswers:
    return KnownAnswers(KnownImages(IMAGES, HOW), {"fake": {"scores": np.array([scores] * 2, np.float32)}})


def test_known_answers_are_read_back_as_they_were_written() -> None:
    known = read_known_answers(write_known_answers(_known([0.0, 1.0])), HOW, "selftest.npz")
    np.testing.assert_array_equal(known.known_inputs.images, IMAGES)
    np.testing.assert_array_equal(known.outputs["fake"]["scores"], [[0.0, 1.0]] * 2)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"selftest\.npz: is not a file of known answers"):
        read_known_answers(content, HOW, "selftest.npz")


def test_answers_are_computed_per_image_and_dequantized() -> None:
    backend = FakeBackend(
        answers=lambda inputs: {"sum": inputs["image"].sum(axis=(1, 2, 3), keepdims=True)[..., 0]}
    )
    image = TensorSpec("image", (None, 4, 4, 3), "uint8", Quantization(1.0, 0))
    total = TensorSpec("sum", (None, 1, 1), "int32", Quantization(0.5, 10))
    session = open_session(backend, backend.artifact([image], [total]))
    answers = compute_answers(session, KnownImages(IMAGES, HOW))["sum"]
    expected = [(int(image.sum()) - 10) * 0.5 for image in IMAGES]
    np.testing.assert_array_equal(answers.ravel(), expected)


def test_a_device_that_gives_the_known_answers_passes() -> None:
    assert check_known_answers(_session([0.0, 1.0]), _known([0.0, 1.0]), "fake", "float32") == 0.0


@pytest.mark.parametrize(("precision", "off"), [("float32", 0.01), ("float16", 0.05), ("int8", 0.2)])
def test_a_device_that_computes_something_else_is_refused(precision: str, off: float) -> None:
    with pytest.raises(InferenceError, match="does not give its known answers on fake cpu"):
        check_known_answers(_session([off, 1.0]), _known([0.0, 1.0]), "fake", precision)


def test_nan_is_not_a_known_answer() -> None:
    with pytest.raises(InferenceError, match="off by inf"):
        check_known_answers(_session([np.nan, 1.0]), _known([0.0, 1.0]), "fake", "int8")


def test_an_integer_artifact_may_round_the_other_way() -> None:
    assert check_known_answers(_session([0.02, 1.0]), _known([0.0, 1.0]), "fake", "int8") < 0.03


def test_an_artifact_without_known_answers_does_not_pass() -> None:
    with pytest.raises(BundleError, match="the bundle has no known answers for artifact 'other'"):
        check_known_answers(_session([0.0, 1.0]), _known([0.0, 1.0]), "other", "int8")


def _latent_session(answer: float = 2.0) -> CheckedSession:
    backend = FakeBackend(answers=lambda inputs: {"twice": inputs["vector"].astype(np.float32) * answer})
    vector = TensorSpec("vector", (None, 3), "int8", Quantization(0.5, 0))
    return open_session(backend, backend.artifact([vector], [TensorSpec("twice", (None, 3), "float32")]))


VECTORS = KnownTensors({"vector": np.array([[0.5, 1.0, -1.0], [0.0, 0.5, 0.5]], np.float32)})


def test_a_network_that_takes_no_image_gets_tensors_quantized_as_its_artifact_says() -> None:
    answers = compute_answers(_latent_session(), VECTORS)
    np.testing.assert_array_equal(answers["twice"], [[2, 4, -4], [0, 2, 2]])
    known = read_known_answers(
        write_known_answers(KnownAnswers(VECTORS, {"fake": answers})), None, "selftest.npz"
    )
    assert check_known_answers(_latent_session(), known, "fake", "int8") == 0.0
    with pytest.raises(InferenceError, match="does not give its known answers"):
        check_known_answers(_latent_session(3.0), known, "fake", "int8")


def test_known_inputs_of_another_network_are_refused() -> None:
    other = KnownTensors({"noise": VECTORS.tensors["vector"]})
    known = KnownAnswers(other, {"fake": {"twice": np.zeros((2, 3), np.float32)}})
    with pytest.raises(BundleError, match="the bundle has no known answers for artifact 'fake'"):
        check_known_answers(_latent_session(), known, "fake", "int8")


def test_nan_in_a_second_output_is_not_a_known_answer_either() -> None:
    backend = FakeBackend(answers={"boxes": [0.0, 1.0], "scores": [np.nan, 0.5]})
    image = TensorSpec("image", (None, 4, 4, 3), "float32")
    outputs = [TensorSpec(name, (None, 2), "float32") for name in ("boxes", "scores")]
    session = open_session(backend, backend.artifact([image], outputs))
    answers = {"boxes": [[0.0, 1.0]] * 2, "scores": [[0.1, 0.5]] * 2}
    known = {name: np.array(rows, np.float32) for name, rows in answers.items()}
    with pytest.raises(InferenceError, match="off by inf"):
        check_known_answers(session, KnownAnswers(KnownImages(IMAGES, HOW), {"fake": known}), "fake", "int8")
