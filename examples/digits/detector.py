"""A detector of digits in cluttered scenes: train it, and write the scenes that verify it on devices.

    python detector.py train -o detector.keras
    python detector.py scenes digit-scenes

Writes ``evaluation/`` and ``evaluation.json`` (scenes with digits that training never saw, and their
labels) into the folder `digit-scenes`, and ``calibration/`` likewise, with digits of the training.
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
#: Standard deviation of a peak in the heat map: relative to the box, and the least in cells.
SPREAD, LEAST_SPREAD = 0.09, 0.6
#: Loss weight of each output.
WEIGHTS = {"heatmap": 1.0, "size": 8.0, "offset": 1.0}
BATCH_SIZE = 16
#: First seeds of the scenes, far enough apart that no two sets share one.
TRAINING_SEED, EVALUATION_SEED, CALIBRATION_SEED = 1_000_000, 1, 2

Digits = tuple[NDArray[np.uint8], NDArray[np.int64]]
Targets = dict[str, NDArray[np.float32]]


@click.group(context_settings={"show_default": True})
def main() -> None:
    """A detector of digits in cluttered scenes."""


@main.command("train")
@click.option(
    "--steps", type=click.IntRange(min=1), default=1800, help=f"Steps of {BATCH_SIZE} new scenes each."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), default="detector.keras")
def train_command(steps: int, output: Path) -> None:
    """Train the network, and save it without the optimizer's state."""
    started = time.monotonic()
    train(steps).save(output)
    click.echo(f"trained for {time.monotonic() - started:.0f} s; wrote {output}")


@main.command("scenes")
@click.argument("folder", type=click.Path(path_type=Path), default="digit-scenes")
@click.option("--count", type=click.IntRange(min=1), default=300, help="Scenes for evaluation.")
@click.option("--calibration", type=click.IntRange(min=1), default=200, help="Scenes for calibration.")
def scenes_command(folder: Path, count: int, calibration: int) -> None:
    """Write scenes for evaluation and calibration, with their labels, into FOLDER."""
    write_scenes(folder / "evaluation", evaluation_scenes(count))
    write_scenes(folder / "calibration", list(scenes(calibration, CALIBRATION_SEED, *training_digits())))
    click.echo(f"wrote {count} scenes for evaluation and {calibration} for calibration to {folder}")


def training_digits() -> Digits:
    """The digits that the quickstart also trains on."""
    images, labels = digits()
    return images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES]


def evaluation_scenes(count: int) -> list[Scene]:
    """Scenes with the other digits."""
    images, labels = digits()
    return list(scenes(count, EVALUATION_SEED, images[TRAINING_IMAGES:], labels[TRAINING_IMAGES:]))


def train(steps: int, seed: int = 0) -> keras.Model:
    """Train a network, on new scenes in every step."""
    keras.utils.set_random_seed(seed)
    network = build_network()
    # A second model of the same layers, so that the optimizer's state is not saved.
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

    The input is (batch, 96, 96, 3) RGB of 0…255. The outputs, of 0…1: ``heatmap`` (batch, 24, 24, 10);
    ``size`` (batch, 24, 24, 2), square roots of width and height relative to the scene's; ``offset``
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
        # Few cells contain a digit: the untrained heat map starts at 2 %.
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
    """New scenes in every step, with their targets."""

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
    """The training targets of scenes.

    Returns:
        float32 (scenes, 24, 24, …): ``heatmap`` with a Gaussian peak for each digit, 1 in the cell
        of its centre; ``size`` and ``offset`` as in `build_network`, with a third channel that is 1
        in those cells and 0 elsewhere.
    """
    depths = {"heatmap": len(LABELS), "size": 3, "offset": 3}
    target = {name: np.zeros((len(drawn), CELLS, CELLS, depth), np.float32) for name, depth in depths.items()}
    grid = np.arange(CELLS)
    for index, scene in enumerate(drawn):
        for box, class_id in zip(scene.boxes_xyxy, scene.class_ids, strict=True):
            wh = box[2:] - box[:2]
            center = (box[:2] + box[2:]) / 2 / STRIDE
            column, row = center.astype(int)
            spread = np.maximum(SPREAD * wh / STRIDE, LEAST_SPREAD)
            across, down = (
                np.exp(-(((grid - peak) / s) ** 2) / 2) for peak, s in zip((column, row), spread, strict=True)
            )
            heat = target["heatmap"][index, ..., class_id]
            np.maximum(heat, down[:, None] * across, out=heat)
            target["size"][index, row, column] = (*np.sqrt(wh / SIDE), 1)
            target["offset"][index, row, column] = (*(center - (column, row)), 1)
    return target


def focal_loss(target: keras.KerasTensor, heatmap: keras.KerasTensor) -> keras.KerasTensor:
    """The penalty-reduced focal loss of CornerNet (Law and Deng 2018), per digit in the batch."""
    heatmap = ops.clip(heatmap, 1e-4, 1 - 1e-4)
    is_center = ops.cast(target >= 1, heatmap.dtype)
    at_centers = is_center * (1 - heatmap) ** 2 * ops.log(heatmap)
    elsewhere = (1 - is_center) * (1 - target) ** 4 * heatmap**2 * ops.log(1 - heatmap)
    return -ops.sum(at_centers + elsewhere) / ops.maximum(ops.sum(is_center), 1)


def distance_at_centers(target: keras.KerasTensor, values: keras.KerasTensor) -> keras.KerasTensor:
    """Mean distance in the cells that contain a centre."""
    weight = target[..., 2:]
    return ops.sum(weight * ops.abs(target[..., :2] - values)) / ops.maximum(ops.sum(weight), 1)


LOSSES: dict[str, Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]] = {
    "heatmap": focal_loss,
    "size": distance_at_centers,
    "offset": distance_at_centers,
}

if __name__ == "__main__":
    main()
