"""Inputs that stand for an image become one: grey without a channel axis, flat, channels first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, read
from test_keras_conversion import CONVERTERS, answers_of, converted

from edgevision.converter import Converter
from edgevision.errors import OptionError, SourceError
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CASES: dict[str, tuple[tuple[int | None, ...], tuple[int, int] | None, tuple[int, int, int]]] = {
    "grey": ((12, 10), None, (12, 10, 1)),
    "grey of any size": ((None, None), (10, 12), (12, 10, 1)),
    "one channel": ((12, 10, 1), None, (12, 10, 1)),
    "flat grey": ((120,), (10, 12), (12, 10, 1)),
    "flat colour": ((360,), (10, 12), (12, 10, 3)),
    "channels first": ((3, 12, 10), None, (3, 12, 10)),
    "channels first of any size": ((3, None, None), (10, 12), (3, 12, 10)),
}
EACH_CASE = pytest.mark.parametrize(("shape", "size_wh", "expected"), CASES.values(), ids=CASES.keys())


def model_of(keras: Any, shape: tuple[int | None, ...]) -> Any:
    keras.utils.set_random_seed(4)
    image = keras.Input(shape, name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    if len(shape) == 3 and shape[0] == 3:
        axes = {"data_format": "channels_first"}
        x = keras.layers.MaxPooling2D(**axes)(keras.layers.Conv2D(4, 3, activation="relu", **axes)(x))
        x = keras.layers.GlobalAveragePooling2D(**axes)(keras.layers.BatchNormalization(axis=1)(x))
    elif None in shape:
        x = keras.layers.Reshape((12, 10, 1))(x)
        x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(x))
    else:
        x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(3, name="scores")(x))


@EACH_CASE
@pytest.mark.parametrize("form", ["model.keras", "model"])
def test_an_image_in_another_shape_has_the_answers_of_the_model(
    tmp_path: Path, keras: Any, form: str, shape: Any, size_wh: Any, expected: Any
) -> None:
    model = model_of(keras, shape)
    if form == "model":
        model.export(tmp_path / form, verbose=False)
    else:
        model.save(tmp_path / form)
    source = read(tmp_path / form, input_size_wh=size_wh)
    assert source.inputs[0].shape == (None, *expected)
    images = np.random.default_rng(0).uniform(0, 255, (5, *expected)).astype(np.float32)
    own = (size or given for size, given in zip(shape, expected, strict=False))
    answers = np.asarray(model(images.reshape(5, *own), training=False))
    np.testing.assert_allclose(
        source.run({"image": images})["scores" if form != "model" else "output_0"], answers, atol=1e-4
    )


@EACH_CASE
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.format)
def test_its_artifacts_have_the_answers_of_the_source(
    tmp_path: Path, keras: Any, converter: Converter, precision: str, shape: Any, size_wh: Any, expected: Any
) -> None:
    model_of(keras, shape).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras", input_size_wh=size_wh)
    images = np.random.default_rng(1).uniform(0, 255, (16, *expected)).astype(np.float32)
    answers = answers_of(converted(converter, source, precision, images), images)["scores"]
    own = source.run({"image": images})["scores"]
    allowed = 1e-4 if precision == "float32" else 0.1 * float(np.abs(own).max())
    np.testing.assert_allclose(answers, own, atol=allowed)


@pytest.mark.parametrize(("size_wh", "words"), [((10, 13), r"has 120 values; expected 130 \(grey\) or 390")])
def test_a_size_that_a_flat_input_cannot_have_is_refused(
    tmp_path: Path, keras: Any, size_wh: Any, words: str
) -> None:
    model_of(keras, (120,)).save(tmp_path / "model.keras")
    with pytest.raises(OptionError, match=words):
        read(tmp_path / "model.keras", input_size_wh=size_wh)


def test_a_flat_input_without_a_size_stays_a_vector(tmp_path: Path, keras: Any) -> None:
    model_of(keras, (120,)).save(tmp_path / "model.keras")
    assert read(tmp_path / "model.keras").inputs[0].shape == (None, 120)


def test_a_narrow_table_stays_a_table(tmp_path: Path, keras: Any) -> None:
    model_of(keras, (120, 4)).save(tmp_path / "model.keras")
    assert read(tmp_path / "model.keras").inputs[0].shape == (None, 120, 4)


@pytest.mark.parametrize(
    "recurrent",
    ["LSTM", "GRU", "SimpleRNN", "Bidirectional"],
)
@pytest.mark.parametrize("generation", [2, 3])
def test_recurrent_layers_convert_to_every_format(
    tmp_path: Path, keras: Any, tf_keras: Any, recurrent: str, generation: int
) -> None:
    layers = (keras if generation == 3 else tf_keras).layers
    layer = (
        layers.Bidirectional(layers.LSTM(3))
        if recurrent == "Bidirectional"
        else getattr(layers, recurrent)(3)
    )
    library = keras if generation == 3 else tf_keras
    image = library.Input((12, 10), name="image")
    library.Model(image, layers.Dense(3, name="scores")(layer(image))).save(tmp_path / "model.h5")
    source = read(tmp_path / "model.h5")
    images = np.random.default_rng(1).uniform(0, 1, (16, 12, 10, 1)).astype(np.float32)
    own = source.run({"image": images})["scores"]
    for converter in CONVERTERS:
        answers = answers_of(converted(converter, source, "float32", images), images)["scores"]
        np.testing.assert_allclose(answers, own, atol=1e-4)


@pytest.mark.parametrize("kind", ["tuple", "dict", "nest"])
def test_outputs_in_a_nest_have_names(tmp_path: Path, keras: Any, kind: str) -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D()(image)
    one, two = keras.layers.Dense(2, name="one")(x), keras.layers.Dense(3, name="two")(x)
    outputs = {"tuple": (one, two), "dict": {"b": one, "a": two}, "nest": {"heads": [one, two]}}[kind]
    names = {"tuple": ["one", "two"], "dict": ["a", "b"], "nest": ["heads_0", "heads_1"]}[kind]
    model = keras.Model(image, outputs)
    model.save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    assert [spec.name for spec in source.outputs] == names
    images = np.ones((2, 8, 8, 3), np.float32)
    answers = source.run({"image": images})
    expected = keras.tree.flatten(model(images))
    for values in expected:
        assert any(
            answer.shape == values.shape and np.allclose(answer, values) for answer in answers.values()
        )


def test_sizes_that_keras_declares_are_kept(tmp_path: Path, keras: Any) -> None:
    """TensorFlow cannot infer them: the sizes of a loop over a sequence."""
    image = keras.Input((12, 10), name="image")
    rows = keras.layers.LSTM(4, return_sequences=True)(image)
    model = keras.Model(image, keras.layers.Dense(3, name="scores")(rows))
    model.export(tmp_path / "model", verbose=False)
    assert read(tmp_path / "model").outputs[0].shape == (None, 12, 3)


# ---- answers that depend on more than the image ----------------------------------------------


def test_a_model_with_random_answers_is_refused_by_its_layer(tmp_path: Path, keras: Any) -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3)(keras.layers.RandomFlip(name="flip")(image))
    keras.Model(image, keras.layers.Flatten(name="flat")(x)).export(tmp_path / "model", verbose=False)
    with pytest.raises(SourceError, match=r"layer 'flip\w*' draws random numbers.*convert the \.keras file"):
        read(tmp_path / "model")


def test_augmentation_is_inactive_in_a_keras_file(tmp_path: Path, keras: Any) -> None:
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    x = layers.RandomContrast(0.5)(layers.RandomRotation(0.5)(layers.RandomFlip()(image)))
    keras.Model(image, layers.Flatten(name="flat")(layers.Dropout(0.5)(x))).save(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    answers = read(tmp_path / "model.keras").run({"image": images})["flat"]
    np.testing.assert_array_equal(answers, images.reshape(2, -1))


def test_a_model_that_mixes_the_images_of_a_batch_is_refused(tmp_path: Path, keras: Any) -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(image), training=True)
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)).export(tmp_path / "model", verbose=False)
    with pytest.raises(
        SourceError, match="'output_0' for one image depends on the other images of the batch"
    ):
        read(tmp_path / "model")


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_model_that_keras_has_quantized_is_read_with_its_weights_and_activations_in_float(
    tmp_path: Path, keras: Any, mode: str
) -> None:
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    model.layers[-1].quantize(mode)
    model.save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    assert source.description == f"Keras 3 .keras file (weights {mode} by Keras)"
    images = np.random.default_rng(1).random((5, 8, 8, 3), np.float32)
    (outputs,) = source.run({source.inputs[0].name: images}).values()
    np.testing.assert_allclose(outputs, model(images), atol=0.05)
    # TFLite has no kernel for Keras's own product of integers.
    (answers,) = artifact_answers(TfliteConverter().convert(source, "float32", None), images).values()
    np.testing.assert_allclose(answers, outputs, atol=1e-5)


def test_layers_of_several_dtype_policies_are_read_in_float32(tmp_path: Path, keras: Any) -> None:
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, dtype="mixed_float16")(image)
    x = layers.Conv2D(4, 3, dtype=keras.DTypePolicy("mixed_bfloat16"))(x)
    x = layers.Flatten(dtype="float64", name="flat")(keras.ops.cast(x, "float64"))
    keras.Model(image, x).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    assert source.description == ("Keras 3 .keras file (bfloat16, float16, float64, computed in float32)")
    kinds = {tensor.dtype.name for op in source.trace.frozen.graph.get_operations() for tensor in op.outputs}
    assert not kinds & {"bfloat16", "float16", "float64"}
    images = np.random.default_rng(1).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    for converter in CONVERTERS:
        answers = answers_of(converted(converter, source, "float32", images), images)["flat"]
        np.testing.assert_allclose(answers, source.run({"image": images})["flat"], atol=1e-5)
