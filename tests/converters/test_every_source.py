"""Every kind of source becomes every kind of artifact: one small network in all files that people have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, calibration_for, read
from test_keras_conversion import BACKENDS, CONVERTERS, answers_of

from edgevision.artifact import CALIBRATED
from edgevision.converter import Converter
from edgevision.plugins import registry
from edgevision.session import open_session

pytestmark = MARKS
SIZE, CLASSES = 12, 3
#: Largest difference of softmax scores from those of the float32 model.
ALLOWED = {"float32": 1e-4, "float16": 5e-3, "int16x8": 0.03, "int8-dynamic": 0.05}
ALLOWED_INT8 = 0.12


def images(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.float32)


def network(keras: Any, dtype: str | None = None, channels_first: bool = False, **shape: Any) -> Any:
    """The layers of the network in one generation of Keras, under a dtype policy."""
    layers, axis = keras.layers, {"data_format": "channels_first"} if channels_first else {}
    options = {} if dtype is None else {"dtype": dtype}
    image = keras.Input(**(shape or {"shape": (SIZE, SIZE, 3)}), name="image")
    x = layers.Rescaling(1 / 255, **options)(image)
    x = layers.Conv2D(6, 3, strides=2, use_bias=False, **axis, **options)(x)
    x = layers.BatchNormalization(axis=1 if channels_first else -1, **options)(x)
    x = layers.ReLU(**options)(x)
    x = layers.DepthwiseConv2D(3, activation="relu", **axis, **options)(x)
    x = layers.GlobalAveragePooling2D(**axis, **options)(x)
    scores = layers.Dense(CLASSES, activation="softmax", name="scores", **options)(x)
    return keras.Model(image, scores)


@pytest.fixture(scope="module")
def weights() -> list[Any]:
    """Weights that give three classes clearly different scores."""
    rng = np.random.default_rng(3)
    return [
        rng.normal(0, 0.6, (3, 3, 3, 6)),
        np.linspace(0.5, 1.5, 6),
        np.linspace(-0.2, 0.4, 6),
        np.linspace(-0.3, 0.3, 6),
        np.linspace(0.5, 1.5, 6),
        rng.normal(0, 0.5, (3, 3, 6, 1)),
        rng.normal(0, 0.1, 6),
        rng.normal(0, 1.5, (6, CLASSES)),
        rng.normal(0, 0.3, CLASSES),
    ]


@pytest.fixture(scope="module")
def build(keras: Any, tf_keras: Any, weights: list[Any]) -> Callable[..., Any]:
    def with_weights(generation: int = 3, dtype: str | None = None, **options: Any) -> Any:
        model = network(keras if generation == 3 else tf_keras, dtype, **options)
        model.set_weights([np.asarray(values, np.float32) for values in weights])
        return model

    return with_weights


def keras_file(build: Callable[..., Any], path: Path) -> Path:
    build().save(path.with_suffix(".keras"))
    return path.with_suffix(".keras")


def keras_3_h5(build: Callable[..., Any], path: Path) -> Path:
    build().save(path.with_suffix(".h5"))
    return path.with_suffix(".h5")


def keras_2_h5(build: Callable[..., Any], path: Path) -> Path:
    build(2).save(path.with_suffix(".h5"))
    return path.with_suffix(".h5")


def keras_2_file(build: Callable[..., Any], path: Path) -> Path:
    build(2).save(path.with_suffix(".keras"))
    return path.with_suffix(".keras")


def without_suffix(build: Callable[..., Any], path: Path) -> Path:
    return keras_file(build, path).rename(path)


def with_another_suffix(build: Callable[..., Any], path: Path) -> Path:
    return keras_3_h5(build, path).rename(path.with_suffix(".model"))


def exported(build: Callable[..., Any], path: Path) -> Path:
    build().export(path, verbose=False)
    return path


def saved_by_keras_2(build: Callable[..., Any], path: Path) -> Path:
    build(2).save(path, save_format="tf")
    return path


def saved_by_tensorflow(build: Callable[..., Any], path: Path) -> Path:
    import tensorflow as tf

    tf.saved_model.save(build(), str(path))
    return path


def module_of_batch(batch: int | None) -> Callable[..., Path]:
    def save(build: Callable[..., Any], path: Path) -> Path:
        import tensorflow as tf

        class Module(tf.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = build()

            @tf.function(input_signature=[tf.TensorSpec((batch, SIZE, SIZE, 3), tf.float32, name="image")])
            def serve(self, image: Any) -> Any:
                return {"scores": self.model(image, training=False)}

        tf.saved_model.save(Module(), str(path))
        return path

    return save


def of_dtype(dtype: str, form: str = ".keras", generation: int = 3) -> Callable[..., Path]:
    def save(build: Callable[..., Any], path: Path) -> Path:
        model = build(generation, dtype)
        if form:
            model.save(path.with_suffix(form))
            return path.with_suffix(form)
        model.export(path, verbose=False)
        return path

    return save


def of_fixed_batch(build: Callable[..., Any], path: Path) -> Path:
    build(batch_shape=(1, SIZE, SIZE, 3)).save(path.with_suffix(".keras"))
    return path.with_suffix(".keras")


SOURCES: dict[str, Callable[..., Path]] = {
    "keras3.keras": keras_file,
    "keras3.h5": keras_3_h5,
    "keras2.h5": keras_2_h5,
    "keras2.keras": keras_2_file,
    "without-suffix": without_suffix,
    "another-suffix": with_another_suffix,
    "export": exported,
    "tf_keras-save": saved_by_keras_2,
    "saved_model-save": saved_by_tensorflow,
    "module-open-batch": module_of_batch(None),
    "module-batch-1": module_of_batch(1),
    "module-batch-4": module_of_batch(4),
    "keras-batch-1": of_fixed_batch,
    "mixed_float16.keras": of_dtype("mixed_float16"),
    "mixed_bfloat16.h5": of_dtype("mixed_bfloat16", ".h5"),
    "float16.keras": of_dtype("float16"),
    "float64.keras": of_dtype("float64"),
    "keras2-mixed_float16.h5": of_dtype("mixed_float16", ".h5", 2),
    "keras2-float64.h5": of_dtype("float64", ".h5", 2),
    "mixed_float16-export": of_dtype("mixed_float16", ""),
    "mixed_bfloat16-export": of_dtype("mixed_bfloat16", ""),
    "float64-export": of_dtype("float64", ""),
}


@pytest.fixture(scope="module", params=SOURCES.values(), ids=SOURCES.keys())
def source(request: pytest.FixtureRequest, build: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("every")
    source = read(request.param(build, folder / "model"))
    # An artifact starts from what was read, and never from the file.
    shutil.rmtree(folder)
    return source


@pytest.fixture(scope="module")
def expected(build: Any) -> Any:
    return np.asarray(build()(images(20, seed=1), training=False))


def test_the_source_has_the_answers_of_the_float32_model(source: Any, expected: Any) -> None:
    answers = source.run({source.inputs[0].name: images(20, seed=1)})[source.outputs[0].name]
    # A network with float16 weights is another one.
    np.testing.assert_allclose(
        answers, expected, atol=3e-3 if "(float16, comp" in source.description else 1e-5
    )
    assert source.facts.pixel_range == (0, 255)
    assert source.facts.score_kind == "softmax"


@pytest.mark.parametrize(
    ("converter", "precision"),
    [
        pytest.param(converter, precision, id=f"{converter.format}-{precision}")
        for converter in CONVERTERS
        for precision in converter.precisions
    ],
)
def test_an_artifact_has_the_answers_of_the_source(
    source: Any, calibration: Any, converter: Converter, precision: str
) -> None:
    artifact = converter.convert(source, precision, calibration if precision in CALIBRATED else None)
    examples = images(20, seed=1)
    session = open_session(registry().backends()[BACKENDS[converter.format]], artifact)
    (answers,) = answers_of(session, examples).values()
    (expected,) = source.run({source.inputs[0].name: examples}).values()
    np.testing.assert_allclose(answers, expected, atol=ALLOWED.get(precision, ALLOWED_INT8))


@pytest.fixture(scope="module")
def calibration(source: Any) -> Any:
    """The same object for all artifacts of a source, so that it is prepared once."""
    return calibration_for(source, images(16, seed=2))
