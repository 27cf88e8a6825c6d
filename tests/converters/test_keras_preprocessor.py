"""The preprocessor of a KerasHub task is no part of its graph: it is read from the model's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS

from edgevision.converter import SourceOptions
from edgevision.evaluation.source_model import stated_normalization
from edgevision.imaging.input_options import InputOptions, resolve_preprocessing
from edgevision_keras.reading.preprocessor import stated_preprocessing
from edgevision_keras.reading.reader import KerasReader

pytestmark = MARKS


def task_config(**converter: Any) -> dict[str, Any]:
    """The configuration of a task as KerasHub 0.32 writes it, without what is not read."""
    fields = {
        "image_size": [24, 32],
        "scale": 1 / 255,
        "offset": None,
        "interpolation": "bilinear",
        "antialias": False,
        "crop_to_aspect_ratio": True,
        "pad_to_aspect_ratio": False,
        **converter,
    }
    image_converter = {"class_name": "ImageConverter", "config": fields}
    preprocessor = {"class_name": "Preprocessor", "config": {"image_converter": image_converter}}
    return {"class_name": "ResNetImageClassifier", "config": {"preprocessor": preprocessor}}


def test_one_scale_and_offset_are_a_value_range() -> None:
    stated = stated_preprocessing(task_config(scale=2 / 255, offset=-1.0))
    assert stated is not None
    assert stated.value_range == pytest.approx((-1, 1))
    assert (stated.mean, stated.scale, stated.size_wh) == ((0,), (1,), (32, 24))
    assert (stated.resize, stated.interpolation) == ("center-crop", "bilinear")


def test_a_scale_per_channel_is_a_mean_and_a_deviation() -> None:
    scale, offset = [0.017, 0.0175, 0.0174], [-2.1, -2.0, -1.8]
    stated = stated_preprocessing(task_config(scale=scale, offset=offset))
    assert stated is not None
    assert stated.value_range == (0, 255)
    pixels = np.array([10.0, 100.0, 200.0])
    values = (pixels - np.array(stated.mean)) / np.array(stated.scale)
    np.testing.assert_allclose(values, pixels * scale + np.array(offset))


@pytest.mark.parametrize(
    ("fields", "resize", "interpolation"),
    [
        ({"crop_to_aspect_ratio": False}, "stretch", "bilinear"),
        ({"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True}, "letterbox", "bilinear"),
        ({"interpolation": "nearest", "antialias": True}, "center-crop", "nearest"),
        ({"interpolation": "bicubic", "antialias": True}, "center-crop", "bicubic with antialiasing"),
        ({"image_size": None}, None, None),
    ],
)
def test_the_way_of_resizing_is_read(fields: dict[str, Any], resize: Any, interpolation: Any) -> None:
    stated = stated_preprocessing(task_config(**fields))
    assert stated is not None
    assert (stated.resize, stated.interpolation) == (resize, interpolation)


@pytest.mark.parametrize(
    "fields", [{"scale": "1/255"}, {"scale": 0}, {"scale": -1.0}, {"offset": [1, 2]}, {"scale": True}]
)
def test_fields_that_keras_hub_does_not_write_state_nothing(fields: dict[str, Any]) -> None:
    assert stated_preprocessing(task_config(**fields)) is None


@pytest.mark.parametrize("config", [None, [], {}, {"config": None}, {"config": {"preprocessor": 3}}])
def test_other_models_state_nothing(config: Any) -> None:
    assert stated_preprocessing(config) is None


def test_a_classifier_of_keras_hub_needs_no_option(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    backbone = hub.models.VGGBackbone(stackwise_num_repeats=[1], stackwise_num_filters=[4])
    converter = hub.layers.ImageConverter(image_size=(24, 32), scale=2 / 255, offset=-1.0)
    preprocessor = hub.models.ImageClassifierPreprocessor(image_converter=converter)
    task = hub.models.ImageClassifier(backbone=backbone, num_classes=3, preprocessor=preprocessor)
    task.save(tmp_path / "task.keras")
    options = SourceOptions(imports=("keras_hub",))
    source = KerasReader().read_with_options(
        tmp_path / "task.keras", options, trust_source=False, input_size_wh=None
    )
    assert source.inputs[0].shape == (None, 24, 32, 3)  # the backbone takes any size
    found = resolve_preprocessing(source.inputs[0], InputOptions(), stated_normalization(source.facts), "m")
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    np.testing.assert_allclose(
        found.value_range[0] + picture / 255 * (found.value_range[1] - found.value_range[0]),
        np.asarray(preprocessor(picture)),
        atol=1e-5,
    )
    assert found.resize == "center-crop"
