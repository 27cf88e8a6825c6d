"""A Keras model is read from every kind of file, with the outputs of the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, SIZE, coloured_images, read

from edgevision.errors import OptionError, SourceError

pytestmark = MARKS


@pytest.fixture(scope="module")
def images() -> Any:
    return coloured_images(35, seed=3)[0]


@pytest.fixture(scope="module")
def folder(trained: Any, tf_keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model in every kind of file of Keras 3, and another in those of Keras 2."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("forms")
    trained.save(folder / "keras3.keras")
    trained.save(folder / "keras3.h5")
    trained.export(folder / "exported", verbose=False)
    tf.saved_model.save(trained, str(folder / "saved"))
    old = keras_2_model(tf_keras)
    old.save(folder / "keras2.h5")
    old.save(folder / "keras2.keras")
    old.save(folder / "keras2_saved")
    np.save(folder / "old_kernel.npy", old.get_weights()[0])
    return folder


def keras_2_model(tf_keras: Any) -> Any:
    """A model with a DepthwiseConv2D that Keras 3 cannot read, because the file has `groups`."""
    tf_keras.utils.set_random_seed(5)
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.InputLayer((SIZE, SIZE, 3), name="photo"),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.DepthwiseConv2D(3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax", name="scores"),
        ]
    )


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("keras3.keras", "Keras 3 .keras file"),
        ("keras3.h5", "Keras 3 .h5 file"),
        ("exported", "SavedModel directory"),
        ("saved", "SavedModel directory"),
    ],
)
def test_a_keras_3_model_has_its_own_outputs_in_every_kind_of_file(
    folder: Path, trained: Any, images: Any, name: str, description: str
) -> None:
    source = read(folder / name)
    answers = source.run({source.inputs[0].name: images})[source.outputs[0].name]
    expected = np.asarray(trained(images, training=False))
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    assert source.description == description
    assert source.inputs[0].shape == (None, SIZE, SIZE, 3)
    assert source.outputs[0].shape == (None, 4)
    assert source.facts.score_kind == "softmax"
    assert source.facts.pixel_range == (0, 255)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("keras2.h5", "Keras 2 .h5 file"),
        ("keras2.keras", "Keras 2 .keras file"),
        ("keras2_saved", "SavedModel directory"),
    ],
)
def test_a_keras_2_model_with_a_depthwise_convolution_has_its_own_outputs(
    folder: Path, tf_keras: Any, images: Any, name: str, description: str
) -> None:
    expected = np.asarray(keras_2_model(tf_keras)(images, training=False))
    source = read(folder / name)
    assert [spec.name for spec in (*source.inputs, *source.outputs)] == ["photo", "scores"]
    np.testing.assert_allclose(source.run({"photo": images})["scores"], expected, atol=1e-6)
    assert source.description == description
    assert source.facts.pixel_range == (0, 255)


def test_a_subclassed_model_is_read_from_a_saved_model(keras: Any, images: Any, tmp_path: Path) -> None:
    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = keras.layers.Conv2D(4, 3, activation="relu")
            self.head = keras.layers.Dense(2)

        def call(self, picture: Any) -> dict[str, Any]:
            features = keras.ops.mean(self.convolution(picture / 255.0), axis=(1, 2))
            return {"logits": self.head(features), "features": features}

    model = Subclassed()
    expected = model(images)
    model.export(tmp_path / "model", verbose=False)
    source = read(tmp_path / "model")
    assert [spec.name for spec in source.outputs] == ["features", "logits"]
    answers = source.run({source.inputs[0].name: images})
    for name, values in answers.items():
        np.testing.assert_allclose(values, np.asarray(expected[name]), atol=1e-5)


def test_outputs_have_the_names_of_their_layers_in_sorted_order(hard_source: Any, hard_model: Any) -> None:
    assert [spec.name for spec in hard_source.outputs] == ["classes", "tags"]
    images = coloured_images(3, seed=4)[0] / 255
    classes, tags = hard_model(images, training=False)
    answers = hard_source.run({"image": images})
    np.testing.assert_allclose(answers["classes"], np.asarray(classes), atol=1e-6)
    np.testing.assert_allclose(answers["tags"], np.asarray(tags), atol=1e-6)


def test_a_byte_input_accepts_floats_and_rounds_them(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((4, 4, 3), dtype="uint8", name="bytes")
    x = keras.ops.cast(image, "float32")
    keras.Model(image, keras.layers.Flatten(name="flat")(x)).save(tmp_path / "bytes.keras")
    source = read(tmp_path / "bytes.keras")
    assert source.inputs[0].dtype == "float32"
    assert source.facts.pixel_range == (0, 255)
    answers = source.run({"bytes": np.full((1, 4, 4, 3), 7.6, np.float32)})["flat"]
    assert set(answers.ravel()) == {8.0}


def test_names_become_identifiers_that_every_format_accepts(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((4, 4, 3), name="my image-1")
    keras.Model(image, keras.layers.Flatten(name="_flat.out")(image)).save(tmp_path / "names.keras")
    source = read(tmp_path / "names.keras")
    assert [spec.name for spec in (*source.inputs, *source.outputs)] == ["my_image_1", "flat_out"]


def test_layers_and_models_of_any_name_are_read(keras: Any, tmp_path: Path, images: Any) -> None:
    # With PyTorch or JAX, a layer has any name. TensorFlow takes few for the scopes of its graphs.
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3), name="Bild 1")
    x = layers.Conv2D(2, 3, kernel_initializer="ones", name="größe_1")(image)
    x = layers.Conv2D(2, 3, kernel_initializer="ones", name="größe 1")(x)
    model = keras.Model(image, layers.Flatten(name="_слой")(x), name="mein Modell")
    model.save(tmp_path / "named.keras")
    (outputs,) = read(tmp_path / "named.keras").run({"Bild_1": images}).values()
    for layer, name in zip((model, *model.layers), "abcde", strict=True):
        layer.name = name
    np.testing.assert_allclose(outputs, model(images), rtol=1e-5)


def test_an_open_input_size_is_chosen_by_the_caller_or_refused(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    ).save(tmp_path / "open.keras")
    with pytest.raises(SourceError, match="accepts images of any size; choose one: pass --input-size WxH"):
        read(tmp_path / "open.keras")
    source = read(tmp_path / "open.keras", input_size_wh=(20, 12))
    assert source.inputs[0].shape == (None, 12, 20, 3)


def test_a_size_other_than_the_fixed_one_is_refused(trained_file: Path) -> None:
    with pytest.raises(OptionError, match="has the fixed size 16x16; remove the option"):
        read(trained_file, input_size_wh=(32, 32))


def test_the_digest_of_a_directory_changes_with_any_file_and_its_name(tmp_path: Path) -> None:
    from edgevision_keras.reading.reader import _sha256

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    digests = {_sha256(tmp_path)}
    (tmp_path / "a" / "x").write_bytes(b"2")
    digests.add(_sha256(tmp_path))
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    digests.add(_sha256(tmp_path))
    assert len(digests) == 3


@pytest.mark.parametrize("nest", ["list", "dict"])
@pytest.mark.parametrize("form", ["two.keras", "two.h5", "two"])
def test_a_model_with_several_inputs_keeps_their_names_and_its_outputs(
    tmp_path: Path, keras: Any, form: str, nest: str
) -> None:
    vector, chosen = keras.Input((3,), name="vector"), keras.Input((1,), name="class_id", dtype="int32")
    row = keras.layers.Flatten()(keras.layers.Embedding(4, 3)(chosen))
    tensors = [vector, chosen] if nest == "list" else {"vector": vector, "class_id": chosen}
    model = keras.Model(tensors, keras.layers.Subtract(name="difference")([vector, row]))
    if form == "two":
        model.export(tmp_path / form, verbose=False)
    else:
        model.save(tmp_path / form)
    source = read(tmp_path / form)
    inputs = {
        "vector": np.ones((5, 3), np.float32),
        "class_id": np.array([[0], [1], [2], [3], [1]], np.float32),
    }
    assert {spec.name: spec.shape for spec in source.inputs} == {"vector": (None, 3), "class_id": (None, 1)}
    (answer,) = source.run(inputs).values()
    np.testing.assert_allclose(answer, 1 - model.get_weights()[0][[0, 1, 2, 3, 1]], atol=1e-6)
