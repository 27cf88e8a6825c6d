"""Small Keras models, built once per session, in every kind of file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from keras_sources import SIZE, coloured_images, read

# Before anything imports TensorFlow: it writes to the terminal from C++.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def keras() -> Any:
    pytest.importorskip("tensorflow", reason="needs the extra `convert`")
    import keras

    return keras


@pytest.fixture(scope="session")
def tf_keras() -> Any:
    return pytest.importorskip("tf_keras", reason="needs the extra `convert`")


@pytest.fixture(scope="session")
def trained(keras: Any) -> Any:
    """A Sequential classifier of four colours, with softmax, trained until most scores are high."""
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3), name="picture"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4),
            layers.Activation("softmax", name="colour"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    images, labels = coloured_images(512, seed=1)
    model.fit(images, labels, epochs=4, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="session")
def trained_file(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "trained.keras"
    trained.save(path)
    return path


@pytest.fixture(scope="session")
def trained_source(trained_file: Path) -> Any:
    return read(trained_file)


@pytest.fixture(scope="session")
def hard_model(keras: Any) -> Any:
    """What exporters often break: Normalization, exact GELU, grouped convolutions, two heads."""
    keras.utils.set_random_seed(8)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.05, 0.06, 0.07], name="normal")(image)
    x = layers.Conv2D(8, 3, padding="same", activation="gelu")(x)
    x = layers.Conv2D(8, 3, padding="same", groups=4, name="grouped")(x)
    shortcut = x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.Add()([x, shortcut])
    x = layers.GlobalAveragePooling2D()(x)
    tags = layers.Dense(3, activation="sigmoid", name="tags")(x)
    classes = layers.Dense(5, name="classes")(x)
    return keras.Model(image, [classes, tags])


@pytest.fixture(scope="session")
def hard_file(hard_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hard") / "hard.keras"
    hard_model.save(path)
    return path


@pytest.fixture(scope="session")
def hard_source(hard_file: Path) -> Any:
    return read(hard_file)
