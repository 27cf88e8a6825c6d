"""A gallery: enrolled under names, identified by cosine, unknown below its threshold, and saved strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import InputError, OptionError, OutputError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend
from edgevision_regress.embed_evaluation import EmbeddingEvaluator
from edgevision_regress.embedding import Embedder, Embedding, EmbedTask
from edgevision_regress.gallery import Gallery, verification_threshold

HOW = Preprocessing((4, 4), (0.0, 255.0))
RED, GREEN, PURPLE = (200, 0, 0), (0, 200, 0), (200, 0, 120)


@pytest.fixture
def model() -> Embedder:
    """Its embedding of an image is the image's mean colour."""
    backend = FakeBackend(answers=lambda inputs: {"out": inputs["image"].mean(axis=(1, 2)) + 1e-3})
    image, out = TensorSpec("image", (None, 4, 4, 3), "float32"), TensorSpec("out", (None, 3), "float32")
    found = Embedder(open_session(backend, backend.artifact([image], [out])), HOW, EmbedTask("out"))
    found.bundle_digest = "a" * 64
    return found


def _image(color: tuple[int, int, int]) -> np.ndarray:
    return np.full((6, 5, 3), color, np.uint8)


@pytest.fixture
def gallery(model: Embedder) -> Gallery:
    found = Gallery(model, 0.9)
    found.enrol("red", _image(RED), _image((180, 10, 0)))
    found.enrol("green", _image(GREEN))
    return found


def test_an_image_is_the_most_similar_enrolled_one_or_unknown(gallery: Gallery) -> None:
    assert (gallery.names, len(gallery)) == (["red", "green"], 3)
    found = gallery.identify(_image((100, 5, 0)))
    assert (found.name, found.nearest) == ("red", "red")
    assert found.similarity == pytest.approx(1, abs=1e-3)
    stranger = gallery.identify(_image(PURPLE))
    assert (stranger.name, stranger.nearest) == (None, "red")
    assert stranger.similarity == pytest.approx(200 / np.hypot(200, 120), abs=1e-4)
    assert str(stranger).startswith("unknown (red 0.857")
    gallery.remove("red")
    assert gallery.identify(_image(RED)).name is None
    with pytest.raises(OptionError, match="nothing is enrolled as 'red'; there are: green"):
        gallery.remove("red")


def test_what_cannot_be_enrolled_or_asked_is_an_error_and_changes_nothing(
    model: Embedder, gallery: Gallery
) -> None:
    with pytest.raises(OptionError, match="the gallery is empty; enrol an image first"):
        Gallery(model, 0.5).identify(_image(RED))
    for name, images in (("", [_image(RED)]), (5, [_image(RED)]), ("\udcff", [_image(RED)]), ("blue", [])):
        with pytest.raises(OptionError):
            gallery.enrol(name, *images)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        gallery.enrol("blue", _image(RED), "no such file.png")
    assert (gallery.names, len(gallery)) == (["red", "green"], 3)
    for threshold in (1.5, float("nan"), "0.5"):
        with pytest.raises(OptionError, match="threshold"):
            Gallery(model, threshold)  # type: ignore[arg-type]


def test_it_is_saved_in_one_file_and_answers_the_same(
    gallery: Gallery, model: Embedder, tmp_path: Path
) -> None:
    file = tmp_path / "people.json"
    gallery.save(file)
    again = Gallery.load(file, model)
    assert (again.names, again.threshold) == (gallery.names, gallery.threshold)
    for color in (RED, GREEN, PURPLE):
        assert again.identify(_image(color)) == gallery.identify(_image(color))
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
    with pytest.raises(OutputError):
        gallery.save(tmp_path / "no such folder" / "people.json")
    model.bundle_digest = "b" * 64
    with pytest.raises(OptionError, match="of another bundle"):
        Gallery.load(file, model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.update(format="other"), "is not a gallery"),
        (lambda one: one.update(version=2), "is not a gallery"),
        (lambda one: one.update(more=1), "other fields"),
        (lambda one: one.pop("threshold"), "other fields"),
        (lambda one: one.update(threshold=2), "is damaged: threshold"),
        (lambda one: one.update(enrolled=5), "is damaged"),
        (lambda one: one["enrolled"].append({"name": "x"}), "expected a name and an embedding"),
        (lambda one: one["enrolled"][0].update(name=""), "no vector of length 1"),
        (lambda one: one["enrolled"][0].update(embedding=[1.0, 1.0, 1.0]), "no vector of length 1"),
        (lambda one: one["enrolled"][0].update(embedding=[1.0]), "of 1 and of 3|of 3 and of 1|damaged"),
        (lambda one: one["enrolled"][0].update(embedding=["1", 0, 0]), "is damaged"),
    ],
)
def test_a_file_that_is_no_gallery_is_refused(
    gallery: Gallery, model: Embedder, tmp_path: Path, change: Any, said: str
) -> None:
    file = tmp_path / "people.json"
    gallery.save(file)
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        Gallery.load(file, model)
    for content in (b"", b"[]", b'{"format": 1, "format": 1}', b"\xff"):
        file.write_bytes(content)
        with pytest.raises(InputError, match="gallery|not valid JSON"):
            Gallery.load(file, model)


def _of(*angles: float) -> list[Embedding]:
    return [Embedding(np.array([np.cos(a), np.sin(a)], np.float32)) for a in np.deg2rad(angles)]


def test_the_threshold_accepts_a_share_of_the_pairs_with_different_labels_at_most() -> None:
    # Cosines of different pairs: of 30, 40, 50 and 60 degrees; of the same: of 10 and 80.
    embeddings, labels = _of(0, 10, 40, 120), ["a", "a", "b", "b"]
    found = verification_threshold(embeddings, labels, 0.25)
    assert (found.same, found.different) == (2, 4)
    assert found.false_accept == 0.25
    assert found.true_accept == 0.5
    assert found.threshold == pytest.approx(np.cos(np.deg2rad(40)), abs=1e-6)
    none = verification_threshold(embeddings, labels, 0.0)
    assert (none.false_accept, none.true_accept) == (0.0, 0.5)
    for wrong in ((embeddings, labels[:3], 0.1), (embeddings, ["a"] * 4, 0.1), (embeddings, labels, 1.0)):
        with pytest.raises(OptionError):
            verification_threshold(*wrong)


def test_the_evidence_has_the_true_accepts_at_one_in_a_hundred_false_ones() -> None:
    evaluator = EmbeddingEvaluator(EmbedTask("out"), (), HOW, np.array(["a", "a", "b", "b"]))
    measures = evaluator.measure(_of(0, 10, 40, 120))
    assert measures is not None
    values = {one.name: one.value for one in measures.metrics}
    assert values == {"nearest is the same": 0.75, "true accept at 1 % false accept": 0.5}
    assert "which 0 of 4 pairs with different labels reach" in measures.notes[0]
    alone = EmbeddingEvaluator(EmbedTask("out"), (), HOW, np.array(["a", "a", "a", "a"]))
    found = alone.measure(_of(0, 10, 40, 120))
    assert found is not None
    assert [one.name for one in found.metrics] == ["nearest is the same"]


def test_a_model_of_another_task_is_refused(model: Embedder, tmp_path: Path) -> None:
    other: Any = "people.json"
    with pytest.raises(OptionError, match="expected an Embedder, as edgevision.load gives.*got str"):
        Gallery(other, 0.6)
    with pytest.raises(OptionError, match="expected an Embedder"):
        Gallery.load(tmp_path / "people.json", other)
    swapped: Any = Gallery.load
    with pytest.raises(OptionError, match="expected an Embedder"):
        swapped(model, tmp_path / "people.json")
