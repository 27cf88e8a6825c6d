"""Transposed convolutions of every kernel, stride, padding and dilation, in all three formats."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, read

from edgevision.converter import Converter
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS: list[Converter] = [TfliteConverter(), OnnxConverter(), OpenVINOConverter()]
EACH_CONVERTER = pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)


def geometries() -> list[dict[str, Any]]:
    """What Keras takes: dilation only with stride 1, output padding less than the stride."""
    return [
        {"kernel_size": kernel, "strides": stride, "padding": padding, "output_padding": extra}
        for kernel, stride, padding in product((1, 2, 3, 4), (1, 2, 3), ("same", "valid"))
        for extra in (None, *range(stride))
        # Keras itself cannot run an even kernel with "same" and no output padding.
        if not (padding == "same" and kernel % 2 == 0 and extra == 0)
    ] + [
        {"kernel_size": kernel, "padding": padding, "dilation_rate": (2, 3)}
        for kernel, padding in product((1, 2, 3, 4), ("same", "valid"))
    ]


@pytest.fixture(scope="module")
def every_geometry(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One model with an output for each geometry: one conversion a format instead of fifty."""
    keras.utils.set_random_seed(9)
    image = keras.Input((5, 6, 3), name="image")
    outputs = {
        f"geometry_{number}": keras.layers.Conv2DTranspose(2, **geometry, bias_initializer="ones")(image)
        for number, geometry in enumerate(geometries())
    }
    path = tmp_path_factory.mktemp("transposed") / "model.keras"
    keras.Model(image, outputs).save(path)
    return read(path)


@EACH_CONVERTER
def test_every_transposed_convolution_has_the_outputs_of_the_source(
    every_geometry: Any, converter: Converter
) -> None:
    images = np.random.default_rng(0).uniform(0, 1, (2, 5, 6, 3)).astype(np.float32)
    answers = artifact_answers(converter.convert(every_geometry, "float32", None), images)
    expected = every_geometry.run({"image": images})
    assert len(expected) == len(geometries())
    for number, geometry in enumerate(geometries()):
        name = f"geometry_{number}"
        np.testing.assert_allclose(answers[name], expected[name], atol=1e-4, err_msg=str(geometry))


@EACH_CONVERTER
@pytest.mark.parametrize("dimensions", [1, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, "same"), (2, 3, "valid"), (1, 2, "same")])
def test_one_and_three_dimensions(
    keras: Any,
    tmp_path: Path,
    converter: Converter,
    dimensions: int,
    kernel: int,
    stride: int,
    padding: str,
) -> None:
    layer = getattr(keras.layers, f"Conv{dimensions}DTranspose")(2, kernel, strides=stride, padding=padding)
    shape = (5, 4, 6)[:dimensions]
    image = keras.Input((*shape, 3), name="image")
    keras.Model(image, layer(image)).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 1, (2, *shape, 3)).astype(np.float32)
    answers = artifact_answers(converter.convert(source, "float32", None), images)
    (name,) = answers
    np.testing.assert_allclose(answers[name], source.run({"image": images})[name], atol=1e-4)


@EACH_CONVERTER
@pytest.mark.parametrize(
    "geometry",
    [
        {"kernel_size": 2, "strides": 3},
        {"kernel_size": 3, "strides": 2, "padding": "same"},
        {"kernel_size": 3, "dilation_rate": 2},
    ],
    ids=str,
)
def test_int8_transposed_convolutions_agree_with_the_source(
    keras: Any, tmp_path: Path, converter: Converter, geometry: dict[str, Any]
) -> None:
    keras.utils.set_random_seed(4)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(6, 3, activation="relu")(image)
    keras.Model(image, keras.layers.Conv2DTranspose(4, **geometry)(x)).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 1, (24, 8, 8, 3)).astype(np.float32)
    artifact = converter.convert(source, "int8", calibration_for(source, images[:16]))
    answers = artifact_answers(artifact, images[16:])
    (name,) = answers
    expected = source.run({"image": images[16:]})[name]
    assert np.mean((answers[name] - expected) ** 2) <= 0.01 * expected.var()
