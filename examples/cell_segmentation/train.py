"""Train a small U-Net on the masks that `masks.py` wrote, on a CPU.

python train.py FOLDER -o cells.keras
"""

from __future__ import annotations

import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import cv2
import keras
import numpy as np
from keras import layers
from masks import LABELS, VOID
from numpy.typing import NDArray

#: Width and height of the network's input: half of the microscope's 640 x 480.
INPUT_WH = (320, 240)
#: Side of the square crops that it is trained on.
CROP = 160
#: What a pixel of each class counts: platelets are few, and small.
WEIGHTS = (1.0, 1.0, 1.5, 4.0)

Pixels = NDArray[np.uint8]


def build_network(size_wh: tuple[int, int]) -> keras.Model:
    """A U-Net (Ronneberger, Fischer and Brox 2015) of separable convolutions.

    Returns:
        A model from (batch, height, width, 3) RGB of 0…255 to the probabilities of the classes,
        (batch, height / 2, width / 2, classes).
    """
    image = keras.Input((size_wh[1], size_wh[0], 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu6")(x)
    skips = []
    for filters in (16, 32, 64):
        x = _block(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _block(_block(x, 96), 96)
    for skip in reversed(skips):
        x = _conv(layers.UpSampling2D(2)(x), skip.shape[-1], 1)
        x = _block(layers.Concatenate()([x, skip]), skip.shape[-1])
    return keras.Model(image, layers.Conv2D(len(LABELS), 1, activation="softmax", name="classes")(x))


def _block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    return _conv(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x), filters, 1)


def _conv(x: keras.KerasTensor, filters: int, kernel: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


class Crops(keras.utils.PyDataset):
    """Random crops of photos with their masks, new in each epoch, and the same for the same seed."""

    def __init__(self, photos: list[Pixels], masks: list[Pixels], batch_size: int, seed: int) -> None:
        super().__init__(workers=1, max_queue_size=4)
        self._photos, self._masks, self._batch_size, self._seed = photos, masks, batch_size, seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._photos) // self._batch_size

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        order = np.random.default_rng((self._seed, self._epoch)).permutation(len(self._photos))
        rng = np.random.default_rng((self._seed, self._epoch, index))
        chosen = order[index * self._batch_size : (index + 1) * self._batch_size]
        images, masks = zip(*(self._crop(place, rng) for place in chosen), strict=True)
        # The network's output has half the size of its input.
        targets = np.stack(masks)[:, 1::2, 1::2]
        known = targets != VOID
        weights = np.where(known, np.array(WEIGHTS)[np.where(known, targets, 0)], 0.0)
        return np.stack(images), np.where(known, targets, 0), weights.astype(np.float32)

    def on_epoch_end(self) -> None:
        self._epoch += 1

    def _crop(self, place: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Pixels]:
        photo, mask = self._photos[place], self._masks[place]
        width, height = INPUT_WH
        x, y = int(rng.integers(0, width - CROP + 1)), int(rng.integers(0, height - CROP + 1))
        part = (slice(y, y + CROP), slice(x, x + CROP))
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        image, target = (np.rot90(one[part], turns) for one in (photo, mask))
        if mirrored:
            image, target = image[:, ::-1], target[:, ::-1]
        gain = np.exp(rng.uniform(-0.15, 0.15) + rng.uniform(-0.06, 0.06, 3))
        return np.clip(image * gain + rng.uniform(-20, 20), 0, 255).astype(np.float32), target


def read(folder: Path, part: str) -> tuple[list[Pixels], list[Pixels]]:
    """The photos of a part, RGB, at the size of the network's input, and their masks."""
    photos, masks = [], []
    for path in sorted((folder / part).glob("*.jpg")):
        photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(folder / f"{part}-masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        photos.append(cv2.resize(photo, INPUT_WH, interpolation=cv2.INTER_AREA))
        masks.append(cv2.resize(mask, INPUT_WH, interpolation=cv2.INTER_NEAREST))
    return photos, masks


@click.command(context_settings={"show_default": True})
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default="cells.keras")
@click.option("--epochs", type=click.IntRange(min=1), default=120)
@click.option("--batch-size", type=click.IntRange(min=1), default=8)
@click.option("--learning-rate", type=float, default=4e-3, help="Highest rate; a cosine reduces it to 0.")
@click.option("--seed", type=int, default=0)
def main(folder: Path, output: Path, epochs: int, batch_size: int, learning_rate: float, seed: int) -> None:
    """Train the network on crops, and save it for whole photos, without the optimizer's state."""
    started = time.monotonic()
    keras.utils.set_random_seed(seed)
    crops = Crops(*read(folder, "train"), batch_size, seed)
    trainer = build_network((CROP, CROP))
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(crops))
    trainer.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=5.0),
        loss="sparse_categorical_crossentropy",
        jit_compile=False,  # XLA on a CPU is slower
    )
    trainer.fit(crops, epochs=epochs, shuffle=False, verbose=2)
    network = build_network(INPUT_WH)
    network.set_weights(trainer.get_weights())
    network.save(output)
    wall, cpu = time.monotonic() - started, time.process_time()
    click.echo(f"trained for {wall:.0f} s, {cpu:.0f} s of CPU time; wrote {output}")


if __name__ == "__main__":
    main()
