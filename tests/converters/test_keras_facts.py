"""The value range of the pixels and the kind of scores, inferred from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from keras_sources import MARKS, read

pytestmark = MARKS


def facts_of(keras: Any, folder: Path, layers: list[Any], channels: int = 3) -> Any:
    model = keras.Sequential([keras.Input((8, 8, channels)), *layers])
    model.save(folder / "model.keras")
    return read(folder / "model.keras").facts


RESCALINGS = [
    ((1 / 255, 0), (0, 255), "maps 0…255 to 0…1"),
    ((1 / 256, 0), (0, 255), "maps 0…255 to 0…1"),
    ((1 / 127.5, -1), (0, 255), "maps 0…255 to -1…1"),
    ((1 / 128, -1), (0, 255), "maps 0…255 to -1…1"),
    ((1 / 127.5, 0), (0, 255), "maps 0…255 to 0…2"),
    ((1 / 255, -0.5), (0, 255), "maps 0…255 to -0.5…0.5"),
    ((2, -1), (0, 1), "maps 0…1 to -1…1"),
    ((0.5, 0.5), (-1, 1), "maps -1…1 to 0…1"),
    ((1 / 16, 0), (0, 16), "maps 0…16 to 0…1"),
    ((1, 0), None, ""),
    ((3, 0.7), None, ""),
]


@pytest.mark.parametrize(("scale_offset", "pixel_range", "words"), RESCALINGS)
def test_the_pixel_range_is_inferred_from_a_rescaling_layer(
    keras: Any, tmp_path: Path, scale_offset: tuple[float, float], pixel_range: Any, words: str
) -> None:
    layers = keras.layers
    rescaling = layers.Rescaling(scale_offset[0], offset=scale_offset[1], name="to_network")
    facts = facts_of(keras, tmp_path, [rescaling, layers.Conv2D(2, 3)])
    assert facts.pixel_range == pixel_range
    assert facts.pixel_range_reason == (f"layer 'to_network' {words}" if words else "")


NORMALIZATIONS = [
    ([0.485, 0.456, 0.406], [0.0524, 0.0502, 0.0506], (0, 1)),
    ([123.7, 116.3, 103.5], [3409, 3263, 3290], (0, 255)),
    ([103.9, 116.8, 123.7], [1, 1, 1], (0, 255)),
    ([-0.1, 0.0, 0.1], [0.25, 0.25, 0.25], (-1, 1)),
    ([0, 0, 0], [1, 1, 1], None),
    ([400, 500, 600], [100, 100, 100], None),
]


@pytest.mark.parametrize(("mean", "variance", "pixel_range"), NORMALIZATIONS)
def test_the_pixel_range_is_inferred_from_the_means_of_a_normalization_layer(
    keras: Any, tmp_path: Path, mean: list[float], variance: list[float], pixel_range: Any
) -> None:
    layers = keras.layers
    normalization = layers.Normalization(mean=mean, variance=variance, name="whiten")
    facts = facts_of(keras, tmp_path, [normalization, layers.Conv2D(2, 3)])
    assert facts.pixel_range == pixel_range
    assert ("layer 'whiten' subtracts" in facts.pixel_range_reason) == (pixel_range is not None)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3"])
def test_resizing_before_a_rescaling_does_not_hide_its_range(
    keras: Any, tmp_path: Path, interpolation: str
) -> None:
    layers = keras.layers
    resizing = layers.Resizing(6, 6, interpolation=interpolation)
    facts = facts_of(keras, tmp_path, [resizing, layers.Rescaling(1 / 255), layers.Conv2D(2, 3)])
    assert facts.pixel_range == (0, 255)


def test_a_rescaling_has_precedence_over_a_normalization_after_it(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    facts = facts_of(
        keras,
        tmp_path,
        [
            layers.Resizing(6, 6),
            layers.Rescaling(1 / 16, name="digits"),
            layers.Normalization(mean=[0.3], variance=[0.14]),
            layers.Conv2D(2, 3),
        ],
        channels=1,
    )
    assert facts.pixel_range == (0, 16)
    assert "'digits'" in facts.pixel_range_reason


@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0", "MobileNetV3Small"])
def test_preprocessing_inside_a_backbone_is_found(keras: Any, tmp_path: Path, name: str) -> None:
    build = getattr(keras.applications, name)
    backbone = build(input_shape=(32, 32, 3), weights=None, include_top=False, pooling="avg")
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.RandomFlip(), backbone])
    model.save(tmp_path / "model.keras")
    facts = read(tmp_path / "model.keras").facts
    if name == "MobileNetV3Small":
        assert facts.pixel_range_reason.endswith("maps 0…255 to -1…1")
    assert facts.pixel_range == (0, 255)


def test_a_model_without_preprocessing_has_no_known_range(keras: Any, tmp_path: Path) -> None:
    facts = facts_of(keras, tmp_path, [keras.layers.Conv2D(2, 3)])
    assert (facts.pixel_range, facts.pixel_range_reason) == (None, "")


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
@pytest.mark.parametrize("family", ["resnet", "mobilenet_v2", "densenet"])
def test_preprocess_input_inside_the_graph_is_found(
    keras: Any, tmp_path: Path, generation: str, family: str
) -> None:
    library = pytest.importorskip(generation)
    image = library.Input((8, 8, 3))
    x = getattr(library.applications, family).preprocess_input(image)
    path = tmp_path / ("model.keras" if generation == "keras" else "model.h5")
    library.Model(image, library.layers.Conv2D(2, 3)(x)).save(path)
    facts = read(path).facts
    assert facts.pixel_range == (0, 255)
    words = {"resnet": "subtracts 103.9, 116.8, 123.7", "mobilenet_v2": "to -1…1", "densenet": "to 0…1"}
    assert words[family] in facts.pixel_range_reason


def test_channels_that_are_not_all_kept_state_no_range(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    twice = keras.ops.stack([image[..., 2], image[..., 1], image[..., 2]], axis=-1)
    scaled = keras.layers.Rescaling(1 / 255)(twice)
    keras.Model(image, keras.layers.Conv2D(2, 3)(scaled)).save(tmp_path / "model.keras")
    assert read(tmp_path / "model.keras").facts.pixel_range is None
