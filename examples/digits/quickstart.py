"""From scratch to a model on three runtimes, without a download.

    python examples/digits/quickstart.py [FOLDER]

Trains a small network on scikit-learn's handwritten digits, converts it for three devices in int8,
shows the evidence, and predicts. It prints each `edgevision` command that it runs, so that you can run
it yourself.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
TRAINING_IMAGES = 1200
TARGETS = ("raspberry-pi-5", "intel-cpu", "jetson-orin")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("quickstart"))
    parser.add_argument("--epochs", type=int, default=12)
    folder, epochs = vars(parser.parse_args()).values()

    images, labels = digits()
    write_images(folder / "training", images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES])
    write_images(folder / "evaluation", images[TRAINING_IMAGES:], labels[TRAINING_IMAGES:])
    train(images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES], epochs, folder / "digits.keras")

    targets = [word for target in TARGETS for word in ("--target", target)]
    bundle = folder / "digits.evb"
    edgevision(
        *("convert", folder / "digits.keras", *targets, "--precision", "int8"),
        *(
            "--calibration",
            folder / "training",
            "--evaluation",
            folder / "evaluation",
            "-o",
            bundle,
            "--force",
        ),
    )
    three = [next((folder / "evaluation" / digit).iterdir()) for digit in "357"]
    for backend in ("tflite", "openvino", "onnx"):
        edgevision("predict", bundle, *three, "--backend", backend, "--top", "2")


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The 1797 digits as uint8 (n, 32, 32, 3), white on black, and their labels."""
    small, labels = small_digits()
    large = [cv2.cvtColor(cv2.resize(image, (SIDE, SIDE)), cv2.COLOR_GRAY2RGB) for image in small]
    return np.stack(large), labels


def small_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The same digits in the same order and in their original size: uint8 (n, 8, 8)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.images))
    return np.clip(data.images * 16, 0, 255).astype(np.uint8)[order], data.target[order]


def write_images(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write PNG files, one folder per class."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)


def train(images: NDArray[np.uint8], labels: NDArray[np.int64], epochs: int, path: Path) -> None:
    """Train the network and save it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), name="image"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=32, epochs=epochs, verbose=2)
    model.save(path)


def edgevision(*words: str | Path) -> None:
    """Print an `edgevision` command and run it."""
    arguments = [str(word) for word in words]
    print(f"\n$ edgevision {shlex.join(arguments)}", flush=True)
    # In the folder above the checkout, the checkout itself would be imported as `edgevision`.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    subprocess.run([sys.executable, "-m", "edgevision", *arguments], check=True, env=environment)


if __name__ == "__main__":
    main()
