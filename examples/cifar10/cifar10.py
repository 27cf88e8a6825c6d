"""CIFAR-10 from training to the device: train, evaluate, convert, and evaluate what was converted."""

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
from report import Answers, draw_confusion, full_report, side_by_side

import edgevision
from edgevision.datasets.image_sets import ImageSet

_existing = click.Path(exists=True, path_type=Path)
_data = click.option(
    "--data",
    type=_existing,
    help="Training images: a folder or zip of a folder a class.  [default: Keras's]",
)
_test_data = click.option("--test-data", type=_existing, help="Test images, likewise.  [default: Keras's]")
_limit = click.option("--limit", type=click.IntRange(min=1), help="Use so many images of each set at most.")
_confusion = click.option(
    "--confusion",
    type=click.Path(path_type=Path, dir_okay=False),
    default="confusion.png",
    help="Where the confusion matrices are drawn.",
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
    help="At the start; it falls along a cosine to 0.",
)
@click.option("--augment/--no-augment", default=_recipe.augment, help="Crop, flip, rotate at random.")
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
    """Train the network, and report on it with the test images."""
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
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
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
    """Convert a trained network for devices, and report on each artifact beside it.

    500 training images set the ranges of the int8 activations; the test images measure.
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
    """Report on models side by side: .keras files, and every artifact of .evb bundles.

    Drop and agreement are against the first of them.
    """
    _report(models, load_images(test_data, "test", limit), confusion)


def _report(models: Sequence[Path], images: ImageSet, confusion: Path) -> None:
    pixels = pixels_of(images)
    all_answers = [answers for path in models for answers in _answers(path, pixels)]
    for answers in all_answers:
        click.echo(full_report(answers, images))
    if len(all_answers) > 1:
        click.echo(side_by_side(all_answers, images) + "\n")
    draw_confusion(all_answers, images, confusion)
    click.echo(f"wrote {confusion}")


def _answers(path: Path, pixels: NDArray[np.uint8]) -> Iterator[Answers]:
    """What a Keras model answers, or each artifact of a bundle, run by the runtime that it was proved on."""
    if path.suffix == ".keras":
        yield _keras_answers(path, pixels)
        return
    for artifact in edgevision.read_bundle(path).manifest.artifacts:
        backend = artifact.backends[-1]
        with edgevision.load(path, backend=backend, precision=artifact.precision) as model:
            predicted = [found.top()[0].class_id for found in model(pixels)]
        yield Answers(f"{backend} {artifact.precision}", np.array(predicted, np.int64))


def _keras_answers(path: Path, pixels: NDArray[np.uint8]) -> Answers:
    import keras

    scores = keras.models.load_model(path).predict(pixels.astype(np.float32), batch_size=256, verbose=0)
    return Answers("keras float32", scores.argmax(axis=1).astype(np.int64))


if __name__ == "__main__":
    # TensorFlow counts the absence of a GPU among its errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        main()
    except edgevision.EdgeVisionError as error:
        sys.exit(f"Error: {error}")
