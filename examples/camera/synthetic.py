"""A synthetic camera: handwritten digits that move at 30 frames per second, with known ground truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

#: Width and height of a frame, and of a digit, in pixels.
SIDE, DIGIT = 96, 32
FPS = 30
#: Ten digits side by side, of scikit-learn's set.
SHEET = Path(__file__).with_name("digits.png")
#: Grey values of the background and of the ink.
GROUND, INK = 70, 230


class Truth(NamedTuple):
    """One digit of a frame.

    Attributes:
        digit: 0 to 9.
        box_xyxy: tight around its ink, in pixels.
    """

    digit: int
    box_xyxy: tuple[int, int, int, int]


class Scene:
    """Two digits that move on straight lines and bounce; they may cover each other. A function of the index.

    Args:
        seed: of the choice of digits, places and speeds.
    """

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        sheet = cv2.imread(str(SHEET), cv2.IMREAD_GRAYSCALE)
        assert sheet is not None
        self.digits = [int(digit) for digit in random.permutation(10)[:2]]
        self._inks = [sheet[:, digit * DIGIT : (digit + 1) * DIGIT] for digit in self.digits]
        self._start = random.uniform(0, SIDE - DIGIT, (2, 2))
        self._speed = random.uniform(20, 60, (2, 2))  # pixels per second

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame `index`: (96, 96, 3) uint8 RGB."""
        image = np.full((SIDE, SIDE), GROUND, np.float32)
        for ink, (left, top) in zip(self._inks, self._places(index), strict=True):
            part = image[top : top + DIGIT, left : left + DIGIT]
            part += (ink / 255.0) * (INK - part)
        return cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_GRAY2RGB)

    def truth(self, index: int) -> list[Truth]:
        """The digits of frame `index`, and where they are."""
        found = []
        for digit, ink, (left, top) in zip(self.digits, self._inks, self._places(index), strict=True):
            x, y, width, height = cv2.boundingRect((ink > 0.3 * 255).astype(np.uint8))
            box = left + x, top + y, left + x + width, top + y + height
            found.append(Truth(digit, box))
        return found

    def _places(self, index: int) -> list[tuple[int, int]]:
        room = SIDE - DIGIT
        way = np.mod(self._start + self._speed * index / FPS, 2 * room)
        return [(int(left), int(top)) for left, top in np.minimum(way, 2 * room - way).tolist()]


def moving_digits(
    frames: int | None = None,
    seed: int = 0,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[NDArray[np.uint8]]:
    """Frames as a camera gives them: 30 per second.

    Args:
        frames: how many; `None` for no end.
        seed: as for `Scene`, which has the ground truth.
        now, sleep: the time, in seconds; tests pass a simulated one.
    """
    scene, start, index = Scene(seed), now(), 0
    while frames is None or index < frames:
        sleep(max(0.0, start + (index + 1) / FPS - now()))
        yield scene.frame(index)
        index += 1
