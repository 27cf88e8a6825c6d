"""CIFAR-10 from training to the device: train, evaluate, convert, and evaluate the artifacts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from dataset import labels_of, load_images, pixels_of
from numpy.typing import NDArray
from recipe import Recipe
from report import Predictions, draw_confusion, full_report, side_by_side

import edgevision
from edgevision.datasets.image_sets import ImageSet

_existing = click.Path(exists=True, path_type=Path)
_data = click.option(
    "--data",
    type=_existing,
    help="Training images: a folder or zip with one folder per class.  [default: Keras's loader]",
)
_test_data = click.option(
    "--test-data", type=_existing, help="Test images, likewise.  [default: Keras's loader]"
)
_limit = click.option("--limit", type=click.IntRange(min=1), help="Use at most this many images of each set.")
_confusion = click.option(
    "--confusion",
    type=click.Path(path_type=Path, dir_okay=False),
    default="confusion.png",
    help="PNG file for the confusion matrices.",
)
_recipe = Recipe()
_share = click.FloatRange(0, 1, max_open=True)


def _output(default: str) -> Any:
    return click.option("-o", "--output", type=click.Path(path_type=Path), default=default)


@click.group(context_settings={"show_default": True})
def main() -> None:
    """CIFAR-10 from training to the device."""


@main.command()
@_data
@_test_data
@_limit
@_confusion
@_output("cifar10.keras")
@click.option(
    "--hold-out", type=_share, default=_recipe.hold_out, help="Share of the images for val_accuracy."
)
@click.option("--epochs", type=click.IntRange(min=1), default=30)
@click.option("--batch-size", type=click.IntRange(min=1), default=128)
@click.option(
    "--learning-rate",
    type=float,
    default=_recipe.learning_rate,
    help="Initial rate; a cosine reduces it to 0.",
)
@click.option("--augment/--no-augment", default=_recipe.augment, help="Random crops, flips and rotations.")
@click.option("--batch-norm/--no-batch-norm", default=_recipe.batch_norm)
@click.option("--dropout", type=_share, default=_recipe.dropout)
@click.option("--label-smoothing", type=_share, default=_recipe.label_smoothing)
@click.option("--seed", type=int, default=_recipe.seed)
def train(
    data: Path | None,
    test_data: Path | None,
    limit: int | None,
    confusion: Path,
    output: Path,
    **recipe: Any,
) -> None:
    """Train the network, and evaluate it on the test images."""
    images, test_images = load_images(data, "train", limit), load_images(test_data, "test", limit)
    pixels, classes = pixels_of(images), len(images.class_names)
    import network

    started = time.monotonic()
    model = network.train(pixels, labels_of(images), classes, Recipe(**recipe))
    model.save(output)
    click.echo(f"trained for {time.monotonic() - started:.0f} s; wrote {output}\n")
    _report([output], test_images, confusion)


@main.command()
@click.argument("source", type=_existing)
@_data
@_test_data
@_limit
@_confusion
@_output("cifar10.evb")
@click.option("--target", "targets", multiple=True, default=("raspberry-pi-5", "intel-cpu", "onnx-cpu"))
@click.option("--precision", "precisions", multiple=True, default=("int8",))
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def convert(
    source: Path,
    data: Path | None,
    test_data: Path | None,
    limit: int | None,
    confusion: Path,
    output: Path,
    force: bool,
    **choice: Any,
) -> None:
    """Convert a trained network for devices, and evaluate each artifact beside it.

    500 training images calibrate the ranges of the int8 activations; evaluation uses the test images.
    """
    test_images = load_images(test_data, "test", limit)
    edgevision.convert(
        source,
        output,
        calibration=load_images(data, "train", limit),
        evaluation=test_images,
        settings=edgevision.ConversionSettings(calibration_samples=500, force=force),
        **choice,
    )
    click.echo(f"wrote {output}\n")
    _report([source, output], test_images, confusion)


@main.command()
@click.argument("models", nargs=-1, required=True, type=_existing)
@_test_data
@_limit
@_confusion
def evaluate(models: tuple[Path, ...], test_data: Path | None, limit: int | None, confusion: Path) -> None:
    """Evaluate models side by side: .keras files, and every artifact of .evb bundles.

    Drop and agreement compare each with the first.
    """
    _report(models, load_images(test_data, "test", limit), confusion)


def _report(models: Sequence[Path], images: ImageSet, confusion: Path) -> None:
    pixels = pixels_of(images)
    predictions = [each for path in models for each in _predictions(path, pixels)]
    for each in predictions:
        click.echo(full_report(each, images))
    if len(predictions) > 1:
        click.echo(side_by_side(predictions, images) + "\n")
    draw_confusion(predictions, images, confusion)
    click.echo(f"wrote {confusion}")


def _predictions(path: Path, pixels: NDArray[np.uint8]) -> Iterator[Predictions]:
    """The predictions of a Keras model, or of each artifact of a bundle on a runtime that verified it."""
    if path.suffix == ".keras":
        yield _keras_predictions(path, pixels)
        return
    for artifact in edgevision.read_bundle(path).manifest.artifacts:
        backend = artifact.backends[-1]
        with edgevision.load(path, backend=backend, precision=artifact.precision) as model:
            predicted = [result.top()[0].class_id for result in model(pixels)]
        yield Predictions(f"{backend} {artifact.precision}", np.array(predicted, np.int64))


def _keras_predictions(path: Path, pixels: NDArray[np.uint8]) -> Predictions:
    import keras

    scores = keras.models.load_model(path).predict(pixels.astype(np.float32), batch_size=256, verbose=0)
    return Predictions("keras float32", scores.argmax(axis=1).astype(np.int64))


if __name__ == "__main__":
    # TensorFlow logs the absence of a GPU as an error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        main()
    except edgevision.EdgeVisionError as error:
        sys.exit(f"Error: {error}")
