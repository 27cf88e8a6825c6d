"""Networks that are trained for int8, against the artifacts that they simulate, on real runtimes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images, read

import edgevision
from edgevision.artifact import FROM_TRAINING
from edgevision.errors import OptionError, SourceError
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.reading.reader import KerasReader
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
TARGETS = ["raspberry-pi-5", "intel-cpu", "onnx-cpu"]
EACH_CONVERTER = pytest.mark.parametrize(
    "converter",
    [TfliteConverter(), OpenVINOConverter(), OnnxConverter(), OnnxConverter().symmetric()],
    ids=["tflite", "openvino", "onnx", "onnx-symmetric"],
)


def aware(model: Any) -> Any:
    return edgevision.quantization_aware(model, TARGETS)


def fitted(model: Any, rate: float = 1e-3, steps: int = 8) -> Any:
    """The model after a few steps on coloured images."""
    keras = pytest.importorskip("keras")
    images, labels = coloured_images(16 * steps, seed=51)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", run_eagerly=True, jit_compile=False
    )
    model.fit(images, labels, batch_size=16, verbose=0)
    return model


def with_statistics(model: Any) -> Any:
    """The model with normalizations that are not those of a new one."""
    rng = np.random.default_rng(3)
    for weight in model.weights:
        kind = weight.path.rpartition("/")[2]
        if kind in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.3, 2, weight.shape))
        elif kind in ("beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def branches(keras: Any) -> Any:
    """Every kind of layer that has ranges of its own, in a functional model with a nested sequential one."""
    layers = keras.layers
    stem = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem_conv"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
        ],
        name="stem",
    )
    picture = keras.Input((16, 16, 3), name="picture")
    x = stem(layers.Rescaling(1 / 127.5, -1)(picture))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 1)(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    z = layers.LeakyReLU(negative_slope=0.1)(layers.Conv2D(4, 1)(x))
    x = layers.Concatenate()([layers.SeparableConv2D(8, 3, padding="same", activation="swish")(x), z])
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Reshape((16, 24))(layers.MaxPooling2D(2)(x)[:, :, :, :6])
    x = layers.Conv1D(6, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(layers.Dense(6, activation="hard_sigmoid")(x))
    return with_statistics(keras.Model(picture, layers.Dense(4, activation="softmax", name="colour")(x)))


@pytest.fixture(scope="module", params=["branches", "sequential"])
def taught(keras: Any, trained: Any, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Path:
    """A file of a network that was trained for int8."""
    keras.utils.set_random_seed(5)
    path: Path = tmp_path_factory.mktemp("taught") / "taught.keras"
    fitted(aware(branches(keras) if request.param == "branches" else trained)).save(path)
    return path


@pytest.fixture(scope="module")
def taught_source(taught: Path) -> Any:
    return read(taught)


@EACH_CONVERTER
def test_artifacts_answer_as_the_training_simulated_without_calibration(
    taught_source: Any, converter: Any
) -> None:
    images = coloured_images(48, seed=52)[0]
    expected = taught_source.run({"picture": images})["colour"]
    artifact = converter.convert(taught_source, "int8", None)
    assert artifact.quantization.range_rule == FROM_TRAINING
    error = np.abs(artifact_answers(artifact, images)["colour"] - expected)
    # The scores of an int8 output have steps of 1/256; activations without a zero point have other steps.
    allowed = 0.01 if vars(converter).get("_symmetric_int8") else 0.004
    assert error.mean() < allowed
    assert error.max() < 10 * allowed


def test_int8_without_the_training_ranges_is_farther_from_what_was_trained(taught_source: Any) -> None:
    """The comparison above can fail: ranges that are a fifth narrower are seen."""
    images = coloured_images(48, seed=52)[0]
    expected = taught_source.run({"picture": images})["colour"]
    prepared = taught_source.prepared_for_int8(None)
    own = dict(prepared.trained_ranges)
    trained = artifact_answers(OnnxConverter().convert(taught_source, "int8", None), images)["colour"]
    try:
        for name, (low, high) in own.items():
            prepared.trained_ranges[name] = 0.8 * low, 0.8 * high
        other = artifact_answers(OnnxConverter().convert(taught_source, "int8", None), images)["colour"]
    finally:
        prepared.trained_ranges.update(own)
    assert np.abs(other - expected).mean() > 2 * np.abs(trained - expected).mean()


def test_devices_without_float_get_it_too(taught_source: Any) -> None:
    images = coloured_images(16, seed=53)[0]
    artifact = TfliteConverter().convert_full_integer(taught_source, "int8", None)
    error = artifact_answers(artifact, images)["colour"] - taught_source.run({"picture": images})["colour"]
    assert np.abs(error).mean() < 0.004


def test_calibration_images_change_no_range(taught_source: Any) -> None:
    images = coloured_images(24, seed=54)[0]
    calibration = calibration_for(taught_source, images * 0.1)
    without, given = (
        artifact_answers(OnnxConverter().convert(taught_source, "int8", each), images)["colour"]
        for each in (None, calibration)
    )
    assert np.array_equal(without, given)


@pytest.mark.parametrize("converter", [TfliteConverter(), OnnxConverter()], ids=["tflite", "onnx"])
def test_float_artifacts_round_weights_and_no_activations(taught_source: Any, converter: Any) -> None:
    import tensorflow as tf

    images = coloured_images(24, seed=55)[0]
    answers = artifact_answers(converter.convert(taught_source, "float32", None), images)["colour"]
    in_float = taught_source.trace.frozen(tf.constant(images))[0].numpy()
    assert np.abs(answers - in_float).max() < 1e-4
    assert 0 < np.abs(answers - taught_source.run({"picture": images})["colour"]).max() < 0.1


def test_a_new_model_has_rounded_weights_alone_and_names_and_weights_of_its_own(keras: Any) -> None:
    model = branches(keras)
    before = [weight.numpy() for weight in model.weights]
    new = aware(model)
    images = coloured_images(32, seed=56)[0]
    difference = np.abs(new.predict(images, verbose=0) - model.predict(images, verbose=0))
    assert 0 < difference.max() < 0.01
    assert (new.output_names, new.name) == (["colour"], model.name)
    assert [each.name for each in new.inputs] == ["picture"]
    fitted(new, steps=1)
    assert all(np.array_equal(one, other.numpy()) for one, other in zip(before, model.weights, strict=True))


@pytest.mark.parametrize("name", ["stem_conv", "depthwise"])
def test_weights_are_folded_and_rounded_as_the_converters_do(keras: Any, name: str) -> None:
    layer = aware(branches(keras)).get_layer(name)
    gamma, _, _, variance = (weight.numpy() for weight in layer.norm.weights)
    kernel = layer.layer.kernel.numpy()
    flat = kernel.reshape(*kernel.shape[:2], -1, 8) if name == "stem_conv" else kernel.reshape(3, 3, 1, 8)
    folded = flat * gamma / np.sqrt(variance + layer.norm.epsilon)
    scale = np.abs(folded).max(axis=(0, 1, 2)) / 127
    rounded = np.rint(folded / scale) * scale
    error = np.abs(np.asarray(layer.rounded_kernel()).reshape(folded.shape) - rounded)
    assert (error < 0.01 * scale).mean() > 0.97  # others are between two steps
    assert (error < 1.01 * scale).all()


def test_what_follows_a_separable_convolution_is_folded_into_its_second_part(keras: Any) -> None:
    layers = keras.layers
    steps = [layers.SeparableConv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    new = aware(with_statistics(keras.Sequential([keras.Input((8, 8, 3)), *steps])))
    kinds = [type(layer).__name__ for layer in new.layers]
    assert kinds == ["InputLayer", "FakeQuantize", "QuantizedLayer", "QuantizedLayer"]


def test_training_changes_all_weights_but_the_statistics(keras: Any) -> None:
    model = aware(branches(keras))
    trainable = [weight.numpy() for weight in model.trainable_weights]
    statistics = [weight for weight in model.weights if "moving" in weight.path]
    before = [weight.numpy() for weight in statistics]
    fitted(model, steps=2)
    assert statistics
    assert all(np.array_equal(one, now.numpy()) for one, now in zip(before, statistics, strict=True))
    same = [
        now.path
        for one, now in zip(trainable, model.trainable_weights, strict=True)
        if np.array_equal(one, now.numpy())
    ]
    assert same == []


def test_gradients_pass_the_rounding_of_every_weight(keras: Any) -> None:
    import tensorflow as tf

    layer = aware(branches(keras)).get_layer("depthwise")
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer.rounded_kernel())
    kernel_gradient = tape.gradient(total, layer.layer.kernel.value).numpy()
    gamma, _, _, variance = (weight.numpy() for weight in layer.norm.weights)
    expected = np.broadcast_to((gamma / np.sqrt(variance + 1e-3))[:, None], kernel_gradient.shape)
    assert kernel_gradient == pytest.approx(expected, rel=1e-4)


def test_a_saved_model_is_the_same_and_needs_no_trust(keras: Any, taught: Path) -> None:
    images = coloured_images(16, seed=57)[0]
    loaded = keras.models.load_model(taught)
    source = read(taught)
    assert source.description == "Keras 3 .keras file, trained for int8"
    assert source.run({"picture": images})["colour"] == pytest.approx(
        loaded.predict(images, verbose=0), abs=1e-5
    )
    assert KerasReader().has_ranges(taught)


def test_other_files_have_no_ranges(trained_file: Path, trained_source: Any) -> None:
    assert not KerasReader().has_ranges(trained_file)
    assert not trained_source.has_ranges


def test_a_model_that_was_not_trained_is_refused_with_the_next_step(trained: Any, tmp_path: Path) -> None:
    aware(trained).save(tmp_path / "new.keras")
    with pytest.raises(SourceError, match=r"train it with fit for one epoch or more"):
        read(tmp_path / "new.keras")


@pytest.mark.parametrize("symmetric", [False, True])
def test_training_rounds_as_artifacts_do(keras: Any, symmetric: bool) -> None:
    from edgevision_keras.training import FakeQuantize

    values = np.random.default_rng(5).normal(0.4, 1, (64, 50)).astype(np.float32)
    layer = FakeQuantize(symmetric)
    layer(values, training=True)
    layer.stretch.assign(0 * layer.stretch - 0.05)  # clips some
    trained, used = (np.asarray(layer(values, training=training)) for training in (True, False))
    assert trained == pytest.approx(used, abs=1e-5)
    assert len(np.unique(used)) > 200
    assert used.max() < 0.7 * values.max()


@pytest.mark.parametrize("matters", [False, True])
def test_a_range_clips_rare_values_that_do_not_matter_to_the_loss(keras: Any, matters: bool) -> None:
    import tensorflow as tf

    from edgevision_keras.training import FakeQuantize

    values = np.random.default_rng(5).uniform(-1, 1, (4, 5000)).astype(np.float32)
    values[0, 0] = 4
    layer, optimizer = FakeQuantize(), keras.optimizers.Adam(3e-3)
    for _ in range(60):
        with tf.GradientTape() as tape:
            error = tf.square(layer(values, training=True) - values)
            loss = tf.reduce_mean(error if matters else error[1:])
        optimizer.apply(tape.gradient(loss, layer.trainable_weights), layer.trainable_weights)
    highest = float(layer.ends()[1])
    assert highest > 3.8 if matters else 0.9 < highest < 3


def test_ranges_average_the_batches_and_those_of_inputs_clip_nothing(keras: Any) -> None:
    from edgevision_keras.training import FakeQuantize

    batches = [np.array([[-1.0, 2.0]], np.float32), np.array([[-3.0, 1.0]], np.float32)]
    average, widest, symmetric = FakeQuantize(), FakeQuantize(widest=True), FakeQuantize(symmetric=True)
    for batch in batches:
        for layer in (average, widest, symmetric):
            layer(batch, training=True)
    ends = [(float(layer.low.numpy()), float(layer.high.numpy())) for layer in (average, widest, symmetric)]
    assert ends == [(-2.0, 1.5), (-3.0, 2.0), (-2.5, 2.5)]
    assert np.asarray(FakeQuantize()(batches[0])) == pytest.approx(batches[0])  # no batch has set its range


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda layers: layers.LSTM(4, name="memory"), r"'memory' \(LSTM\)"),
        (lambda layers: layers.Conv1D(4, 3, padding="causal", name="past"), r"'past' \(Conv1D with causal"),
        (lambda layers: layers.Embedding(4, 2, name="words"), r"'words' \(Embedding\)"),
    ],
    ids=["recurrent", "causal", "embedding"],
)
def test_layers_that_are_not_supported_are_named(keras: Any, make: Any, named: str) -> None:
    steps = keras.Input((8, 4))
    model = keras.Model(steps, keras.layers.Dense(2)(keras.layers.Flatten()(make(keras.layers)(steps))))
    with pytest.raises(OptionError, match=f"{named}.*convert the model as it is"):
        aware(model)


def test_what_is_no_network_of_known_inputs_is_refused(keras: Any, trained: Any) -> None:
    with pytest.raises(OptionError, match="known inputs"):
        aware(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(OptionError, match="expected a Keras 3 model, got str"):
        aware("model.keras")
    with pytest.raises(OptionError, match="quantization-aware already"):
        aware(aware(trained))


def test_the_torch_backend_is_refused_with_what_to_do(
    keras: Any, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(OptionError, match=r"tensorflow and jax of Keras, not on 'torch'; set KERAS_BACKEND"):
        aware(trained)


def test_targets_say_what_the_training_is_for(trained: Any) -> None:
    with pytest.raises(OptionError, match="edgevision targets"):
        edgevision.quantization_aware(trained, [])
    with pytest.raises(OptionError, match="no target 'toaster'|toaster"):
        edgevision.quantization_aware(trained, ["toaster"])


JAX = """
import sys
import numpy as np
import keras
import edgevision
assert keras.config.backend() == "jax"
layers = keras.layers
model = keras.Sequential([
    keras.Input((16, 16, 3), name="picture"), layers.Rescaling(1 / 255),
    layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
    layers.Flatten(), layers.Dense(4, activation="softmax", name="colour")])
model = edgevision.quantization_aware(model, ["raspberry-pi-5"])
images = np.load(sys.argv[1])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(images, np.arange(len(images)) % 4, batch_size=8, verbose=0)
model.save(sys.argv[2])
np.save(sys.argv[3], model.predict(images, verbose=0))
"""


def test_a_network_trained_on_jax_gives_artifacts_that_answer_as_it_did(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="Keras's backend jax is not installed")
    images = coloured_images(32, seed=58)[0]
    files = [tmp_path / name for name in ("images.npy", "taught.keras", "answers.npy")]
    np.save(files[0], images)
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", JAX, *map(str, files)], check=True, env=environment, timeout=300)
    artifact = TfliteConverter().convert(read(files[1]), "int8-float-io", None)
    error = np.abs(artifact_answers(artifact, images)["colour"] - np.load(files[2]))
    assert error.max() < 0.01
