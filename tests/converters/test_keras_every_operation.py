"""Every operation and every layer of Keras that an image network can have converts to every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_operations import CHANNELS, HEIGHT, REFUSED, WIDTH, layers, operations
from keras_sources import MARKS, answers_of, artifact_answers, calibration_for, read
from test_keras_conversion import CONVERTERS, converted

from edgevision.converter import Converter, PlainConverter
from edgevision.errors import ConversionError, EdgeVisionError

pytestmark = MARKS
EACH_CONVERTER = pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.format)
#: Those that some format has only by a rewrite of ours, which are tried without ``--slow`` too.
REWRITTEN = (
    (
        *("bitwise_invert", "cast:bool", "cross", "cumprod", "diagonal", "fft", "fft2", "ifft2", "irfft"),
        *("left_shift", "left_shift:places", "nancumprod", "polar", "rfft:cut", "rfft:longer", "rfft:odd"),
        *("stft:magnitude", "MelSpectrogram"),
    ),
    (
        *("CategoryEncoding:count", "CategoryEncoding:multi_hot", "Conv3D:dilated", "Conv3D:dilated_same"),
        *("Conv3D:grouped", "Masking", "Masking:sequences"),
    ),
)
#: Those that jump: a value next to a step may fall on its other side.
STEPS = frozenset(
    (
        *("Discretization", "argmax", "argmin", "argsort", "bitwise_invert", "bitwise_not", "digitize"),
        *(
            "floor_divide",
            "fmod",
            "image.rgb_to_hsv",
            "ldexp",
            "left_shift",
            "left_shift:places",
            "mod",
            "multi_hot",
        ),
        *("nanargmax", "nanargmin", "one_hot", "right_shift", "round", "saturate_cast", "top_k:indices"),
        *("bitwise_left_shift", "bitwise_right_shift", "bitwise_xor", "CategoryEncoding", "Embedding"),
    )
)
_TOLERANCE = 2e-5
_AT_A_TIME = 12


def everything(keras: Any) -> dict[str, Any]:
    return {**operations(keras), **layers(keras)}


def source_of(keras: Any, folder: Path, names: list[str]) -> tuple[Any, Any, dict[str, str]]:
    """A network with some operations on one convolution, as a source and as Keras has it.

    Returns:
        The source, the model, and name of an operation -> name of its output.
    """
    keras.utils.set_random_seed(6)
    wide = keras.initializers.RandomNormal(stddev=0.4)
    image = keras.Input((HEIGHT, WIDTH, 3), name="image")
    x = keras.layers.Conv2D(CHANNELS, 3, padding="same", kernel_initializer=wide)(image)
    outputs = {name: f"result_{number}" for number, name in enumerate(names)}
    every = everything(keras)
    model = keras.Model(image, {outputs[name]: every[name](x) for name in names})
    model.save(folder / "model.keras")
    return read(folder / "model.keras"), model, outputs


def images(count: int) -> Any:
    return np.random.default_rng(0).uniform(-1, 1, (count, HEIGHT, WIDTH, 3)).astype(np.float32)


def wrong(converter: Converter, source: Any, model: Any, outputs: dict[str, str]) -> Iterator[str]:
    """The operations whose values are not those of Keras."""
    answers = answers_of(converted(converter, source, "float32", images(8)), images(8))
    expected = model(images(8), training=False)
    for name, output in outputs.items():
        values = np.asarray(expected[output], np.float32)
        allowed = _TOLERANCE * max(1.0, float(np.abs(values).max()))
        right = np.abs(answers[output].reshape(values.shape) - values) <= allowed
        if right.mean() < (0.999 if name in STEPS else 1.0):
            yield f"{name}: {1 - right.mean():.2%} of the values differ"


@pytest.fixture(scope="module", params=REWRITTEN, ids=("operations", "layers"))
def rewritten(request: pytest.FixtureRequest, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return source_of(keras, tmp_path_factory.mktemp("rewritten"), list(request.param))


@EACH_CONVERTER
def test_what_only_a_rewrite_converts_has_the_values_of_keras(rewritten: Any, converter: Converter) -> None:
    assert list(wrong(converter, *rewritten)) == []


@pytest.mark.slow
@EACH_CONVERTER
def test_everything_else_has_the_values_of_keras(keras: Any, tmp_path: Path, converter: Converter) -> None:
    names = [name for name in everything(keras) if converter.format not in REFUSED.get(name, ())]
    found = []
    for start in range(0, len(names), _AT_A_TIME):
        found += wrong(converter, *source_of(keras, tmp_path, names[start : start + _AT_A_TIME]))
    assert found == []


@pytest.mark.slow
@EACH_CONVERTER
def test_what_no_format_computes_is_refused(keras: Any, tmp_path: Path, converter: Converter) -> None:
    for name in [name for name, formats in REFUSED.items() if converter.format in formats]:
        source, _, _ = source_of(keras, tmp_path, [name])
        with pytest.raises(ConversionError):
            converter.convert(source, "float32", None)


@pytest.mark.slow
@EACH_CONVERTER
def test_int8_is_never_worse_than_the_plain_converter(
    keras: Any, tmp_path: Path, converter: Converter
) -> None:
    assert isinstance(converter, PlainConverter)
    found = {}
    for name in [name for name in everything(keras) if converter.format not in REFUSED.get(name, ())]:
        source, model, outputs = source_of(keras, tmp_path, [name])
        output = outputs[name]
        expected = np.asarray(model(images(24), training=False)[output], np.float32)
        calibration = calibration_for(source, images(24))

        def error(artifact: Any, output: str = output, expected: Any = expected) -> float:
            found = artifact_answers(artifact, images(24))[output].reshape(expected.shape)
            return float(np.mean((found - expected) ** 2) / (expected.var() + 1e-12))

        own = error(converter.convert(source, "int8", calibration))
        try:
            plain = error(converter.convert_plain(source, "int8", calibration))
        except EdgeVisionError:
            continue
        if not own <= max(1.5 * plain, 0.005):
            found[name] = (own, plain)
    assert found == {}
