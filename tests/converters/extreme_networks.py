"""Networks and calibration images whose scales runtimes refused, and a program that runs their artifacts.

python extreme_networks.py FOLDER SIZE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 16


def network(keras: Any, name: str) -> Any:
    """A small classifier of (16, 16, 3) in 0…255 with one extreme property."""
    keras.utils.set_random_seed(5)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    first = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")
    x = layers.BatchNormalization(name="norm")(first(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(name="second_norm", epsilon=1e-12)(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="last")(x)
    scores = layers.Dense(4, activation="softmax", name="scores")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, scores)
    CHANGES[name](model)
    return model


def _nothing(model: Any) -> None:
    """An ordinary network."""


def _dead_channels(model: Any) -> None:
    """Three channels of a rectifier never fire, and are normalized as if they had hardly ever fired."""
    kernel, bias = model.get_layer("first").get_weights()
    bias[:3] = -1000.0
    model.get_layer("first").set_weights([kernel, bias])
    gamma, beta, mean, variance = model.get_layer("norm").get_weights()
    variance[:3] = 1e-12
    model.get_layer("norm").set_weights([gamma, beta + 0.3, mean, variance])


def _all_dead(model: Any) -> None:
    """No channel of the rectifier fires."""
    kernel, bias = model.get_layer("first").get_weights()
    model.get_layer("first").set_weights([kernel, bias - 1e6])


def _tiny_variance(model: Any) -> None:
    """A normalization divides by a millionth, and what it normalizes hardly varies."""
    kernel, bias = model.get_layer("depthwise").get_weights()
    kernel[..., :2, :] *= 1e-7
    model.get_layer("depthwise").set_weights([kernel, bias + 0.5])
    gamma, beta, mean, variance = model.get_layer("second_norm").get_weights()
    mean[:], variance[:2] = 0.5, 1e-12
    model.get_layer("second_norm").set_weights([gamma, beta, mean, variance])


def _zero_weights(model: Any) -> None:
    """A layer, and some channels of another, have no weights."""
    for name, channels in (("first", slice(0, 4)), ("depthwise", slice(0, 8))):
        kernel, bias = model.get_layer(name).get_weights()
        kernel[..., channels if name == "first" else slice(None)] = 0
        model.get_layer(name).set_weights([kernel, bias + 0.1])


def _constant_outputs(model: Any) -> None:
    """The scores do not depend on the image."""
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel * 0, bias + np.arange(4)])


def _large_and_small(model: Any) -> None:
    """Weights of a millionth, behind biases of a million."""
    kernel, bias = model.get_layer("last").get_weights()
    kernel[..., 0] *= 1e-6
    bias[:2] = 1e6, -1e6
    model.get_layer("last").set_weights([kernel, bias])


CHANGES = {
    "ordinary": _nothing,
    "dead_channels": _dead_channels,
    "all_dead": _all_dead,
    "tiny_variance": _tiny_variance,
    "zero_weights": _zero_weights,
    "constant_outputs": _constant_outputs,
    "large_and_small": _large_and_small,
}


def images(kind: str, size: int = SIZE) -> Any:
    """(n, size, size, 3) float32 in 0…255."""
    rng = np.random.default_rng(3)
    count = 1 if kind == "one_image" else 24
    noise = rng.uniform(0, 255, (count, size, size, 3))
    constant = {"zeros": 0.0, "one_colour": 7.0}.get(kind)
    return (noise if constant is None else np.full_like(noise, constant)).astype(np.float32)


def main(folder: str, size: str) -> None:
    """Run FOLDER/FORMAT/* on noise, and save the outputs as FOLDER/FORMAT.npy; writes each format before."""
    from edgevision.artifact import STANDARD_FORMATS, Artifact
    from edgevision.plugins import registry
    from edgevision.session import open_session

    for name in (one.name for one in STANDARD_FORMATS):
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        files = {path.name: path.read_bytes() for path in sorted(Path(folder, name).iterdir(), reverse=True)}
        inputs = images("noise", int(size))
        with open_session(registry().backends()[name], Artifact(name, "int8", files)) as session:
            spec = session.inputs[0]
            if spec.quantization is not None:
                inputs = np.round(inputs / spec.quantization.scale) + spec.quantization.zero_point
                inputs = np.clip(inputs, -128, 127).astype(np.int8)
            (answers,) = session.run({spec.name: inputs}).values()
            np.save(Path(folder, f"{name}.npy"), session.outputs[0].dequantize(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
