"""Small classifiers around a layer that no int8 kernel computes, or none that is fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_sources import read


def classifier(keras: Any, folder: Path, inside: Callable[[Any], Any]) -> Any:
    """A small classifier with layers inside, as a source."""
    keras.utils.set_random_seed(5)
    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, name="first")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Conv2D(8, 3, name="second", activation="relu")(inside(x))
    x = keras.layers.Dense(4, name="scores")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(image, x).save(folder / "model.keras")
    return read(folder / "model.keras")


def attention(keras: Any) -> Callable[[Any], Any]:
    layers = keras.layers

    def inside(x: Any) -> Any:
        rows = layers.Reshape((49, 8))(x)
        rows = layers.MultiHeadAttention(2, 4, name="attend")(rows, rows)
        return layers.Reshape((7, 7, 8))(rows)

    return inside


def masked_softmax(keras: Any) -> Callable[[Any], Any]:
    """What is not positive is masked out by a very negative number, as in attention."""
    ops = keras.ops
    return lambda x: ops.softmax(ops.where(x > 0.0, x, -1e9), axis=-1) * ops.flip(x, axis=1)


LAYERS = {
    "layer_normalization": lambda keras: keras.layers.LayerNormalization(name="inside"),
    "group_normalization": lambda keras: keras.layers.GroupNormalization(4, name="inside"),
    "instance_normalization": lambda keras: keras.layers.GroupNormalization(-1, name="inside"),
    "rms_normalization": lambda keras: keras.layers.RMSNormalization(name="inside"),
    "unit_normalization": lambda keras: keras.layers.UnitNormalization(name="inside"),
    "attention": attention,
    "elu": lambda keras: keras.layers.ELU(name="inside"),
    "prelu": lambda keras: keras.layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.3), shared_axes=[1, 2], name="inside"
    ),
    "hard_swish": lambda keras: keras.layers.Activation("hard_silu", name="inside"),
    "cosine": lambda keras: lambda x: keras.ops.cos(x),
}

#: These choose between values, of which int8 gives all the same scale.
CHOICES = {
    "leaky_by_comparison": lambda keras: lambda x: keras.ops.where(x > 0.0, x, 0.1 * x),
    "folded_by_comparison": lambda keras: lambda x: keras.ops.where(x >= 0.05, x, 0.1 - x),
    "celu": lambda keras: keras.layers.Activation("celu", name="inside"),
    "log_sum_exp": lambda keras: lambda x: x - keras.ops.logsumexp(3.0 * x, axis=-1, keepdims=True),
    "masked_softmax": masked_softmax,
}
