"""Statistics inside a model: activations, batch normalizations, and images distilled from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, SIZE, coloured_images, read

from edgevision.calibration.synthetic import synthetic_set
from edgevision.converter import ActivationSource, NormalizedSource
from edgevision.imaging.preprocess import Preprocessing

pytestmark = MARKS


@pytest.fixture(scope="module")
def images() -> Any:
    return coloured_images(64, seed=5)[0]


@pytest.fixture(scope="module")
def remembering(keras: Any, trained: Any, images: Any) -> Any:
    """The network with the statistics of a long training."""
    model = keras.models.clone_model(trained)
    model.set_weights(trained.get_weights())
    rescaling, convolution, norm, *_ = model.layers
    features = np.asarray(convolution(rescaling(images)))
    norm.moving_mean.assign(features.mean(axis=(0, 1, 2)) + 0.01)
    norm.moving_variance.assign(features.var(axis=(0, 1, 2)) * 1.1)
    return model


FORMS = ["Keras 3 .keras", "Keras 3 SavedModel", "Keras 2 .h5", "Keras 2 SavedModel"]


@pytest.fixture(scope="module", params=FORMS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, remembering: Any) -> Any:
    """One network with a batch normalization, in each kind of file."""
    folder = tmp_path_factory.mktemp("insight")
    if request.param == "Keras 3 .keras":
        remembering.save(folder / "model.keras")
        return read(folder / "model.keras")
    if request.param == "Keras 3 SavedModel":
        remembering.export(folder / "model", verbose=False)
        return read(folder / "model")
    model = _keras_2(request.getfixturevalue("tf_keras"), remembering)
    if request.param == "Keras 2 .h5":
        model.save(folder / "model.h5")
        return read(folder / "model.h5")
    model.export(folder / "model")
    return read(folder / "model")


def _keras_2(tf_keras: Any, trained: Any) -> Any:
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 3), name="picture"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4),
            layers.Activation("softmax", name="colour"),
        ]
    )
    model.set_weights(trained.get_weights())
    return model


def test_a_source_provides_activations_and_normalizations(source: Any) -> None:
    assert isinstance(source, ActivationSource)
    assert isinstance(source, NormalizedSource)
    assert len(source.norms) == 1


def test_the_distance_is_computed_from_the_statistics_of_the_layer(
    source: Any, remembering: Any, images: Any
) -> None:
    keras_layers = {type(layer).__name__: layer for layer in remembering.layers}
    norm, conv = keras_layers["BatchNormalization"], keras_layers["Conv2D"]
    features = np.asarray(conv(images / 255)).astype(np.float64)
    mean, variance = features.mean(axis=(0, 1, 2)), features.var(axis=(0, 1, 2))
    stored_mean, stored = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    expected = 0.5 * (np.log(stored / variance) + (variance + (mean - stored_mean) ** 2) / stored - 1)
    name = source.inputs[0].name
    assert source.norm_distance({name: images}) == pytest.approx(expected.mean(), rel=1e-3)
    assert source.norm_distance({name: images / 255}) > 10 * expected.mean()


def test_ranges_are_those_of_the_layers_and_values_outside_the_limits_are_counted(
    source: Any, remembering: Any, images: Any
) -> None:
    name = source.inputs[0].name
    activations = source.activations({name: images})
    values, expected = images, []
    for layer in remembering.layers:
        values = np.asarray(layer(values))
        expected.append((float(values.min()), float(values.max()), values.size))
    rectified = expected[[type(layer).__name__ for layer in remembering.layers].index("ReLU")]
    logits = expected[-2]
    measured = [(layer.low, layer.high, layer.values) for layer in activations]
    for wanted in (rectified, logits):
        assert any(np.allclose(figures, wanted, rtol=1e-3, atol=1e-3) for figures in measured), wanted
    assert expected[-1][:2] not in [figures[:2] for figures in measured], "the range of a softmax is known"
    assert all(layer.outside == 0 for layer in activations)
    halves = [(layer.low, (layer.low + layer.high) / 2) for layer in activations]
    limited = source.activations({name: images}, halves)
    assert all(0 < layer.outside < layer.values for layer in limited)


def test_distilled_images_are_closer_to_the_training_data_than_noise(source: Any) -> None:
    preprocessing = Preprocessing((SIZE, SIZE), (0.0, 255.0))
    distilled = np.stack(list(synthetic_set(source, preprocessing, 16))).astype(np.float32)
    again = np.stack(list(synthetic_set(source, preprocessing, 16)))
    assert (distilled == again).all()
    noise = np.random.default_rng(0).uniform(0, 255, distilled.shape).astype(np.float32)
    name = source.inputs[0].name
    distance, before = source.norm_distance({name: distilled}), source.norm_distance({name: noise})
    assert distance < 0.05 * before
    assert distance < 0.02


def test_distilled_images_of_a_classifier_cover_its_classes(trained_source: Any) -> None:
    images = synthetic_set(trained_source, Preprocessing((SIZE, SIZE), (0.0, 255.0)), 16)
    name = trained_source.inputs[0].name
    (scores,) = trained_source.run({name: np.stack(list(images)).astype(np.float32)}).values()
    assert (scores.argmax(axis=1) == np.arange(16) % 4).mean() >= 0.9


def test_all_norms_of_a_graph_with_groups_gelu_and_two_heads_are_found(hard_source: Any) -> None:
    assert len(hard_source.norms) == 1
    preprocessing = Preprocessing((SIZE, SIZE), (0.0, 1.0))
    assert len(synthetic_set(hard_source, preprocessing, 8)) == 8
    assert (
        len(hard_source.activations({hard_source.inputs[0].name: np.zeros((2, SIZE, SIZE, 3), np.float32)}))
        > 5
    )


def test_layers_that_normalize_by_their_own_input_are_not_batch_normalizations(
    keras: Any, tmp_path: Path
) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.05, 0.06, 0.07])(image)
    x = keras.layers.LayerNormalization()(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.GroupNormalization(2)(x)
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)).save(tmp_path / "none.keras")
    assert read(tmp_path / "none.keras").norms == ()


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
def test_layers_have_their_own_names(generation: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    library = request.getfixturevalue(generation)
    library.backend.clear_session()
    image = x = library.Input((SIZE, SIZE, 3))
    names = ["norm", "norm_1", "norm_2"]
    for name in names:
        x = library.layers.BatchNormalization(name=name)(library.layers.Conv2D(3, 3)(x))
    library.Model(image, library.layers.GlobalAveragePooling2D()(x)).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    assert source.norms == tuple(names)
    grey = np.ones((1, SIZE, SIZE, 3), np.float32)
    layers = [each.layer for each in source.activations({source.inputs[0].name: grey})]
    assert layers[: len(names)] == names
