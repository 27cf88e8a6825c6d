"""What a source tells of its insides: activations, batch normalizations, and images made of these."""

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
    """The network with the statistics that a long training would have left in it."""
    model = keras.models.clone_model(trained)
    model.set_weights(trained.get_weights())
    rescaling, convolution, norm, *_ = model.layers
    taken = np.asarray(convolution(rescaling(images)))
    norm.moving_mean.assign(taken.mean(axis=(0, 1, 2)) + 0.01)
    norm.moving_variance.assign(taken.var(axis=(0, 1, 2)) * 1.1)
    return model


FORMS = ["Keras 3 .keras", "Keras 3 SavedModel", "Keras 2 .h5", "Keras 2 SavedModel"]


@pytest.fixture(scope="module", params=FORMS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, remembering: Any) -> Any:
    """One network with a batch normalization, in each form in which it may be brought."""
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


def test_it_can_be_asked(source: Any) -> None:
    assert isinstance(source, ActivationSource)
    assert isinstance(source, NormalizedSource)
    assert len(source.norms) == 1


def test_the_distance_is_that_of_the_layers_own_statistics(
    source: Any, remembering: Any, images: Any
) -> None:
    keras_layers = {type(layer).__name__: layer for layer in remembering.layers}
    norm, conv = keras_layers["BatchNormalization"], keras_layers["Conv2D"]
    taken = np.asarray(conv(images / 255)).astype(np.float64)
    mean, variance = taken.mean(axis=(0, 1, 2)), taken.var(axis=(0, 1, 2))
    kept_mean, kept = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    expected = 0.5 * (np.log(kept / variance) + (variance + (mean - kept_mean) ** 2) / kept - 1)
    name = source.inputs[0].name
    assert source.norm_distance({name: images}) == pytest.approx(expected.mean(), rel=1e-3)
    assert source.norm_distance({name: images / 255}) > 10 * expected.mean()


def test_ranges_are_those_of_the_layers_and_what_lies_outside_is_counted(
    source: Any, remembering: Any, images: Any
) -> None:
    name = source.inputs[0].name
    seen = source.activations({name: images})
    values, expected = images, []
    for layer in remembering.layers:
        values = np.asarray(layer(values))
        expected.append((float(values.min()), float(values.max()), values.size))
    rectified = expected[[type(layer).__name__ for layer in remembering.layers].index("ReLU")]
    logits = expected[-2]
    found = [(one.low, one.high, one.values) for one in seen]
    for wanted in (rectified, logits):
        assert any(np.allclose(one, wanted, rtol=1e-3, atol=1e-3) for one in found), wanted
    assert expected[-1][:2] not in [one[:2] for one in found], "the range of a softmax is known"
    assert all(one.outside == 0 for one in seen)
    halves = [(one.low, (one.low + one.high) / 2) for one in seen]
    outside = source.activations({name: images}, halves)
    assert all(0 < one.outside < one.values for one in outside)


def test_distilled_images_are_nearer_to_the_training_than_what_they_began_with(source: Any) -> None:
    preprocessing = Preprocessing((SIZE, SIZE), (0.0, 255.0))
    made = np.stack(list(synthetic_set(source, preprocessing, 16))).astype(np.float32)
    again = np.stack(list(synthetic_set(source, preprocessing, 16)))
    assert (made == again).all()
    noise = np.random.default_rng(0).uniform(0, 255, made.shape).astype(np.float32)
    name = source.inputs[0].name
    distance, before = source.norm_distance({name: made}), source.norm_distance({name: noise})
    assert distance < 0.05 * before
    assert distance < 0.02


def test_a_classifiers_images_are_of_each_class(trained_source: Any) -> None:
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


def test_statistics_that_a_layer_takes_of_its_own_input_are_no_memory(keras: Any, tmp_path: Path) -> None:
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
    seen = [one.layer for one in source.activations({source.inputs[0].name: grey})]
    assert seen[: len(names)] == names
