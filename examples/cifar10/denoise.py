"""Train a network that removes noise from small photos, and write the images that verify it on devices.

    python denoise.py --data cifar10-train.zip --test-data cifar10-test.zip -o denoise

Writes ``denoiser.keras``, ``noisy/`` and ``clean/`` (test images with the same names) and ``training/``
(noisy training images, for calibration) into the folder.
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import keras
import numpy as np
from dataset import load_images, pixels_of
from keras import layers
from numpy.typing import NDArray

#: Standard deviation of the noise, in pixel values of 0…255.
NOISE = 25.0


def build_denoiser(filters: int = 24, depth: int = 5) -> keras.Model:
    """A network that predicts the noise and subtracts it (Zhang et al. 2017, "Beyond a Gaussian Denoiser").

    Its inputs are pixels of 0…255, its outputs 0…1.
    """
    image = keras.Input((32, 32, 3), name="noisy")
    scaled = layers.Rescaling(1 / 255)(image)
    x = scaled
    for _ in range(depth - 1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    noise = layers.Conv2D(3, 3, padding="same")(x)
    clean = layers.ReLU(max_value=1.0, name="clean")(layers.Subtract()([scaled, noise]))
    return keras.Model(image, clean, name="denoiser")


def noisy(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """The images with normal noise, clipped and rounded like those of a camera."""
    noise = np.random.default_rng(seed).normal(0, NOISE, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def write_images(folder: Path, images: NDArray[np.uint8]) -> None:
    """Write numbered PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number:04d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def lay_out(data: Path | None, test_data: Path | None, output: Path, limit: int) -> NDArray[np.uint8]:
    """Write the images for calibration and evaluation, and return the clean training images."""
    training = pixels_of(load_images(data, "train", limit))
    test = pixels_of(load_images(test_data, "test", 200))
    output.mkdir(parents=True, exist_ok=True)
    write_images(output / "clean", test)
    write_images(output / "noisy", noisy(test, seed=1))
    write_images(output / "training", noisy(training[:: max(1, len(training) // 200)], seed=2))
    return training


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Training images.  [default: Keras's loader]")
@click.option(
    "--test-data", type=click.Path(path_type=Path), help="Test images, likewise.  [default: Keras's loader]"
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=10_000, show_default=True, help="Images to train on."
)
@click.option("--epochs", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("denoise"), show_default=True)
def main(data: Path | None, test_data: Path | None, limit: int, epochs: int, output: Path) -> None:
    """Train and save the network, and write the images for calibration and evaluation."""
    keras.utils.set_random_seed(0)
    training = lay_out(data, test_data, output, limit)
    model = build_denoiser()
    steps = -(-len(training) // 32) * epochs
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "mean_squared_error", jit_compile=False)
    targets = training.astype(np.float32) / 255
    for epoch in range(epochs):  # new noise in every epoch
        model.fit(
            noisy(training, seed=10 + epoch),
            targets,
            batch_size=32,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=2,
        )
    # A new model, so that the optimizer's state is not saved.
    keras.Model(model.inputs, model.outputs, name=model.name).save(output / "denoiser.keras")
    click.echo(f"wrote {output}/denoiser.keras")


if __name__ == "__main__":
    main()
