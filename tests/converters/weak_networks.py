"""Networks that lose accuracy with plain int8, with random weights and realistic statistics."""

from __future__ import annotations

from typing import Any

import numpy as np


def pictures(count: int, size: int, seed: int) -> Any:
    """Soft coloured shapes: (count, size, size, 3) float32 in 0…255."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 4, 4, 3))
    fine = rng.normal(0, 12, (count, size, size, 3))
    repeat = -(-size // 4)
    grown = coarse.repeat(repeat, axis=1).repeat(repeat, axis=2)[:, :size, :size]
    return np.clip(grown + fine, 0, 255).astype(np.float32)


def settle(keras: Any, model: Any, images: Any) -> Any:
    """Give batch normalizations the statistics of `images`, as training would."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    for _ in range(3):  # a layer's statistics depend on those of earlier layers
        model(images, training=True)
    return model


def uneven_mobilenet(keras: Any) -> Any:
    """Six blocks of MobileNetV2 whose channels differ by a factor of 100, which the next layers undo."""
    whole = keras.applications.MobileNetV2((48, 48, 3), alpha=0.35, weights=None, include_top=False)
    x = keras.layers.GlobalAveragePooling2D()(whole.get_layer("block_5_add").output)
    model = keras.Model(whole.input, keras.layers.Dense(8, name="scores")(x))
    settle(keras, model, pictures(64, 48, 1) / 127.5 - 1)
    rng = np.random.default_rng(2)
    previous = None
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            previous = layer
        reads_one = layer.name.endswith(("_depthwise", "_project"))
        if reads_one and previous is not None:
            scale = 10.0 ** rng.uniform(-2, 0, previous.gamma.shape[0]).astype(np.float32)
            previous.gamma.assign(previous.gamma * scale)
            previous.beta.assign(previous.beta * scale)
            (kernel,) = layer.get_weights()
            layer.set_weights([kernel / scale[:, None]])
    return model


def swish_network(keras: Any) -> Any:
    """EfficientNetV2B0 up to its fourth stage: swish, and squeeze-and-excitation."""
    whole = keras.applications.EfficientNetV2B0(input_shape=(48, 48, 3), weights=None, include_top=False)
    x = keras.layers.GlobalAveragePooling2D()(whole.get_layer("block4b_add").output)
    model = keras.Model(whole.input, keras.layers.Dense(8, name="scores")(x))
    return settle(keras, model, pictures(64, 48, 3))


def _backbone(keras: Any, image: Any) -> Any:
    layers = keras.layers
    x = layers.Rescaling(1 / 255)(image)
    for filters in (8, 16, 24):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return x


def tagger(keras: Any) -> Any:
    """Six labels with a sigmoid each."""
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D()(_backbone(keras, image))
    tags = keras.layers.Dense(6, activation="sigmoid", name="tags", kernel_initializer="he_normal")(x)
    return settle(keras, keras.Model(image, tags), pictures(64, 32, 4))


def detector(keras: Any) -> Any:
    """Boxes relative to the image, and scores, in one tensor: (batch, 16, 4 + 3)."""
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="image")
    x = _backbone(keras, image)
    boxes = layers.Reshape((16, 4))(layers.Conv2D(4, 1)(x))
    boxes = layers.Activation("relu")(boxes)
    scores = layers.Activation("sigmoid")(layers.Reshape((16, 3))(layers.Conv2D(3, 1)(x)))
    return settle(
        keras,
        keras.Model(image, layers.Concatenate(name="detections")([boxes, scores])),
        pictures(64, 32, 5),
    )


def image_to_image(keras: Any) -> Any:
    """The input plus a correction, 0…1."""
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="image")
    scaled = layers.Rescaling(1 / 255)(image)
    x = scaled
    for _ in range(3):
        x = layers.Conv2D(12, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    correction = layers.Conv2D(3, 3, padding="same")(x)
    corrected = layers.Add(name="corrected")([scaled, layers.Rescaling(0.1)(correction)])
    return settle(keras, keras.Model(image, corrected), pictures(64, 32, 6))
