"""The kind of scores of each output, inferred from a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keras_sources import MARKS, read

pytestmark = MARKS


def kinds_of(keras: Any, folder: Path, model: Any) -> Any:
    model.save(folder / "model.keras")
    return read(folder / "model.keras").facts.score_kinds


def normalized(keras: Any, values: Any) -> Any:
    return values / keras.ops.sum(values, axis=-1, keepdims=True)


HEADS: dict[str, tuple[Callable[[Any, Any, Any], Any], str | None]] = {
    "softmax": (lambda k, n, x: n.Dense(3, activation="softmax")(x), "softmax"),
    "sigmoid": (lambda k, n, x: n.Dense(3, activation="sigmoid")(x), "sigmoid"),
    "linear": (lambda k, n, x: n.Dense(3)(x), "linear"),
    "linear without bias": (lambda k, n, x: n.Dense(3, use_bias=False)(x), "linear"),
    "one value": (lambda k, n, x: n.Dense(1)(x), "linear"),
    "softmax layer": (lambda k, n, x: n.Softmax()(n.Dense(3)(x)), "softmax"),
    "softmax of axis 1": (lambda k, n, x: n.Softmax(axis=1)(n.Dense(3)(x)), "softmax"),
    "softmax, then a reshape": (
        lambda k, n, x: n.Reshape((1, 3))(n.Dense(3, activation="softmax")(x)),
        "softmax",
    ),
    "softmax, then dropout": (lambda k, n, x: n.Dropout(0.5)(n.Dense(3, activation="softmax")(x)), "softmax"),
    "softmax over other axis": (
        lambda k, n, x: n.Flatten()(n.Permute((2, 1))(n.Softmax(axis=1)(n.Reshape((3, 1))(n.Dense(3)(x))))),
        "softmax",
    ),
    "groups of softmax": (lambda k, n, x: n.Flatten()(n.Softmax()(n.Reshape((2, 3))(n.Dense(6)(x)))), None),
    "softmax of exponentials": (
        lambda k, n, x: normalized(k, k.ops.exp(n.Dense(3)(x))),
        "softmax",
    ),
    "average of softmaxes": (
        lambda k, n, x: n.Average()([n.Dense(3, activation="softmax")(x) for _ in range(2)]),
        "softmax",
    ),
    "log-softmax": (lambda k, n, x: n.Dense(3, activation="log_softmax")(x), "logits"),
    "logarithm of a softmax": (lambda k, n, x: k.ops.log(n.Dense(3, activation="softmax")(x)), "logits"),
    "sigmoid layer, cast": (
        lambda k, n, x: k.ops.cast(n.Activation("sigmoid")(n.Dense(3)(x)), "float16"),
        "sigmoid",
    ),
    "logistic function": (lambda k, n, x: 1 / (1 + k.ops.exp(-n.Dense(3)(x))), "sigmoid"),
    "logistic function of tanh": (lambda k, n, x: 0.5 * k.ops.tanh(n.Dense(3)(x)) + 0.5, "sigmoid"),
    "hard sigmoid": (lambda k, n, x: n.Dense(3, activation="hard_sigmoid")(x), "sigmoid"),
    "complement of a sigmoid": (lambda k, n, x: 1 - n.Dense(3, activation="sigmoid")(x), "sigmoid"),
    "product of sigmoids": (
        lambda k, n, x: n.Multiply()(
            [n.Dense(3, activation="sigmoid")(x), n.Dense(1, activation="sigmoid")(x)]
        ),
        "sigmoid",
    ),
    "sum of linear layers": (lambda k, n, x: n.Add()([n.Dense(3)(x), n.Dense(3)(x)]), "linear"),
    "linear at a temperature": (lambda k, n, x: n.Dense(3)(x) / 1.7, "linear"),
    "linear, normalized": (lambda k, n, x: n.BatchNormalization()(n.Dense(3)(x)), "linear"),
    "relu": (lambda k, n, x: n.Dense(3, activation="relu")(x), None),
    "tanh": (lambda k, n, x: n.Dense(3, activation="tanh")(x), None),
    "twice a sigmoid": (lambda k, n, x: 2 * n.Dense(3, activation="sigmoid")(x), None),
}


@pytest.mark.parametrize("head", HEADS)
def test_the_kind_of_scores_is_inferred_from_the_end_of_the_graph(
    keras: Any, tmp_path: Path, head: str
) -> None:
    build, kind = HEADS[head]
    image = keras.Input((4, 4, 1))
    output = build(keras, keras.layers, keras.layers.Flatten()(image))
    kinds = kinds_of(keras, tmp_path, keras.Model(image, output))
    assert list(kinds.values()) == ([] if kind is None else [kind])


def test_the_mean_over_pooled_class_maps_is_linear(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()])
    assert list(kinds_of(keras, tmp_path, model).values()) == ["linear"]


def test_a_deep_chain_that_uses_each_tensor_twice_is_looked_at_once(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((4, 4, 1))
    x = keras.layers.Dense(3)(keras.layers.Flatten()(image))
    for _ in range(40):
        x = x * keras.ops.tanh(x) + x
    assert kinds_of(keras, tmp_path, keras.Model(image, x)) == {}


def test_every_output_has_a_kind_of_its_own(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    image = keras.Input((4, 4, 1))
    x = layers.Flatten()(image)
    heads = {
        "a_features": layers.Dense(5, name="a_features")(x),
        "b_kind": layers.Dense(3, activation="softmax", name="b_kind")(x),
        "c_tags": layers.Dense(4, activation="sigmoid", name="c_tags")(x),
        "d_map": layers.Conv2D(2, 3, name="d_map")(image),
        "e_segments": layers.Conv2D(2, 3, activation="softmax", name="e_segments")(image),
        "f_groups": layers.Dense(2, name="f_groups")(layers.Reshape((4, 4))(image)),
    }
    kinds = kinds_of(keras, tmp_path, keras.Model(image, heads))
    of_pixels = {"d_map": "linear", "e_segments": "softmax"}  # which a segmentation's values follow from
    assert kinds == {"a_features": "linear", "b_kind": "softmax", "c_tags": "sigmoid", **of_pixels}


def test_keras_2_composes_the_softmax_of_higher_ranks(tf_keras: Any, tmp_path: Path) -> None:
    layers = tf_keras.layers
    head = [layers.Conv2D(3, 4), layers.Activation("softmax"), layers.Flatten()]
    model = tf_keras.Sequential([layers.Input((4, 4, 1)), *head])
    model.save(tmp_path / "model.h5")
    assert list(read(tmp_path / "model.h5").facts.score_kinds.values()) == ["softmax"]
