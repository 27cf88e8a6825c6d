"""Train the blood cell detector from scratch, on a CPU.

python train.py --data bccd.zip --epochs 110 -o blood_cells.keras
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import keras
import numpy as np
from augment import augmented
from dataset import CLASS_NAMES, Sample, read_samples
from evaluate import average_precision, detect
from network import INPUT_WH, STRIDE, build_network
from numpy.typing import NDArray
from targets import LOSSES, WEIGHTS, Targets, render

#: Steps over which the learning rate rises from 0.
WARM_UP_STEPS = 200
#: Momentum of the moving average of the weights; less at first, to forget the initial weights.
EMA_MOMENTUM = 0.998


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="BCCD as one zip.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="blood_cells.keras")
@click.option("--epochs", type=click.IntRange(min=1), default=110)
@click.option("--limit", type=click.IntRange(min=1), help="Use at most this many photos of each list.")
@click.option("--batch-size", type=click.IntRange(min=1), default=8)
@click.option("--learning-rate", type=float, default=2e-3, help="Highest rate; a cosine reduces it to 0.")
@click.option(
    "--check-every", type=click.IntRange(min=0), default=0, help="Epochs between evaluations on val; 0: none."
)
@click.option("--seed", type=int, default=0)
def main(data: Path, output: Path, limit: int | None, check_every: int, **recipe: Any) -> None:
    """Train the network, save it without the optimizer's state, and evaluate it."""
    started = time.monotonic()
    validation = read_samples(data, "val", limit)
    network = train(read_samples(data, "train", limit), validation, check_every, **recipe)
    network.save(output)
    wall, cpu = time.monotonic() - started, time.process_time()
    click.echo(f"trained for {wall:.0f} s, {cpu:.0f} s of CPU time; wrote {output}")
    _report(network, validation)


def train(
    samples: Sequence[Sample],
    validation: Sequence[Sample],
    check_every: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> keras.Model:
    """Train a network, and return it with the moving average of the weights."""
    keras.utils.set_random_seed(seed)
    batches = Batches(samples, batch_size, seed)
    steps = epochs * len(batches)
    warm_up = min(WARM_UP_STEPS, steps // 10)
    network = build_network(len(CLASS_NAMES))
    # A second model of the same layers, so that the optimizer's state is not saved.
    trainer = keras.Model(network.inputs, network.output)
    trainer.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                0.0, steps - warm_up, warmup_target=learning_rate, warmup_steps=warm_up
            ),
            weight_decay=1e-3,
            clipnorm=10.0,
            use_ema=True,
            ema_momentum=min(EMA_MOMENTUM, 1 - 20 / (steps + 20)),
        ),
        loss=LOSSES,
        loss_weights=WEIGHTS,
        jit_compile=False,  # XLA on a CPU is slower
    )
    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
    if check_every:
        callbacks.append(_Check(network, validation, check_every))
    trainer.fit(batches, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=2)
    return network


class Batches(keras.utils.PyDataset):
    """Augmented photos with their targets, new in each epoch, and the same for the same seed."""

    def __init__(self, samples: Sequence[Sample], batch_size: int, seed: int) -> None:
        super().__init__(workers=1, max_queue_size=8)
        self._samples, self._batch_size, self._seed = samples, batch_size, seed
        self._epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self._samples) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Targets]:
        order = np.random.default_rng((self._seed, self._epoch)).permutation(len(self._samples))
        rng = np.random.default_rng((self._seed, self._epoch, index))
        chosen = order[index * self._batch_size : (index + 1) * self._batch_size]
        images, targets = zip(*(self._example(self._samples[place], rng) for place in chosen), strict=True)
        stacked = {name: np.stack([target[name] for target in targets]) for name in targets[0]}
        return np.stack(images).astype(np.float32), stacked

    def on_epoch_end(self) -> None:
        self._epoch += 1

    @staticmethod
    def _example(sample: Sample, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Targets]:
        image, boxes, class_ids = augmented(sample, INPUT_WH, rng)
        return image, render(boxes, class_ids, len(CLASS_NAMES), INPUT_WH, STRIDE)


class _Check(keras.callbacks.Callback):
    """Evaluates on val every few epochs; after SwapEMAWeights, so with the averaged weights."""

    def __init__(self, network: keras.Model, samples: Sequence[Sample], every: int) -> None:
        super().__init__()
        self._network, self._samples, self._every = network, samples, every

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if (epoch + 1) % self._every == 0:
            _report(self._network, self._samples)


def _report(network: keras.Model, samples: Sequence[Sample]) -> None:
    as_numpy = keras.ops.convert_to_numpy
    detections = [
        detect(lambda x: {k: as_numpy(v) for k, v in network(x).items()}, sample.image, INPUT_WH)
        for sample in samples
    ]
    click.echo(
        "  ".join(f"{name} {value:.4f}" for name, value in average_precision(samples, detections).items())
    )


if __name__ == "__main__":
    main()
