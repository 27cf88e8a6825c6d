"""Preprocessing inside a model: its value range and channel order are inferred, in every mode of Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, read

pytestmark = MARKS

CAFFE = np.array([103.939, 116.779, 123.68], np.float32)


def facts_of(keras: Any, folder: Path, inside: Any, suffix: str = ".keras") -> Any:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(2, 3)(inside(image))
    path = folder / f"model{suffix}"
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)).save(path)
    return read(path).facts


MODES = {
    "vgg16": ("rgb", "subtracts 103.9, 116.8, 123.7"),
    "resnet50": ("rgb", "subtracts 103.9, 116.8, 123.7"),
    "mobilenet_v2": (None, "maps 0…255 to -1…1"),
    "densenet": ("rgb", "maps 0…255 to 0…1"),
}


@pytest.mark.parametrize("family", MODES)
def test_preprocess_input_inside_a_model_of_keras_3_is_recognised(
    keras: Any, tmp_path: Path, family: str
) -> None:
    facts = facts_of(keras, tmp_path, getattr(keras.applications, family).preprocess_input)
    color, words = MODES[family]
    assert (facts.pixel_range, facts.color) == ((0, 255), color)
    assert words in facts.pixel_range_reason


@pytest.mark.parametrize("family", MODES)
def test_preprocess_input_inside_a_model_of_keras_2_is_recognised(
    tf_keras: Any, tmp_path: Path, family: str
) -> None:
    facts = facts_of(tf_keras, tmp_path, getattr(tf_keras.applications, family).preprocess_input, ".h5")
    color, words = MODES[family]
    assert (facts.pixel_range, facts.color) == ((0, 255), color)
    assert words in facts.pixel_range_reason


def _split(keras: Any, image: Any) -> Any:
    red, green, blue = keras.ops.split(image, 3, axis=-1)
    return keras.ops.concatenate([blue, green, red], axis=-1) - CAFFE


CHANNELS = {
    "slices": (lambda keras, image: image[..., ::-1] - CAFFE, "rgb"),
    "split and joined": (_split, "rgb"),
    "taken": (lambda keras, image: keras.ops.take(image, [2, 1, 0], axis=-1) - CAFFE, "rgb"),
    "not swapped": (lambda keras, image: image - CAFFE, "bgr"),
    "swapped afterwards": (lambda keras, image: (image - CAFFE[::-1])[..., ::-1], "rgb"),
    "images of OpenCV": (lambda keras, image: image[..., ::-1] - CAFFE[::-1], "bgr"),
    "means of other data": (lambda keras, image: image[..., ::-1] - np.float32([90, 100, 125]), None),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_the_channel_order_of_the_input_follows_from_the_means(keras: Any, tmp_path: Path, case: str) -> None:
    inside, color = CHANNELS[case]
    facts = facts_of(keras, tmp_path, lambda image: inside(keras, image))
    assert (facts.pixel_range, facts.color) == ((0, 255), color)


def test_pixels_that_go_two_ways_have_no_common_range(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    facts = facts_of(
        keras,
        tmp_path,
        lambda image: layers.Concatenate()([layers.Rescaling(1 / 255)(image), layers.Conv2D(1, 1)(image)]),
    )
    assert facts.pixel_range is None
