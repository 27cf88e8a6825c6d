"""Kinds of scores belong to the output that was chosen, and a linear output is no classifier by itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.evidence.records import Evidence
from edgevision.tasks.options import TaskOptions

pytestmark = pytest.mark.convert

SIZE = 8


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras", reason="needs the extra `convert`")


def colours(count: int, labelled: bool = True) -> ImageSet:
    """Images that are mainly red, green or blue."""
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 90, (count, SIZE, SIZE, 3))
    for image, label in zip(pixels, labels, strict=True):
        image[..., label] += 120
    arrays = pixels.astype(np.uint8)
    names = ("red", "green", "blue")
    return ImageSet.from_arrays(arrays, labels, names) if labelled else ImageSet.from_arrays(arrays)


def save(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own, with numpy 2
        model.save(path)
    return path


#: Weights of a layer that tells colours apart by their means.
WEIGHTS = 24 * np.eye(3, dtype=np.float32) - 12


def network(keras: Any, head: Callable[[Any], Any], weights: Any = WEIGHTS) -> Any:
    """A network that sees the mean colour; its layer "colour", if it has one, has these weights."""
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3), name="image")
    model = keras.Model(image, head(layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))))
    for layer in model.layers:
        if layer.name == "colour":
            layer.set_weights([weights])
    return model


def colour_layer(keras: Any, units: int = 3, **options: Any) -> Any:
    return keras.layers.Dense(units, use_bias=False, name="colour", **options)


def converted(path: Path, images: ImageSet, task: TaskOptions | None = None) -> Evidence:
    settings = ConversionSettings(task=task or TaskOptions(), force=True)
    return convert(
        path,
        path.with_suffix(".evb"),
        targets=["generic-cpu"],
        precisions=["float32"],
        evaluation=images,
        settings=settings,
    )


@pytest.mark.parametrize(
    ("first", "chosen"),
    [(None, "softmax"), ("softmax", None), ("sigmoid", "softmax"), ("softmax", "sigmoid")],
)
def test_of_two_heads_the_chosen_one_decides_how_scores_are_read(
    keras: Any, tmp_path: Path, first: str | None, chosen: str | None
) -> None:
    def heads(x: Any) -> dict[str, Any]:
        return {
            "a_other": keras.layers.Dense(5, activation=first, name="a_other")(x),
            "colour": colour_layer(keras, activation=chosen)(x),
        }

    model = network(keras, heads)
    images = colours(30)
    evidence = converted(save(model, tmp_path / "m.keras"), images, TaskOptions(output="colour"))
    assert (
        evidence.results[0].comparison.metric("accuracy" if chosen != "sigmoid" else "macro F1").source > 0.6
    )
    pixels = np.stack(list(images))[:4]
    values = np.asarray(model.predict(pixels.astype(np.float32), verbose=0)["colour"])
    if chosen is None:
        exponent = np.exp(values - values.max(axis=1, keepdims=True))
        values = exponent / exponent.sum(axis=1, keepdims=True)
    with edgevision.load(tmp_path / "m.evb") as classifier:
        np.testing.assert_allclose([one.scores for one in classifier(list(pixels))], values, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "stated"),
    [("softmax", "logits"), ("softmax", "sigmoid"), ("sigmoid", "logits"), ("sigmoid", "softmax")],
)
def test_a_statement_that_contradicts_the_last_operation_is_refused(
    keras: Any, tmp_path: Path, activation: str, stated: str
) -> None:
    path = save(network(keras, colour_layer(keras, activation=activation)), tmp_path / "m.keras")
    with pytest.raises(OptionError, match=f"by a {activation}, which contradicts --scores {stated}"):
        converted(path, colours(12), TaskOptions(score_kind=stated))


@pytest.mark.parametrize("units", [1, 8])
def test_the_output_of_a_regression_is_not_read_as_scores(keras: Any, tmp_path: Path, units: int) -> None:
    path = save(network(keras, keras.layers.Dense(units)), tmp_path / "m.keras")
    with pytest.raises(OptionError, match=r"is linear .*regression.* pass --scores logits"):
        converted(path, colours(12, labelled=False))


def test_a_linear_output_with_one_value_per_class_folder_is_read_as_logits(
    keras: Any, tmp_path: Path
) -> None:
    path = save(network(keras, colour_layer(keras)), tmp_path / "m.keras")
    evidence = converted(path, colours(12))
    assert evidence.results[0].comparison.metric("accuracy").source == 1
    (note,) = evidence.results[0].comparison.notes
    assert "is linear and was read as logits" in note
    with pytest.raises(OptionError, match="pass --scores logits"):
        converted(path, colours(12, labelled=False))
    stated = converted(path, colours(12, labelled=False), TaskOptions(score_kind="logits"))
    assert stated.results[0].comparison.notes == ()


def test_a_linear_output_with_named_classes_is_read_as_logits(keras: Any, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    path = save(network(keras, colour_layer(keras)), tmp_path / "m.keras")
    evidence = converted(path, colours(12, labelled=False), TaskOptions(labels=labels))
    assert "3 labels" in evidence.results[0].comparison.notes[0]


def test_an_activation_that_gives_no_scores_asks_for_their_kind(keras: Any, tmp_path: Path) -> None:
    path = save(network(keras, colour_layer(keras, activation="tanh")), tmp_path / "m.keras")
    with pytest.raises(
        OptionError, match="cannot infer the output type; pass --scores softmax, sigmoid, or logits"
    ):
        converted(path, colours(12))


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
def test_a_softmax_of_a_single_value_is_refused(keras: Any, tmp_path: Path) -> None:
    path = save(network(keras, keras.layers.Dense(1, activation="softmax")), tmp_path / "m.keras")
    with pytest.raises(OptionError, match="always 1; train a binary classifier with Dense"):
        converted(path, colours(12, labelled=False))


def test_a_single_sigmoid_distinguishes_the_two_class_folders(keras: Any, tmp_path: Path) -> None:
    weights = np.array([[-20.0], [20.0], [0.0]], np.float32)
    images = colours(30)
    two = images.at([place for place in range(30) if place % 3 != 2])
    binary = ImageSet.from_arrays(list(two), two.labels, ("red", "green"))
    path = save(network(keras, colour_layer(keras, 1, activation="sigmoid"), weights), tmp_path / "m.keras")
    evidence = converted(path, binary)
    assert evidence.results[0].comparison.metric("accuracy").source == 1
    with edgevision.load(tmp_path / "m.evb") as classifier:
        found = classifier(next(iter(binary)))
        assert (found.top()[0].label, found.multi_label) == ("red", False)
        assert found.top()[0].score > 0.9
    with pytest.raises(OptionError, match="3 class folders, but .* has 2 classes"):
        converted(path, images)
