"""A model whose layers resize images of any size: its input gets their size and way to resize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, read

from edgevision.errors import SourceError

pytestmark = MARKS


def facts_of(keras: Any, folder: Path, *first: Any) -> Any:
    layers = keras.layers
    end = [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    keras.Sequential([keras.Input((None, None, 3)), *first, *end]).save(folder / "model.keras")
    source = read(folder / "model.keras")
    return source, (source.facts.resize, source.facts.interpolation)


WAYS = {
    "bilinear": ({}, ("stretch", "bilinear")),
    "nearest": ({"interpolation": "nearest"}, ("stretch", "nearest")),
    "area": ({"interpolation": "area"}, ("stretch", "area")),
    "bicubic": ({"interpolation": "bicubic"}, ("stretch", "bicubic")),
    "antialiased": ({"antialias": True}, ("stretch", "bilinear with antialiasing")),
    "cropped": ({"crop_to_aspect_ratio": True}, ("center-crop", "bilinear")),
    "padded": ({"pad_to_aspect_ratio": True}, ("letterbox", "bilinear")),
}


@pytest.mark.parametrize("way", WAYS)
def test_size_and_way_are_those_of_the_resizing_layer(keras: Any, tmp_path: Path, way: str) -> None:
    options, expected = WAYS[way]
    source, found = facts_of(keras, tmp_path, keras.layers.Resizing(24, 32, **options))
    assert source.inputs[0].shape == (None, 24, 32, 3)
    assert found == expected


def test_a_rescaling_before_it_changes_nothing(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    source, found = facts_of(keras, tmp_path, layers.Rescaling(1 / 127.5, offset=-1), layers.Resizing(16, 16))
    assert (source.inputs[0].shape, found) == ((None, 16, 16, 3), ("stretch", "bilinear"))
    assert source.facts.pixel_range == (0, 255)


def test_the_resized_source_answers_as_the_model_does(keras: Any, tmp_path: Path) -> None:
    source, _ = facts_of(keras, tmp_path, keras.layers.Resizing(24, 32))
    image = np.random.default_rng(0).uniform(0, 255, (1, 24, 32, 3)).astype(np.float32)
    (answer,) = source.run({source.inputs[0].name: image}).values()
    np.testing.assert_allclose(answer, keras.models.load_model(tmp_path / "model.keras")(image), rtol=1e-5)


@pytest.mark.parametrize("case", ["none", "not the first", "beside it", "borders of grey"])
def test_otherwise_the_size_is_asked_for(keras: Any, tmp_path: Path, case: str) -> None:
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = image
    if case == "not the first":
        x = layers.Resizing(24, 32)(layers.Conv2D(3, 3)(image))
    elif case == "beside it":
        resized = layers.GlobalAveragePooling2D()(layers.Resizing(24, 32)(image))
        x = layers.Multiply()([layers.Conv2D(3, 1)(image), layers.Reshape((1, 1, 3))(resized)])
    elif case == "borders of grey":
        x = layers.Resizing(24, 32, pad_to_aspect_ratio=True, fill_value=114)(image)
    keras.Model(image, layers.GlobalAveragePooling2D()(x)).save(tmp_path / "model.keras")
    with pytest.raises(SourceError, match="images of any size; choose one: pass --input-size"):
        read(tmp_path / "model.keras")
