"""A detector of digits in cluttered scenes: train it, and lay out what proves it on devices.

    python detector.py train -o detector.keras
    python detector.py scenes evaluator

The folder `evaluator` gets ``evaluation/`` and ``evaluation.json`` (scenes with digits that training
never saw, and what is in them), and ``calibration/`` likewise, with digits of the training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from quickstart import TRAINING_IMAGES, digits
from scenes import LABELS, SIDE, Scene, scenes, write_scenes

#: Pixels from one cell of the outputs to the next, and cells in a row.
STRIDE = 4
CELLS = SIDE // STRIDE
#: Of a peak in the heat map, as a share of the box's width and height, and at least, in cells.
SPREAD, LEAST_SPREAD = 0.09, 0.6
#: How much each output counts in training.
WEIGHTS = {"heatmap": 1.0, "size": 8.0, "offset": 1.0}
BATCH_SIZE = 16
#: Seeds of the scenes, so far apart that no two sets share one.
TRAINING_SEED, EVALUATION_SEED, CALIBRATION_SEED = 1_000_000, 1, 2

Digits = tuple[NDArray[np.uint8], NDArray[np.int64]]
Targets = dict[str, NDArray[np.float32]]


@click.group(context_settings={"show_default": True})
def main() -> None:
    """A detector of digits in cluttered scenes."""


@main.command("train")
@click.option("--steps", type=click.IntRange(min=1), default=1800, help=f"Of {BATCH_SIZE} new scenes each.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="detector.keras")
def train_command(steps: int, output: Path) -> None:
    """Train the network, and save it without the optimizer's state."""
    started = time.monotonic()
    train(steps).save(output)
    click.echo(f"trained for {time.monotonic() - started:.0f} s; wrote {output}")


@main.command("scenes")
@click.argument("folder", type=click.Path(path_type=Path), default="evaluator")
@click.option("--count", type=click.IntRange(min=1), default=300, help="Scenes to measure on.")
@click.option("--calibration", type=click.IntRange(min=1), default=200, help="Scenes to calibrate on.")
def scenes_command(folder: Path, count: int, calibration: int) -> None:
    """Write scenes to measure and to calibrate on, and what is in them, into FOLDER."""
    write_scenes(folder / "evaluation", evaluation_scenes(count))
    write_scenes(folder / "calibration", list(scenes(calibration, CALIBRATION_SEED, *training_digits())))


def training_digits() -> Digits:
    """Those that the quickstart trains on, too."""
    images, labels = digits()
    return images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES]


def evaluation_scenes(count: int) -> list[Scene]:
    """Scenes of the other digits."""
    images, labels = digits()
    return list(scenes(count, EVALUATION_SEED, images[TRAINING_IMAGES:], labels[TRAINING_IMAGES:]))


def train(steps: int, seed: int = 0) -> keras.Model:
    """Train a network on scenes that are new in every step."""
    keras.utils.set_random_seed(seed)
    network = build_network()
    # A second model of the same layers: so the optimizer's state is no part of what is saved.
    trainer = keras.Model(network.inputs, network.output)
    warm_up = min(100, steps // 5)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=4e-3, warmup_steps=warm_up
    )
    trainer.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=10.0),
        LOSSES,
        loss_weights=WEIGHTS,
        jit_compile=False,  # XLA on a CPU is slower
    )
    trainer.fit(Batches(steps), epochs=1, verbose=2, shuffle=False)
    return network


def build_network() -> keras.Model:
    """A small CenterNet (Zhou, Wang and Krähenbühl 2019, "Objects as Points"), untrained.

    Takes (batch, 96, 96, 3) RGB of 0…255; gives, of 0…1: ``heatmap`` (batch, 24, 24, 10); ``size``
    (batch, 24, 24, 2), square roots of width and height as shares of the scene's; ``offset``
    (batch, 24, 24, 2), the centre's x and y in its cell.
    """
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu6")(x)
    fine = _conv(x, 32, strides=2)
    x = _conv(fine, 64, strides=2)
    for _ in range(3):
        x = layers.Add()([x, _conv(x, 64)])
    x = layers.Add()([layers.UpSampling2D(2)(_conv(x, 48, 1)), _conv(fine, 48, 1)])
    x = _conv(x, 48)
    outputs = {
        # Few cells hold a digit: the untrained heat map starts from 2 %.
        "heatmap": layers.Conv2D(len(LABELS), 1, bias_initializer=keras.initializers.Constant(-4.0))(x),
        "size": layers.Conv2D(2, 1)(x),
        "offset": layers.Conv2D(2, 1)(x),
    }
    sigmoids = {name: layers.Activation("sigmoid", name=name)(logits) for name, logits in outputs.items()}
    return keras.Model(image, sigmoids, name="digits_detector")


def _conv(x: keras.KerasTensor, filters: int, kernel: int = 3, strides: int = 1) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


class Batches(keras.utils.PyDataset):
    """New scenes in every step, with what the network is to answer."""

    def __init__(self, steps: int) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self._digits = training_digits()
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Targets]:
        drawn = list(scenes(BATCH_SIZE, TRAINING_SEED + index, *self._digits))
        return np.stack([scene.image for scene in drawn]).astype(np.float32), targets(drawn)


def targets(drawn: Sequence[Scene]) -> Targets:
    """What the network is to answer.

    Returns:
        float32 (scenes, 24, 24, …): ``heatmap`` with a Gaussian peak for each digit, 1 in the cell
        of its centre; ``size`` and ``offset`` as `build_network` tells, with a third channel that
        is 1 in those cells and 0 elsewhere.
    """
    depths = {"heatmap": len(LABELS), "size": 3, "offset": 3}
    answer = {name: np.zeros((len(drawn), CELLS, CELLS, depth), np.float32) for name, depth in depths.items()}
    grid = np.arange(CELLS)
    for place, scene in enumerate(drawn):
        for box, class_id in zip(scene.boxes_xyxy, scene.class_ids, strict=True):
            wh = box[2:] - box[:2]
            center = (box[:2] + box[2:]) / 2 / STRIDE
            column, row = center.astype(int)
            spread = np.maximum(SPREAD * wh / STRIDE, LEAST_SPREAD)
            across, down = (
                np.exp(-(((grid - at) / s) ** 2) / 2) for at, s in zip((column, row), spread, strict=True)
            )
            heat = answer["heatmap"][place, ..., class_id]
            np.maximum(heat, down[:, None] * across, out=heat)
            answer["size"][place, row, column] = (*np.sqrt(wh / SIDE), 1)
            answer["offset"][place, row, column] = (*(center - (column, row)), 1)
    return answer


def focal_loss(truth: keras.KerasTensor, heatmap: keras.KerasTensor) -> keras.KerasTensor:
    """The penalty-reduced focal loss of CornerNet (Law and Deng 2018), a digit in the batch."""
    heatmap = ops.clip(heatmap, 1e-4, 1 - 1e-4)
    is_center = ops.cast(truth >= 1, heatmap.dtype)
    at_centers = is_center * (1 - heatmap) ** 2 * ops.log(heatmap)
    elsewhere = (1 - is_center) * (1 - truth) ** 4 * heatmap**2 * ops.log(1 - heatmap)
    return -ops.sum(at_centers + elsewhere) / ops.maximum(ops.sum(is_center), 1)


def distance_at_centers(truth: keras.KerasTensor, values: keras.KerasTensor) -> keras.KerasTensor:
    """Mean distance in the cells that hold a centre."""
    weight = truth[..., 2:]
    return ops.sum(weight * ops.abs(truth[..., :2] - values)) / ops.maximum(ops.sum(weight), 1)


LOSSES: dict[str, Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]] = {
    "heatmap": focal_loss,
    "size": distance_at_centers,
    "offset": distance_at_centers,
}

if __name__ == "__main__":
    main()
