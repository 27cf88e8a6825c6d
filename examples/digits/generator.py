"""A generator of handwritten digits: a diffusion network conditioned on the digit.

    python generator.py train -o generator.keras

Beside the network it writes ``generator.task.json``, its task description for `edgevision convert`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from quickstart import TRAINING_IMAGES, small_digits

from edgevision.tasks.description import GenerateTask, task_to_dict
from edgevision.tasks.generation.schedules import alphas_cumprod
from edgevision.tasks.generation_settings import Condition, DiffusionSettings, NoiseSchedule

#: Width and height of scikit-learn's images.
SIDE = 8
#: Ten digits, and an eleventh class for the unconditional case.
DIGITS, NO_DIGIT = 10, 10
#: Share of the training images without their digit, which guidance needs.
UNCONDITIONAL = 0.1
BATCH_SIZE = 256
#: Features per layer of the network, and number of blocks that are conditioned on time and digit.
WIDTH, BLOCKS = 192, 3
SCHEDULE = NoiseSchedule("cosine", steps=1000, offset=0.008)
TASK = GenerateTask(
    kind="diffusion",
    output="velocity",
    output_range=(-1, 1),
    color="gray",
    settings=DiffusionSettings(
        image_input="noisy",
        timestep_input="time",
        timestep="fraction",
        prediction="v",
        schedule=SCHEDULE,
        condition=Condition("digit", "one-hot", DIGITS, NO_DIGIT),
        sampler="ddim",
        steps=25,
        guidance=1.5,
    ),
)

Tensors = dict[str, NDArray[np.float32]]


@click.group(context_settings={"show_default": True})
def main() -> None:
    """A diffusion network conditioned on the digit."""


@main.command("train")
@click.option("--steps", type=click.IntRange(min=1), default=8000, help=f"Steps of {BATCH_SIZE} digits each.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="generator.keras")
def train_command(steps: int, output: Path) -> None:
    """Train the network, and save it without the optimizer's state, with its task description beside it."""
    started = time.monotonic()
    train(steps).save(output)
    task_file = output.with_suffix(".task.json")
    task_file.write_text(json.dumps(task_to_dict(TASK), indent=2) + "\n", encoding="utf-8")
    click.echo(f"trained for {time.monotonic() - started:.0f} s; wrote {output} and {task_file}")


def train(steps: int, seed: int = 0) -> keras.Model:
    """Train a network on the first 1,200 digits, with new noise in every step."""
    keras.utils.set_random_seed(seed)
    network = build_network()
    # A second model of the same layers, so that the optimizer's state is not saved.
    trainer = keras.Model(network.inputs, network.output)
    warm_up = min(200, steps // 5)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=2e-3, warmup_steps=warm_up
    )
    trainer.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        "mean_squared_error",
        jit_compile=False,  # XLA on a CPU is slower
    )
    trainer.fit(NoisyDigits(steps), verbose=2, shuffle=False)
    return network


def build_network() -> keras.Model:
    """An untrained denoiser of dense layers, which every runtime supports in int8.

    Inputs: ``noisy`` (batch, 8, 8, 1); ``time`` (batch, 1), the timestep as a share of the training's;
    ``digit`` (batch, 11), one-hot, with the last class for none. Output: ``velocity`` (batch, 8, 8, 1),
    as defined by Salimans and Ho 2022: unlike the noise, it determines the clean image as precisely at
    timesteps of nearly pure noise, so an int8 step is a small error at every timestep.
    """
    noisy = keras.Input((SIDE, SIDE, 1), name="noisy")
    share, digit = keras.Input((1,), name="time"), keras.Input((DIGITS + 1,), name="digit")
    condition = layers.Concatenate()([layers.Dense(64, activation="relu")(share), digit])
    condition = layers.Dense(128, activation="relu")(condition)
    x = layers.Dense(WIDTH)(layers.Flatten()(noisy))
    for _ in range(BLOCKS):
        mixed = layers.Add()([layers.Dense(WIDTH)(x), layers.Dense(WIDTH)(condition)])
        x = layers.Add()([x, layers.ReLU()(mixed)])
    velocity = layers.Reshape((SIDE, SIDE, 1), name="velocity")(layers.Dense(SIDE * SIDE)(x))
    return keras.Model([noisy, share, digit], velocity, name="digits_generator")


class NoisyDigits(keras.utils.PyDataset):
    """Digits with new noise in every step, and their velocities as targets."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        images, self._labels = (array[:TRAINING_IMAGES] for array in small_digits())
        self._images = (images[..., None] / 127.5 - 1).astype(np.float32)
        self._signal = np.sqrt(alphas_cumprod(SCHEDULE)).astype(np.float32)
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Tensors, NDArray[np.float32]]:
        rng = np.random.default_rng(index)
        chosen = rng.integers(len(self._images), size=BATCH_SIZE)
        clean, noise = self._images[chosen], rng.standard_normal((BATCH_SIZE, SIDE, SIDE, 1), np.float32)
        timesteps = rng.integers(len(self._signal), size=BATCH_SIZE)
        signal = self._signal[timesteps][:, None, None, None]
        sigma = np.sqrt(1 - signal**2)
        classes = np.where(rng.random(BATCH_SIZE) < UNCONDITIONAL, NO_DIGIT, self._labels[chosen])
        inputs = {
            "noisy": signal * clean + sigma * noise,
            "time": (timesteps[:, None] / len(self._signal)).astype(np.float32),
            "digit": np.eye(DIGITS + 1, dtype=np.float32)[classes],
        }
        return inputs, signal * noise - sigma * clean


if __name__ == "__main__":
    main()
