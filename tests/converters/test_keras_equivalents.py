"""Operations that a format lacks, or that a converter translates wrongly, have the outputs of the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, answers_of, read
from test_keras_conversion import CONVERTERS, converted

from edgevision.converter import Converter

pytestmark = MARKS
HEIGHT, WIDTH, CHANNELS = 12, 12, 4


def operations(keras: Any) -> dict[str, Callable[[Any], Any]]:
    """Name -> an operation on (batch, 12, 12, 4) values around zero."""
    layers, ops = keras.layers, keras.ops

    def inside(x: Any) -> Any:
        return ops.clip(x, -0.9, 0.9)

    def volume(x: Any) -> Any:
        return layers.Reshape((12, 12, 2, 2))(x)

    def integers(x: Any) -> Any:
        return ops.cast(x * 40, "int32")

    def resized(interpolation: str, **options: Any) -> Callable[[Any], Any]:
        return lambda x: ops.image.resize(x, (17, 7), interpolation=interpolation, **options)

    return {
        "acos": lambda x: ops.arccos(inside(x)),
        "acosh": lambda x: ops.arccosh(ops.abs(x) + 1.1),
        "asin": lambda x: ops.arcsin(inside(x)),
        "asinh": ops.arcsinh,
        "atan": ops.arctan,
        "atanh": lambda x: ops.arctanh(inside(x)),
        "cosh": ops.cosh,
        "erf": ops.erf,
        "normal_distribution": lambda x: 0.5 * (1 + ops.erf(x * 0.70710678)),
        "sinh": ops.sinh,
        "tan": lambda x: ops.tan(inside(x)),
        "bicubic": resized("bicubic"),
        "lanczos": resized("lanczos3"),
        "antialiased": resized("bilinear", antialias=True),
        "nearest": resized("nearest"),
        "nearest_5_from_12": lambda x: ops.image.resize(x, (5, 10), interpolation="nearest"),
        "bilinear_9_from_7": lambda x: ops.image.resize(x[:, :7], (9, 20)),
        "cropped": layers.Resizing(9, 20, crop_to_aspect_ratio=True),
        "padded": layers.Resizing(9, 20, pad_to_aspect_ratio=True),
        "largest_of_volume": lambda x: layers.MaxPooling3D(2)(volume(x)),
        "mean_of_volume": lambda x: layers.AveragePooling3D((2, 3, 2), padding="same")(volume(x)),
        "patches": lambda x: ops.image.extract_patches(x, 3, strides=2, padding="same"),
        "hue": lambda x: ops.image.rgb_to_hsv(ops.sigmoid(x[..., :3])),
        "colour": lambda x: ops.image.hsv_to_rgb(ops.sigmoid(x[..., :3])),
        "buckets": layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.25]),
        "integer_quotient": lambda x: ops.cast(integers(x) // 3, "float32"),
        "integer_remainder": lambda x: ops.cast(ops.mod(integers(x), 7), "float32"),
        "along_rows": lambda x: (
            layers.Conv2D(12, 1)(x) + np.linspace(-3, 3, 12, dtype=np.float32)[:, None, None]
        ),
        "rows_by_number": lambda x: (
            x + ops.cast(ops.reshape(ops.arange(ops.shape(x)[1]), (-1, 1, 1)), "float32")
        ),
    }


#: Those that jump: a value next to a step may fall on the other side of it.
STEPS = frozenset({"buckets", "hue", "integer_quotient", "integer_remainder"})


@pytest.fixture(scope="module")
def source(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    keras.utils.set_random_seed(6)
    image = keras.Input((HEIGHT, WIDTH, 3), name="image")
    wide = keras.initializers.RandomNormal(stddev=0.4)
    x = keras.layers.Conv2D(CHANNELS, 3, padding="same", kernel_initializer=wide)(image)
    model = keras.Model(image, {name: operation(x) for name, operation in operations(keras).items()})
    path = tmp_path_factory.mktemp("equivalents") / "model.keras"
    model.save(path)
    return read(path), model


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.format)
def test_an_artifact_computes_what_keras_computes(source: Any, converter: Converter, precision: str) -> None:
    read_source, model = source
    images = np.random.default_rng(0).uniform(-1, 1, (8, HEIGHT, WIDTH, 3)).astype(np.float32)
    answers = answers_of(converted(converter, read_source, precision, images), images)
    tolerance = 2e-5 if precision == "float32" else 0.02
    for name, expected in model(images, training=False).items():
        expected = np.asarray(expected, np.float32)
        allowed = tolerance * max(1.0, float(np.abs(expected).max()))
        right = np.abs(answers[name].reshape(expected.shape) - expected) <= allowed
        required = (0.999 if precision == "float32" else 0.95) if name in STEPS else 1.0
        assert right.mean() >= required, name


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.format)
def test_int8_has_them_too(keras: Any, tmp_path: Path, converter: Converter) -> None:
    keras.utils.set_random_seed(7)
    kept = {
        name: each
        for name, each in operations(keras).items()
        if name in ("atan", "bicubic", "erf", "patches")
    }
    image = keras.Input((HEIGHT, WIDTH, 3), name="image")
    x = keras.layers.Conv2D(CHANNELS, 3, padding="same")(image)
    keras.Model(image, {name: operation(x) for name, operation in kept.items()}).save(
        tmp_path / "model.keras"
    )
    source = read(tmp_path / "model.keras")
    images = np.random.default_rng(1).uniform(-1, 1, (24, HEIGHT, WIDTH, 3)).astype(np.float32)
    answers = answers_of(converted(converter, source, "int8", images[:16]), images[16:])
    for name, expected in source.run({"image": images[16:]}).items():
        assert np.mean((answers[name] - expected) ** 2) < 0.002 * expected.var(), name


def test_gelu_stays_one_operator(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, activation="gelu")(image)
    keras.Model(image, keras.layers.Dense(2, name="scores")(keras.layers.Flatten()(x))).save(
        tmp_path / "m.keras"
    )
    tflite = next(each for each in CONVERTERS if each.format == "tflite")
    content = tflite.convert(read(tmp_path / "m.keras"), "float32", None).files["model.tflite"]
    from edgevision_keras.quantization.tflite_file import operators, parsed

    names = [operator.operation for operator in operators(parsed(content))]
    assert "GELU" in names
    assert "DIV" not in names
