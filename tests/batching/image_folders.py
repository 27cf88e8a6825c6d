"""Folders of small images, for batches of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from evaluation.tiny_bundle import LABELS

BROKEN = "a/broken.png"


def write_images(folder: Path, count: int, seed: int = 0) -> Path:
    """Images of noise in one folder per class of the tiny bundle, the first of which is broken, too."""
    random = np.random.default_rng(seed)
    for number in range(count):
        place = folder / LABELS[number % len(LABELS)]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number:05}.png"), random.integers(0, 256, (12, 10, 3), np.uint8))
    (folder / BROKEN).write_bytes(b"not an image")
    return folder
