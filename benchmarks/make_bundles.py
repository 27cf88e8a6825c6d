"""Convert the networks of the benchmarks, once, with the extra `convert`.

    python benchmarks/make_bundles.py --shared ../shared

Writes beside this file:

- ``resnet8.evb`` and ``blood_cells.evb``, for LiteRT and OpenVINO in int8;
- ``resnet8-uint8.tflite``, with the input type that MediaPipe supports;
- ``denoiser-16.tflite`` and ``denoiser-56.tflite``, untrained diffusion networks;
- ``tile-SIZE-WIDTH.tflite``, untrained image-to-image networks.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

import click

import edgevision
from edgevision import Budget, ConversionSettings, InputOptions, TaskOptions
from edgevision.datasets.image_sets import ImageSet

HERE = Path(__file__).parent
#: Channels of the diffusion networks: a tiny one, and the smallest size in practical use.
DENOISER_WIDTHS = (16, 56)
#: Tile side in pixels and channels of the image-to-image networks.
TILES = ((32, 16), (64, 16), (128, 16), (256, 16), (128, 64))
BLOOD_CELLS = HERE.parent / "examples" / "blood_cells"


@click.command()
@click.option("--shared", type=click.Path(exists=True, path_type=Path), default=HERE.parents[1] / "shared")
def main(shared: Path) -> None:
    """Convert all networks."""
    for width in DENOISER_WIDTHS:
        (HERE / f"denoiser-{width}.tflite").write_bytes(_denoiser(width))
    for size, width in TILES:
        (HERE / f"tile-{size}-{width}.tflite").write_bytes(_tile(size, width))
    data = shared / "data"
    resnet8 = shared / "models" / "resnet8_cifar10.h5"
    images = ImageSet.open(data / "cifar10-train.zip").sample(500)
    (HERE / "resnet8-uint8.tflite").write_bytes(_with_uint8_input(resnet8, list(images)))
    _convert(
        resnet8,
        "resnet8.evb",
        TaskOptions(image=InputOptions(value_range=(0.0, 255.0))),
        calibration=data / "cifar10-train.zip",
        evaluation=data / "cifar10-test.zip",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runpy.run_path(str(BLOOD_CELLS / "unpack.py"))["unpack"](data / "bccd.zip", folder)
        task = TaskOptions(
            labels=folder / "labels.txt", decoder="heatmap", decoder_settings={"size_unit": "root-share"}
        )
        _convert(
            BLOOD_CELLS / "blood_cells.keras",
            "blood_cells.evb",
            task,
            calibration=folder / "train",
            evaluation=folder / "val",
        )


def _denoiser(width: int) -> bytes:
    """Untrained diffusion network: convolutions of `width` channels on 32 x 32 pixels."""
    import keras
    import tensorflow

    noisy = keras.Input((32, 32, 3), name="noisy")
    time = keras.Input((1,), name="time")
    x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(noisy)
    x = x + keras.layers.Reshape((1, 1, width))(keras.layers.Dense(width)(time))
    for _ in range(2):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    made = keras.layers.Conv2D(3, 3, padding="same", name="made")(x)
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(keras.Model([noisy, time], made))
    content: bytes = converter.convert()
    return content


def _tile(size: int, width: int) -> bytes:
    """Untrained image-to-image network: four convolutions of `width` channels."""
    import keras
    import tensorflow

    image = keras.Input((size, size, 3), name="image")
    x = image
    for _ in range(3):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    made = keras.layers.Conv2D(3, 3, padding="same", name="made")(x)
    content: bytes = tensorflow.lite.TFLiteConverter.from_keras_model(keras.Model(image, made)).convert()
    return content


def _with_uint8_input(path: Path, images: list[Any]) -> bytes:
    """An int8 network with a uint8 input, because MediaPipe does not support signed inputs."""
    import keras
    import numpy as np
    import tensorflow

    converter = tensorflow.lite.TFLiteConverter.from_keras_model(keras.models.load_model(path, compile=False))
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis].astype(np.float32)] for image in images)
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.uint8
    content: bytes = converter.convert()
    return content


def _convert(source: Path, name: str, task: TaskOptions, **images: Any) -> None:
    settings = ConversionSettings(
        task=task, evaluation_samples=100, budget=Budget(min_agreement=0.0), force=True
    )
    edgevision.convert(
        source,
        HERE / name,
        targets=["generic-cpu", "intel-cpu"],
        precisions=["int8"],
        settings=settings,
        **images,
    )
    print(f"wrote {HERE / name}")


if __name__ == "__main__":
    main()
