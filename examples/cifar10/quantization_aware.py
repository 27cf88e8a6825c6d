"""A depthwise network that loses accuracy in int8, and is trained for int8 to get it back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from dataset import labels_of, load_images, pixels_of
from numpy.typing import NDArray
from recipe import Recipe

import edgevision
from edgevision.datasets.image_sets import ImageSet

TARGETS = ("raspberry-pi-5", "intel-cpu", "onnx-cpu")
_existing = click.Path(exists=True, path_type=Path)


@click.command(context_settings={"show_default": True})
@click.option("--data", type=_existing, help="Training images, as for cifar10.py.")
@click.option("--test-data", type=_existing, help="Test images, likewise.")
@click.option("--limit", type=click.IntRange(min=1), default=20_000, help="Use at most this many images.")
@click.option("--epochs", type=click.IntRange(min=1), default=8, help="Of the training in float.")
@click.option("--int8-epochs", type=click.IntRange(min=1), default=3, help="Of the training for int8.")
@click.option("--int8-learning-rate", type=float, default=3e-3)
@click.option("--seed", type=int, default=0)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="trained-for-int8")
def main(
    data: Path | None,
    test_data: Path | None,
    limit: int,
    epochs: int,
    int8_epochs: int,
    int8_learning_rate: float,
    seed: int,
    output: Path,
) -> None:
    """Train in float, convert to int8, train for int8, convert again, and compare all on the test images."""
    import keras
    from depthwise import build_network, fit

    images, test_images = load_images(data, "train", limit), load_images(test_data, "test")
    pixels, classes = pixels_of(images), len(images.class_names)
    output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    network = build_network(classes, seed)
    fit(network, pixels, labels_of(images), Recipe(epochs=epochs, learning_rate=3e-3, seed=seed))
    network.save(output / "float.keras")

    aware = edgevision.quantization_aware(network, targets=TARGETS)
    recipe = Recipe(epochs=int8_epochs, learning_rate=int8_learning_rate, seed=seed)
    fit(aware, pixels, labels_of(images), recipe)
    aware.save(output / "int8.keras")

    # The table has every artifact, also one that would miss the budget.
    settings = edgevision.ConversionSettings(
        budget=edgevision.Budget(max_drop=100), accept_not_shown=True, force=True
    )
    every: dict[str, Any] = {
        "targets": TARGETS,
        "precisions": ("int8",),
        "evaluation": test_images,
        "settings": settings,
    }
    edgevision.convert(output / "float.keras", output / "post-training.evb", calibration=images, **every)
    edgevision.convert(output / "int8.keras", output / "trained.evb", **every)
    _show(network, [output / "post-training.evb", output / "trained.evb"], test_images)


def _show(network: Any, bundles: Sequence[Path], images: ImageSet) -> None:
    """Print accuracy and drop of each artifact, beside those of the network in float."""
    pixels, labels = pixels_of(images), labels_of(images)
    scores = network.predict(pixels.astype(np.float32), batch_size=256, verbose=0)
    right = scores.argmax(axis=1) == labels
    click.echo(f"float32, Keras: {100 * right.mean():.2f} %")
    for bundle in bundles:
        for name, predicted in _predictions(bundle, pixels):
            lost = right.astype(float) - (predicted == labels)
            half = 1.96 * lost.std(ddof=1) / np.sqrt(len(lost))
            click.echo(
                f"{bundle.stem}, {name}: {100 * (predicted == labels).mean():.2f} %, drop "
                f"{100 * lost.mean():.2f} percentage points ({100 * (lost.mean() - half):.2f} … "
                f"{100 * (lost.mean() + half):.2f})"
            )


def _predictions(path: Path, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    for artifact in edgevision.read_bundle(path).manifest.artifacts:
        backend = artifact.backends[-1]
        with edgevision.load(path, backend=backend, precision=artifact.precision) as model:
            predicted = [result.top()[0].class_id for result in model(pixels)]
        yield f"{artifact.format} {artifact.precision}", np.array(predicted, np.int64)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        main()
    except edgevision.EdgeVisionError as error:
        sys.exit(f"Error: {error}")
