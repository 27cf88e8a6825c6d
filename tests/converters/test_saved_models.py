"""SavedModels of one or several signatures, of any batch, and of TensorFlow 1."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, read
from test_keras_conversion import CONVERTERS

from edgevision.converter import Converter, SourceOptions
from edgevision.errors import OptionError, SourceError
from edgevision_keras.reading.reader import KerasReader

pytestmark = MARKS


def module(functions: dict[str, Any], path: Path) -> Path:
    """A SavedModel with a signature per function: name -> (function, spec of its input)."""
    import tensorflow as tf

    signatures = {
        name: tf.function(function).get_concrete_function(tf.TensorSpec(*spec, name="image"))
        for name, (function, *spec) in functions.items()
    }
    tf.saved_model.save(tf.Module(), str(path), signatures=signatures)
    return path


def mean(factor: float) -> Any:
    import tensorflow as tf

    return lambda image: {"mean": tf.reduce_mean(image, axis=(1, 2)) * factor}


SHAPE = (None, 8, 8, 3)


def read_signature(path: Path, signature: str | None) -> Any:
    options = SourceOptions(signature=signature)
    return KerasReader().read_with_options(path, options, trust_source=False, input_size_wh=None)


def answer(source: Any) -> float:
    return float(source.run({"image": np.ones((1, 8, 8, 3), np.float32)})["mean"][0, 0])


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["serving_default", "other"], None, 1),
        (["other", "serving_default"], "other", 1),
        (["only"], None, 1),
        (["serve", "other"], None, 1),
        (["other", "serve"], None, 2),
    ],
)
def test_the_usual_signature_is_taken_or_the_only_one_or_the_one_that_is_named(
    tmp_path: Path, names: list[str], wanted: str | None, expected: float
) -> None:
    path = module({name: (mean(i + 1), SHAPE) for i, name in enumerate(names)}, tmp_path / "model")
    assert answer(read_signature(path, wanted)) == expected


def test_of_several_signatures_one_must_be_named(tmp_path: Path) -> None:
    path = module({"left": (mean(1), SHAPE), "right": (mean(2), SHAPE)}, tmp_path / "model")
    with pytest.raises(
        SourceError,
        match="several signatures: left, right; choose one: pass --signature left or --signature right",
    ):
        read(path)
    with pytest.raises(OptionError, match="--signature middle: .* has no such signature, only left, right"):
        read_signature(path, "middle")


def test_a_signature_of_a_keras_file_is_refused(trained_file: Path) -> None:
    with pytest.raises(OptionError, match="only SavedModels have signatures"):
        read_signature(trained_file, "serving_default")


def test_a_module_without_a_signature_is_refused_with_the_line_to_write_it(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "model"))
    with pytest.raises(SourceError, match=r"has no signature.*tf\.saved_model\.save\(module"):
        read(tmp_path / "model")


def test_a_signature_that_decodes_images_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def decode(image: Any) -> Any:
        pixels = tf.map_fn(lambda one: tf.io.decode_jpeg(one, 3), image, fn_output_signature=tf.uint8)
        return {"mean": tf.reduce_mean(tf.cast(pixels, tf.float32), axis=(1, 2))}

    path = module({"serving_default": (decode, (None,), tf.string)}, tmp_path / "model")
    with pytest.raises(SourceError, match=r"takes encoded images \(strings\).*model\.export"):
        read(path)


def test_a_signature_that_returns_text_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def named(image: Any) -> Any:
        return {"name": tf.gather(tf.constant(["a", "b"]), tf.zeros(tf.shape(image)[:1], tf.int32))}

    path = module({"serving_default": (named, SHAPE)}, tmp_path / "model")
    with pytest.raises(SourceError, match="output 'name' is text.*--labels FILE"):
        read(path)


def test_an_image_without_a_batch_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    path = module({"serving_default": (lambda image: tf.reduce_mean(image), (32, 32, 3))}, tmp_path / "model")
    with pytest.raises(SourceError, match=r"\(32, 32, 3\), an image without a batch; .*TensorSpec\(\(None"):
        read(path)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_transposed_convolution_and_a_reshape_of_a_fixed_batch_take_any_batch(
    tmp_path: Path, batch: int
) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.normal(size=(3, 3, 4, 3)), tf.float32)
    matrix = tf.constant(rng.normal(size=(16 * 16 * 4, 5)), tf.float32)

    def upscaled(image: Any) -> Any:
        larger = tf.nn.conv2d_transpose(image, kernel, (batch, 16, 16, 4), 2)
        return {"scores": tf.reshape(larger, (batch, -1)) @ matrix}

    path = module({"serving_default": (upscaled, (batch, 8, 8, 3))}, tmp_path / "model")
    images = rng.normal(size=(2 * batch, 8, 8, 3)).astype(np.float32)
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    expected = [signature(image=tf.constant(part))["scores"] for part in np.split(images, 2)]
    source = read(path)
    assert source.inputs[0].shape == (None, 8, 8, 3)
    np.testing.assert_allclose(
        source.run({"image": images})["scores"], np.concatenate(expected), rtol=1e-4, atol=1e-4
    )


def test_a_fixed_batch_whose_images_are_mixed_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def mixed(image: Any) -> Any:
        return {"share": tf.nn.softmax(tf.reduce_mean(image, axis=(1, 2)), axis=0)}

    path = module({"serving_default": (mixed, (2, 8, 8, 3))}, tmp_path / "model")
    with pytest.raises(SourceError, match="takes a batch of 2 only.*export it with an open batch"):
        read(path)


def test_assignments_in_a_graph_are_left_out(tmp_path: Path) -> None:
    """As in exports of KerasHub, whose batch normalizations update their statistics."""
    import tensorflow as tf

    class Counting(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = tf.Variable(0.0)
            self.factor = tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.float32, name="image")])
        def serve(self, image: Any) -> Any:
            self.calls.assign_add(1.0)
            return {"mean": tf.reduce_mean(image, axis=(1, 2)) * self.factor}

    tf.saved_model.save(Counting(), str(tmp_path / "model"))
    source = read(tmp_path / "model")
    assert answer(source) == 3
    operations = {operation.type for operation in source.trace.frozen.graph.get_operations()}
    assert not operations & {"AssignAddVariableOp", "ReadVariableOp", "VarHandleOp"}
    assert not any(operation.control_inputs for operation in source.trace.frozen.graph.get_operations())


def test_tensorflow_1_is_refused_with_a_command_that_writes_it_again(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, (None, 8, 8, 3), name="image")
        weight = v1.get_variable("weight", initializer=2.0, use_resource=False)
        outputs = {"mean": tf.reduce_mean(image, axis=(1, 2)) * weight}
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "old"), {"image": image}, outputs)
    with pytest.raises(SourceError, match="SavedModels of TensorFlow 1 are not supported") as raised:
        read(tmp_path / "old")
    code = re.search(r'python -c "(.*)", and convert NEW', str(raised.value))
    assert code is not None
    subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, check=True, capture_output=True)
    source = read(tmp_path / "NEW")
    (mean_of_ones,) = source.run({"image": np.ones((1, 8, 8, 3), np.float32)}).values()
    np.testing.assert_allclose(mean_of_ones, 2)


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.format)
def test_checks_for_finite_numbers_are_left_out(tmp_path: Path, converter: Converter) -> None:
    import tensorflow as tf

    def checked(image: Any) -> dict[str, Any]:
        return {"mean": tf.debugging.check_numerics(tf.reduce_mean(image, axis=(1, 2)), "diverged")}

    source = read(module({"serving_default": (checked, SHAPE)}, tmp_path / "model"))
    image = np.full((1, 8, 8, 3), 0.5, np.float32)
    answers = artifact_answers(converter.convert(source, "float32", None), image)
    np.testing.assert_allclose(answers["mean"], 0.5, rtol=1e-6)
