"""Embeddings: compared by their direction, with the source's, and with each other by ground truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InferenceError, InputError, OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.api import Claim, NetworkFacts, TaskOptions
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend
from edgevision_regress.embed_evaluation import EmbeddingEvaluator, EmbedEvaluation
from edgevision_regress.embed_kind import EmbedKind
from edgevision_regress.embedding import Embedder, Embedding, EmbedTask

HOW = Preprocessing((8, 8), (0.0, 255.0))


def _embedder(vector: Any) -> Embedder:
    row = np.asarray(vector, np.float32)[None]
    backend = FakeBackend(answers={"out": row})
    image, output = TensorSpec("image", (None, 8, 8, 3), "float32"), TensorSpec("out", row.shape, "float32")
    outputs = [TensorSpec("out", (None, *output.shape[1:]), "float32")]
    return Embedder(open_session(backend, backend.artifact([image], outputs)), HOW, EmbedTask("out"))


def _of(*vectors: tuple[float, ...]) -> list[Embedding]:
    rows = np.array(vectors, np.float32)
    return [Embedding(row / np.linalg.norm(row)) for row in rows]


def test_an_embedding_has_a_direction_and_no_length() -> None:
    found = _embedder([3, 4, 0])(np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_allclose(found.vector, [0.6, 0.8, 0.0])
    other = _embedder([30, 40, 0])(np.zeros((8, 8, 3), np.uint8))
    assert found.similarity(other) == pytest.approx(1)
    assert found.similarity(_of((0, 0, 2))[0]) == 0
    assert json.loads(json.dumps(found.to_dict())) == {"embedding": [0.6, 0.8, 0.0]}
    assert found.lines() == ["3 numbers: 0.600, 0.800, 0.000, …"]
    with pytest.raises(OptionError, match="embeddings of 3 and of 2 numbers cannot be compared"):
        found.similarity(_of((1, 0))[0])


@pytest.mark.parametrize("vector", [[0, 0, 0], [np.nan, 1, 2], [np.inf, 1, 2]])
def test_numbers_without_a_direction_are_refused(vector: Any) -> None:
    with pytest.raises(InferenceError, match="and so no direction"):
        _embedder(vector)(np.zeros((8, 8, 3), np.uint8))


def test_agreement_is_the_cosine_and_the_nearest_image_must_have_the_same_label() -> None:
    source = _of((1, 0), (0.9, 0.1), (0, 1), (0.1, 0.9), (-1, 0))
    evaluator = EmbeddingEvaluator(EmbedTask("out"), (), HOW, np.array(["a", "a", "b", "b", "c"]))
    right = evaluator.measure(source)
    assert right is not None
    assert right.metrics[0].value == 1
    assert right.notes[0] == "1 images have a label of their own and are left out"
    swapped = [source[0], source[2], source[1], source[3], source[4]]
    wrong = evaluator.measure(swapped)
    assert wrong is not None
    assert wrong.metrics[0].value == 0
    assert wrong.errors.tolist() == [1, 1, 1, 1, 0]
    compared = evaluator.compare(source, [*_of((0, 1)), *source[1:]])
    assert compared.agreement == pytest.approx(0.8)
    assert compared.largest_difference == pytest.approx(1)
    unique = EmbeddingEvaluator(EmbedTask("out"), (), HOW, np.array(list("abcde")))
    with pytest.raises(InputError, match="no label is that of two images"):
        unique.measure(source)


def test_ground_truth_is_a_label_for_each_image(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((4, 4, 3), np.uint8))
    images, table = ImageSet.open(tmp_path / "images"), tmp_path / "truth.csv"
    table.write_text("image,label\ntwo.png,ann\none.png,bob\n", encoding="utf-8")
    read = EmbedEvaluation().read_truth
    assert read(table, images, EmbedTask("out"), ()).tolist() == ["bob", "ann"]
    table.write_text("image,label\ntwo.png,ann\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no row for image 'one.png'"):
        read(table, images, EmbedTask("out"), ())
    table.write_text("image,name\ntwo.png,ann\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no column 'label'; it has: name"):
        read(table, images, EmbedTask("out"), ())


def test_it_is_stated_and_two_answers_are_the_same_decision_if_they_point_the_same_way() -> None:
    kind = EmbedKind()
    outputs = (TensorSpec("out", (None, 64), "float32"),)
    options: Any = TaskOptions(task="embed")
    plugins: Any = None
    network = NetworkFacts(outputs, (8, 8), options, plugins, "m.keras", {"out": "linear"})
    assert kind.recognise(network) == Claim.STATED
    assert kind.describe(network) == EmbedTask("out")
    softmax = NetworkFacts(outputs, (8, 8), options, plugins, "m.keras", {"out": "softmax"})
    assert kind.recognise(softmax) is None
    first, near, far = (one.to_dict() for one in _of((1, 0, 0), (1, 0.05, 0), (1, 1, 0)))
    assert not kind.compare_decisions(first, near).differs
    assert kind.compare_decisions(first, far).differs
    assert kind.same_results(np.eye(3), np.eye(3), EmbedTask("out"))
    assert not kind.same_results(np.eye(3), np.eye(3)[::-1], EmbedTask("out"))


def test_the_similarity_to_the_whole_image_is_explained() -> None:
    def answers(inputs: Any) -> dict[str, Any]:
        pixels = np.asarray(inputs["image"], np.float32)
        return {"out": np.stack([pixels[:, :, 4:].std(axis=(1, 2, 3)), np.full(len(pixels), 40.0)], axis=1)}

    backend = FakeBackend(answers=answers)
    image, output = TensorSpec("image", (None, 8, 8, 3), "float32"), TensorSpec("out", (None, 2), "float32")
    model = Embedder(open_session(backend, backend.artifact([image], [output])), HOW, EmbedTask("out"))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    found = model.explain(pixels, budget=512)
    assert found.label == "similarity"
    assert found.score == pytest.approx(1, abs=1e-6)
    assert found.map[:, 4:].mean() > 3 * abs(found.map[:, :4].mean())
    assert model.explanation_curves(pixels, found).insertion[-1] == pytest.approx(1)
    with pytest.raises(OptionError, match="an embedding has no classes"):
        model.explain(pixels, "cat")
