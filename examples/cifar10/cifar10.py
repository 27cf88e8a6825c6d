"""CIFAR-10 from training to the device: train, evaluate, convert, and evaluate what was converted.

    python cifar10.py train    --data train.zip --test-data test.zip -o cifar10.keras
    python cifar10.py convert  cifar10.keras --data train.zip --test-data test.zip -o cifar10.evb
    python cifar10.py evaluate cifar10.keras cifar10.evb --test-data test.zip
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from data import LabelledImages, image_folder, load_images
from report import Answers, draw_confusion, full_report, side_by_side

FilePath = click.Path(path_type=Path)
ExistingPath = click.Path(exists=True, path_type=Path)

data_option = click.option(
    "--data", type=ExistingPath, help="Training images: a folder or zip with a folder a class.  [default: Keras's]"
)
test_data_option = click.option(
    "--test-data", type=ExistingPath, help="Test images, likewise.  [default: Keras's]"
)
limit_option = click.option("--limit", type=click.IntRange(min=1), help="Use at most so many images of each set.")
confusion_option = click.option(
    "--confusion", type=FilePath, default="confusion.png", show_default=True, help="Drawing to be written."
)


@click.group(context_settings={"show_default": True})
def main() -> None:
    """CIFAR-10 from training to the device."""


@main.command()
@data_option
@test_data_option
@limit_option
@confusion_option
@click.option("-o", "--output", type=FilePath, default="cifar10.keras", help="Model to be written.")
@click.option("--epochs", type=click.IntRange(min=1), default=30)
@click.option("--batch-size", type=click.IntRange(min=1), default=128)
@click.option("--learning-rate", type=float, default=2e-3, help="At the start; falls along a cosine to 0.")
@click.option("--augment/--no-augment", default=True, help="Crop, flip and rotate at random.")
@click.option("--batch-norm/--no-batch-norm", default=True)
@click.option("--dropout", type=click.FloatRange(0, 1, max_open=True), default=0.2)
@click.option("--label-smoothing", type=click.FloatRange(0, 1, max_open=True), default=0.05)
@click.option("--hold-out", type=click.FloatRange(0, 1, max_open=True), default=0.05, help="Share not trained on.")
@click.option("--seed", type=int, default=0)
def train(
    data: Path | None,
    test_data: Path | None,
    limit: int | None,
    confusion: Path,
    output: Path,
    hold_out: float,
    **recipe: Any,
) -> None:
    """Train the network, and report its accuracy on the test images."""
    import network

    images, test_images = load_images(data, "train", limit), load_images(test_data, "test", limit)
    started = time.monotonic()
    model = network.train(
        images.pixels,
        images.labels,
        len(images.class_names),
        round(hold_out * len(images.labels)),
        network.Recipe(**recipe),
    )
    model.save(output)
    click.echo(f"trained in {time.monotonic() - started:.0f} s; wrote {output}\n")
    show_models([output], test_images, confusion)


@main.command()
@click.argument("source", type=ExistingPath)
@data_option
@test_data_option
@limit_option
@confusion_option
@click.option("-o", "--output", type=FilePath, default="cifar10.evb", help="Bundle to be written.")
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
    targets: tuple[str, ...],
    precisions: tuple[str, ...],
    force: bool,
) -> None:
    """Convert a trained network for devices, and report on each artifact beside it.

    Training images set the ranges of the int8 activations, test images measure.
    """
    import device

    with image_folder(data, "train", limit) as calibration, image_folder(test_data, "test", limit) as evaluation:
        device.convert(
            source,
            output,
            targets=targets,
            precisions=precisions,
            calibration=calibration,
            evaluation=evaluation,
            evaluation_samples=limit,
            force=force,
        )
    click.echo(f"wrote {output}\n")
    show_models([source, output], load_images(test_data, "test", limit), confusion)


@main.command()
@click.argument("models", nargs=-1, required=True, type=ExistingPath)
@test_data_option
@limit_option
@confusion_option
def evaluate(models: tuple[Path, ...], test_data: Path | None, limit: int | None, confusion: Path) -> None:
    """Report on models side by side: .keras files, and the artifacts of .evb bundles.

    The drop is from the first one.
    """
    show_models(models, load_images(test_data, "test", limit), confusion)


def source_answers(path: Path, images: LabelledImages) -> Answers:
    """What a Keras model answers, run by Keras."""
    import keras

    scores = keras.models.load_model(path).predict(images.pixels.astype(np.float32), batch_size=256, verbose=0)
    return Answers("keras float32", scores.argmax(axis=1).astype(np.int64))


def show_models(paths: Sequence[Path], images: LabelledImages, confusion: Path) -> None:
    """Print and draw what models answered: the full report of each, then all side by side."""
    import device

    all_answers: list[Answers] = []
    for path in paths:
        found = device.artifact_answers(path, images) if path.suffix == ".evb" else [source_answers(path, images)]
        all_answers.extend(found)
    for answers in all_answers:
        click.echo(full_report(answers, images))
    click.echo(side_by_side(all_answers, images))
    draw_confusion(all_answers, images, confusion)
    click.echo(f"\nwrote {confusion}")


if __name__ == "__main__":
    main()
