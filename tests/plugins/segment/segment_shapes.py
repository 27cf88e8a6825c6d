"""Images of shapes with their masks, and a tiny U-Net that learns them in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LABELS = ("background", "disc", "box")
SIDE = 32


def shapes(
    count: int, seed: int, size_wh: tuple[int, int] = (SIDE, SIDE)
) -> tuple[NDArray[Any], NDArray[Any]]:
    """uint8 images ``(n, h, w, 3)`` RGB, and their masks ``(n, h, w)``: bright discs and dark boxes."""
    random = np.random.default_rng(seed)
    width, height = size_wh
    images, masks = [], []
    for _ in range(count):
        image = random.integers(90, 150, (height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        for number, color in ((2, (30, 40, 60)), (1, (230, 200, 60))):
            x, y = int(random.integers(5, width - 5)), int(random.integers(5, height - 5))
            reach = int(random.integers(3, 7)) * min(size_wh) // SIDE
            for canvas, value in ((image, color), (mask, (number,))):
                if number == 1:
                    cv2.circle(canvas, (x, y), reach, value, -1)
                else:
                    cv2.rectangle(canvas, (x - reach, y - reach), (x + reach, y + reach), value, -1)
        images.append(image)
        masks.append(mask)
    return np.stack(images), np.stack(masks)


def write_shapes(folder: Path, count: int, seed: int, size_wh: tuple[int, int] = (SIDE, SIDE)) -> None:
    """Images in ``folder/images`` and their masks, as grey PNG, in ``folder/masks``."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (image, mask) in enumerate(zip(*shapes(count, seed, size_wh), strict=True)):
        cv2.imwrite(str(folder / "images" / f"{number:03d}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{number:03d}.png"), mask)


def unet(keras: Any, activation: str | None, channels: int) -> Any:
    """A U-Net of two levels on images of 0…255."""
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="photo")
    scaled = layers.Rescaling(1 / 255)(image)
    first = layers.Conv2D(8, 3, padding="same", activation="relu")(scaled)
    down = layers.MaxPooling2D()(first)
    second = layers.Conv2D(16, 3, padding="same", activation="relu")(down)
    up = layers.Conv2DTranspose(8, 2, strides=2, activation="relu")(second)
    joined = layers.Concatenate()([up, first])
    last = layers.Conv2D(8, 3, padding="same", activation="relu")(joined)
    return keras.Model(image, layers.Conv2D(channels, 1, activation=activation, name="classes")(last))


def trained(keras: Any, activation: str | None, channels: int, epochs: int = 8) -> Any:
    """The U-Net, trained on shapes; with one channel on discs alone."""
    keras.utils.set_random_seed(0)
    model = unet(keras, activation, channels)
    images, masks = shapes(384, 7)
    if channels == 1:
        target: Any = (masks == 1).astype(np.float32)[..., None]
        loss: Any = keras.losses.BinaryCrossentropy(from_logits=activation is None)
    else:
        target = masks
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(images.astype(np.float32), target, batch_size=32, epochs=epochs, verbose=0)
    return model
