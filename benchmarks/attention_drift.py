"""Attention drift of int8 artifacts on three runtimes, and the CPU time of a map.

    python benchmarks/attention_drift.py --images 64

ResNet-8 (of ../shared), the network of examples/cifar10, MobileNetV2 with random features of which a head
was fitted, and the detector of blood cells. Each is converted to int8 with 200 calibration images (the
detector: 205), and explained on a sample of its evaluation images.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

import edgevision
from edgevision import (
    AttentionSpecification,
    Budget,
    ConversionSettings,
    ImageSet,
    InputOptions,
    SessionSettings,
    TaskOptions,
)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
TARGETS = {"raspberry-pi-5": "tflite", "intel-cpu": "openvino", "onnx-cpu": "onnxruntime"}
CALIBRATION, EVALUATION = 200, 500
SIDE = 96
HEADER = (
    "| network | model | images | runs | drift | overlap of the top 10 % | ahead of random maps: insertion "
    "| deletion | CPU s a map |\n|" + " --- |" * 9
)


@dataclass(frozen=True)
class Case:
    """A network, and the images that it is converted with.

    Attributes:
        name: of the network.
        source: its file.
        calibration, evaluation: its images.
        task: options about its input and its task.
    """

    name: str
    source: Path
    calibration: Any
    evaluation: Any
    task: TaskOptions


@click.command()
@click.option("--images", default=64, show_default=True, help="Images of the sample.")
@click.option("--runs", default=1024, show_default=True, help="Runs per image and model at most.")
@click.option("--case", "names", multiple=True, help="Networks to measure. Default: all.")
def main(images: int, runs: int, names: tuple[str, ...]) -> None:
    """Print one row per network and runtime."""
    click.echo(HEADER)
    cases = {"resnet8": resnet8, "cifar10": cifar10, "mobilenet": mobilenet, "blood-cells": blood_cells}
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        for name in names or cases:
            for row in rows(
                cases[name](Path(folder)), Path(folder), AttentionSpecification(images, budget=runs)
            ):
                click.echo(row)
                sys.stdout.flush()


def rows(case: Case, folder: Path, attention: AttentionSpecification) -> list[str]:
    """Convert a network, and describe each of its artifacts, and other maps of its source."""
    bundle = folder / f"{case.name}.evb"
    evidence = edgevision.convert(
        case.source,
        bundle,
        targets=list(TARGETS),
        precisions=["int8"],
        calibration=case.calibration,
        evaluation=case.evaluation,
        settings=ConversionSettings(
            task=case.task, budget=Budget(max_drop=20), attention=attention, accept_not_shown=True
        ),
    )
    source, found = evidence.attention, []
    assert source is not None  # noqa: S101 - it was asked for
    image = next(iter(opened(case.evaluation)))
    for result in evidence.results:
        drift = result.attention
        assert drift is not None  # noqa: S101 - as above
        seconds = seconds_of_a_map(bundle, result.backend, image, round(source.runs))
        ahead = drift.faithfulness
        found.append(
            f"| {case.name} | {result.backend} int8 | {source.images} of {source.sampled} "
            f"| {source.runs:.0f} | {drift.drift} | {drift.overlap} | {ahead.insertion} | {ahead.deletion} "
            f"| {seconds:.2f} |"
        )
    ahead = source.faithfulness
    found.append(f"| {case.name} | source | | | | | {ahead.insertion} | {ahead.deletion} | |")
    overlaps = [str(source.noise_overlap), *("" for _ in source.other_maps)]
    for (name, other), overlap in zip(source.other_maps, overlaps, strict=False):
        found.append(f"| {case.name} | {name} | | | {other} | {overlap} | | | |")
    return found


def seconds_of_a_map(bundle: Path, backend: str, image: Any, runs: int) -> float:
    """The CPU time of one explanation with so many runs."""
    settings = edgevision.ExplainSettings(budget=max(16, runs), reliability=1)
    with edgevision.load(bundle, backend, settings=SessionSettings(threads=1)) as model:
        try:
            model.explain(image, budget=16)
            start = time.process_time()
            model.explain(image, settings=settings)
        except edgevision.errors.NothingFoundError:  # no object in this image
            return float("nan")
        return time.process_time() - start


def opened(images: Any) -> ImageSet:
    """An image set, of which the first image is taken."""
    return images if isinstance(images, ImageSet) else ImageSet.open(images)


def cifar_images() -> tuple[ImageSet, ImageSet]:
    """Calibration images of the training set, and evaluation images of the test set."""
    train, test = (ImageSet.open(SHARED / "data" / f"cifar10-{part}.zip") for part in ("train", "test"))
    return train.sample(CALIBRATION), test.sample(EVALUATION)


def resnet8(_: Path) -> Case:
    """The reference network of MLPerf Tiny."""
    source = SHARED / "models" / "resnet8_cifar10.h5"
    return Case("ResNet-8", source, *cifar_images(), TaskOptions(image=InputOptions(value_range=(0, 255))))


def cifar10(_: Path) -> Case:
    """The network of examples/cifar10."""
    return Case("CIFAR-10", ROOT / "examples" / "cifar10" / "cifar10.keras", *cifar_images(), TaskOptions())


def mobilenet(folder: Path) -> Case:
    """MobileNetV2 with random features, whose normalizations know the images, and a head fitted by ridge
    regression."""
    import keras

    train, test = cifar_images()
    fitting = ImageSet.open(SHARED / "data" / "cifar10-train.zip").sample(3000, seed=1)
    keras.utils.set_random_seed(1)
    features = keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None, pooling="avg")
    for layer in features.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8
    pixels = np.stack(list(fitting)).astype(np.float32)
    pixels = np.asarray(keras.ops.image.resize(pixels, (SIDE, SIDE))) / 127.5 - 1
    for start in range(0, 960, 32):
        features(pixels[start : start + 32], training=True)
    values = features.predict(pixels, verbose=0, batch_size=64)
    mean, spread = values.mean(0), values.std(0) + 1e-3
    normal = (values - mean) / spread
    truth = np.eye(10, dtype=np.float32)[fitting.labels] - 0.1
    weights = np.linalg.solve(normal.T @ normal + 300 * np.eye(normal.shape[1]), normal.T @ truth)
    head = keras.layers.Dense(10, activation="softmax")
    image = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(image, head(features(keras.layers.Rescaling(1 / 127.5, -1)(image))))
    sharp = 8 * weights / spread[:, np.newaxis]
    head.set_weights([sharp.astype(np.float32), (-mean @ sharp).astype(np.float32)])
    path = folder / "mobilenet.keras"
    model.save(path)
    return Case("MobileNetV2, fitted head", path, train, test, TaskOptions())


def blood_cells(folder: Path) -> Case:
    """The detector of examples/blood_cells."""
    example = ROOT / "examples" / "blood_cells"
    sys.path.insert(0, str(example))
    from unpack import unpack  # the example's own

    unpack(SHARED / "data" / "bccd.zip", folder / "bccd")
    task = TaskOptions(
        labels=folder / "bccd" / "labels.txt",
        annotations=folder / "bccd" / "val-voc",
        decoder="heatmap",
        decoder_settings={"size_unit": "root-share"},
    )
    images = folder / "bccd"
    return Case("blood cells", example / "blood_cells.keras", images / "train", images / "val", task)


if __name__ == "__main__":
    main()
