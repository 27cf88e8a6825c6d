"""Writes the tiny artifacts of this folder: one convolution, an open batch, two outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent


class Tiny(tf.Module):
    """(batch, 8, 8, 3) float32 -> features (batch, 4) and scores (batch, 5), both float32."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.kernel = tf.constant(random.normal(size=(3, 3, 3, 4)).astype(np.float32))
        self.weights = tf.constant(random.normal(size=(4, 5)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")])
    def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        convolved = tf.nn.relu(tf.nn.conv2d(image, self.kernel, 2, "SAME"))
        features = tf.reduce_mean(convolved, [1, 2])
        return {"features": features, "scores": tf.nn.softmax(tf.matmul(features, self.weights))}


def calibration() -> Iterator[list[np.ndarray]]:
    random = np.random.default_rng(1)
    for _ in range(50):
        yield [random.uniform(0, 1, (1, 8, 8, 3)).astype(np.float32)]


def converter(tiny: Tiny) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_concrete_functions([tiny.__call__.get_concrete_function()], tiny)


def main() -> None:
    tiny = Tiny()
    (HERE / "tiny.tflite").write_bytes(converter(tiny).convert())

    half = converter(tiny)
    half.optimizations = [tf.lite.Optimize.DEFAULT]
    half.target_spec.supported_types = [tf.float16]
    (HERE / "tiny_float16.tflite").write_bytes(half.convert())

    whole = converter(tiny)
    whole.optimizations = [tf.lite.Optimize.DEFAULT]
    whole.representative_dataset = calibration
    whole.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    whole.inference_input_type = whole.inference_output_type = tf.int8
    (HERE / "tiny_int8.tflite").write_bytes(whole.convert())


if __name__ == "__main__":
    main()
