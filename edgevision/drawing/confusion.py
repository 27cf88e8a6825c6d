"""Confusion matrices as images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.drawing.text import plain

Pixels = NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_BLUE = np.array((8, 69, 148), np.float64)
_SIDE = 960
_TEXT_SCALE = 0.42
_LEAST_FOR_TEXT = 14
_MARGIN = 12
_LONGEST_LABEL = 24
_LEGEND = "row: true class, column: predicted class"


def draw_confusion(matrix: NDArray[np.int64], labels: Sequence[str]) -> Pixels:
    """Draw a confusion matrix: one row per true class, one column per predicted class.

    A cell is darker the greater its share of its row. Counts and labels are written where they are
    readable: for up to about seventy classes.

    Args:
        matrix: counts ``(classes, classes)``, int64.
        labels: one name per class.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    classes = len(labels)
    cell = max(2, min(64, _SIDE // classes))
    readable = cell >= _LEAST_FOR_TEXT
    names = [plain(label, place)[:_LONGEST_LABEL] for place, label in enumerate(labels)] if readable else []
    side = _MARGIN + max((_width(name) for name in names), default=0)
    cells = _cells(matrix, cell)
    height, width = side + cells.shape[0] + 2 * _MARGIN, side + cells.shape[1] + _MARGIN
    picture = np.full((height, max(width, _width(_LEGEND) + _MARGIN), 3), 255, np.uint8)
    picture[side : side + cells.shape[0], side : side + cells.shape[1]] = cells
    _write(picture, _LEGEND, 4, height - 6, _BLACK)
    if readable:
        _write_counts(picture, matrix, cell, side)
        _write_names(picture, names, cell, side)
    return picture


def _cells(matrix: NDArray[np.int64], cell: int) -> Pixels:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    colors = np.rint(255 + shares[..., None] * (_BLUE - 255)).astype(np.uint8)
    cells: Pixels = colors.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell >= _LEAST_FOR_TEXT:
        cells[::cell] = cells[:, ::cell] = 225
    return cells


def _write_counts(picture: Pixels, matrix: NDArray[np.int64], cell: int, side: int) -> None:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for row, column in np.argwhere(matrix).tolist():
        text = str(matrix[row, column])
        free = cell - _width(text)
        if free < 0:
            continue
        left = side + column * cell + free // 2
        color = _WHITE if shares[row, column] > 0.5 else _BLACK
        _write(picture, text, left, side + row * cell + cell // 2 + 4, color)


def _write_names(picture: Pixels, names: Sequence[str], cell: int, side: int) -> None:
    for place, name in enumerate(names):
        middle = side + place * cell + cell // 2 + 4
        _write(picture, name, side - 4 - _width(name), middle, _BLACK)
    # Column names run upwards: written onto a strip that is then rotated.
    strip = np.full((picture.shape[1], side, 3), 255, np.uint8)
    for place, name in enumerate(names):
        _write(strip, name, 4, side + place * cell + cell // 2 + 4, _BLACK)
    picture[:side] = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _TEXT_SCALE, 1)[0][0])


def _write(picture: Pixels, text: str, left: int, base: int, color: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, (left, base), _FONT, _TEXT_SCALE, color, 1, cv2.LINE_AA)
