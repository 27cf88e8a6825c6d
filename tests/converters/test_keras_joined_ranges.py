"""Values of very different ranges in one tensor, as boxes in pixels beside scores, at int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images, read

from edgevision.converter import Converter
from edgevision.errors import ConversionError
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS: list[Converter] = [TfliteConverter(), OnnxConverter(), OpenVINOConverter()]


def detector(keras: Any, folder: Path, *, transposed: bool, levels: int) -> Any:
    """A one-tensor head: (rows, 4 pixels up to 640 and 3 scores), or its transpose, of one or more levels."""
    keras.utils.set_random_seed(12)
    layers = keras.layers
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    heads = []
    for level in range(levels):
        x = layers.Conv2D(8, 3, strides=1 + level, padding="same", activation="relu")(x)
        places = (8 // (1 + level)) ** 2
        boxes = layers.Rescaling(640.0)(layers.Conv2D(4, 1, activation="sigmoid")(x))
        scores = layers.Conv2D(3, 1, activation="sigmoid", kernel_initializer="random_normal")(x)
        heads.append(
            layers.Concatenate()([layers.Reshape((places, 4))(boxes), layers.Reshape((places, 3))(scores)])
        )
    y = layers.Concatenate(axis=1)(heads) if levels > 1 else heads[0]
    y = layers.Permute((2, 1), name="found")(y) if transposed else layers.Identity(name="found")(y)
    keras.Model(image, y).save(folder / "model.keras")
    return read(folder / "model.keras")


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)
@pytest.mark.parametrize(("transposed", "levels"), [(False, 1), (True, 1), (False, 2), (True, 2)])
def test_scores_beside_boxes_in_pixels_keep_their_precision(
    keras: Any, tmp_path: Path, converter: Converter, transposed: bool, levels: int
) -> None:
    source = detector(keras, tmp_path, transposed=transposed, levels=levels)
    images = coloured_images(40, seed=71)[0]
    artifact = converter.convert(source, "int8", calibration_for(source, images[:24]))
    (name,) = (spec.name for spec in source.outputs)
    found, expected = artifact_answers(artifact, images[24:])[name], source.run({"image": images[24:]})[name]
    if transposed:
        found, expected = np.swapaxes(found, 1, 2), np.swapaxes(expected, 1, 2)
    assert np.abs(found[..., 4:] - expected[..., 4:]).max() < 0.02
    assert np.abs(found[..., :4] - expected[..., :4]).max() < 0.03 * 640


def test_the_joining_operations_are_named(keras: Any, tmp_path: Path) -> None:
    source = detector(keras, tmp_path, transposed=False, levels=1)
    calibration = calibration_for(source, coloured_images(12, seed=72)[0])
    record = TfliteConverter().convert(source, "int8", calibration).quantization
    assert record is not None
    reasons = {each.operation: each.reason for each in record.float_operations}
    assert reasons["CONCATENATION"] == "joins tensors of different ranges"


def test_full_integer_refuses_one_scale_for_both(keras: Any, tmp_path: Path) -> None:
    source = detector(keras, tmp_path, transposed=False, levels=1)
    calibration = calibration_for(source, coloured_images(12, seed=73)[0])
    with pytest.raises(ConversionError, match=r"joins tensors of very different ranges.*separate outputs"):
        TfliteConverter().convert_full_integer(source, "int8", calibration)


def heads(keras: Any) -> dict[str, Callable[[Any], Any]]:
    """Name -> an output of (batch, 8, 8, 8) features, with numbers of different units along its last axis."""
    layers, ops = keras.layers, keras.ops
    per_channel = np.array([640.0] * 4 + [1.0] * 3, np.float32)
    anchors = np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(64, 2).astype(np.float32) * 80

    def rows(x: Any, count: int, activation: str | None = None) -> Any:
        wide = keras.initializers.RandomNormal(stddev=0.4, seed=count)
        found = layers.Conv2D(count, 1, activation=activation, kernel_initializer=wide)(x)
        return layers.Reshape((64, count))(found)

    def joined(x: Any) -> Any:
        return ops.concatenate([640 * rows(x, 4, "sigmoid"), rows(x, 3, "sigmoid")], -1)

    def of_distances(x: Any) -> Any:
        shares = ops.softmax(ops.reshape(rows(x, 32), (-1, 64, 4, 8)), -1)
        found = ops.sum(shares * np.arange(8, dtype=np.float32), -1)
        corners = ops.subtract(anchors / 80, found[..., :2]), ops.add(anchors / 80, found[..., 2:])
        box = [(corners[0] + corners[1]) * 40, (corners[1] - corners[0]) * 80]
        return ops.concatenate([*box, rows(x, 3, "sigmoid")], -1)

    def of_one_layer(x: Any) -> Any:
        y = rows(x, 7, "sigmoid")
        centre, size = (y[..., :2] * 2 - 0.5) * 80 + anchors, (y[..., 2:4] * 2) ** 2 * np.float32(60)
        return ops.concatenate([centre, size, y[..., 4:]], -1)

    def padded_sum(x: Any) -> Any:
        boxes = ops.pad(640 * rows(x, 4, "sigmoid"), [[0, 0], [0, 0], [0, 3]])
        return boxes + ops.pad(rows(x, 3, "sigmoid"), [[0, 0], [0, 0], [4, 0]])

    def chosen(x: Any) -> Any:
        y = rows(x, 7, "sigmoid")
        return ops.where(per_channel > 1, 640 * y, y)

    return {
        "landmarks": lambda x: ops.concatenate([100 * rows(x, 10), rows(x, 1, "sigmoid")], -1),
        "anchors_added": lambda x: ops.concatenate([8 * rows(x, 2) + anchors, rows(x, 3, "sigmoid")], -1),
        "stacked": lambda x: ops.stack([640 * rows(x, 1, "sigmoid"), rows(x, 2, "sigmoid")[..., :1]], -1),
        "factor_per_channel": lambda x: rows(x, 7, "sigmoid") * per_channel,
        "normalized_after": lambda x: joined(x) / per_channel,
        "cut_out_again": lambda x: joined(x)[..., 4:],
        "largest_score": lambda x: ops.max(joined(x)[..., 4:], -1, keepdims=True),
        "distances": of_distances,
        "one_layer": of_one_layer,
        "padded_sum": padded_sum,
        "chosen": chosen,
    }


def errors_per_channel(found: Any, expected: Any) -> Any:
    """Mean squared errors over the variance among images, per channel of the last axis."""
    axes = tuple(range(expected.ndim - 1))
    return ((found - expected) ** 2).mean(axes) / expected.var(0).reshape(-1, expected.shape[-1]).mean(0)


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)
def test_each_part_keeps_its_precision(keras: Any, tmp_path: Path, converter: Converter) -> None:
    keras.utils.set_random_seed(12)
    image = keras.Input((16, 16, 3), name="image")
    first = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")
    x = first(keras.layers.Rescaling(1 / 255)(image))
    keras.Model(image, {name: head(x) for name, head in heads(keras).items()}).save(tmp_path / "model.keras")
    source, images = read(tmp_path / "model.keras"), coloured_images(40, seed=71)[0]
    artifact = converter.convert(source, "int8", calibration_for(source, images))
    answers, expected = artifact_answers(artifact, images), source.run({"image": images})
    errors = {name: errors_per_channel(answers[name], expected[name]).max() for name in heads(keras)}
    assert {name: error for name, error in errors.items() if not error < 0.03} == {}


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)
def test_a_last_layer_with_outputs_of_different_units_stays_in_float(
    keras: Any, tmp_path: Path, converter: Converter
) -> None:
    keras.utils.set_random_seed(13)
    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    units = keras.layers.Dense(5, name="box_and_score")
    model = keras.Model(image, units(keras.layers.GlobalAveragePooling2D()(x)))
    units.kernel.assign(np.asarray(units.kernel) * np.array([300.0] * 4 + [1.0], np.float32))
    model.save(tmp_path / "model.keras")
    source, images = read(tmp_path / "model.keras"), coloured_images(40, seed=74)[0]
    artifact = converter.convert(source, "int8", calibration_for(source, images))
    (name,) = (spec.name for spec in source.outputs)
    expected = source.run({"image": images})[name]
    errors = errors_per_channel(artifact_answers(artifact, images)[name], expected)
    assert errors.max() < 0.005
