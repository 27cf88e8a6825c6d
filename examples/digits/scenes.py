"""Cluttered scenes with handwritten digits from scikit-learn, without a download."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

#: Width and height of a scene.
SIDE = 96
LABELS = tuple("0123456789")
#: Range of a digit's height in pixels, and largest number of digits in a scene.
HEIGHT, MOST = (22, 46), 6
#: A pixel belongs to a digit if ink covers more than this share of it.
INK = 0.3
#: Largest overlap of two boxes, relative to the smaller.
SHARED = 0.05
#: Positions that are tried per digit; without room, a scene has fewer digits.
TRIES = 3
#: Least difference in brightness between a digit and its background, of 0…255.
CONTRAST = 80
#: Largest number of lines and arcs in a scene.
STROKES = 5

Boxes = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and its labels.

    Attributes:
        image: (96, 96, 3) uint8 RGB.
        boxes_xyxy: (n, 4) float32 in pixels, tight around the ink.
        class_ids: (n,) int64, the digits themselves.
    """

    image: NDArray[np.uint8]
    boxes_xyxy: Boxes
    class_ids: NDArray[np.int64]


def scenes(count: int, seed: int, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Iterator[Scene]:
    """Draw random scenes, the same for the same seed.

    Args:
        count: number of scenes.
        seed: seed of all random choices.
        images: digits to choose from, as `quickstart.digits` returns them: (n, side, side, 3) uint8.
        labels: (n,), the digit in each image.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield _scene(images, labels, rng)


def write_scenes(folder: Path, drawn: Sequence[Scene]) -> None:
    """Write the images as PNG files into a folder, and their labels beside it as COCO JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:04d}.png" for number in range(len(drawn))]
    for name, scene in zip(names, drawn, strict=True):
        cv2.imwrite(str(folder / name), cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
    objects = [
        (number, box, class_id)
        for number, scene in enumerate(drawn)
        for box, class_id in zip(scene.boxes_xyxy.tolist(), scene.class_ids.tolist(), strict=True)
    ]
    document = {
        "images": [
            {"id": number, "file_name": name, "width": SIDE, "height": SIDE}
            for number, name in enumerate(names)
        ],
        "categories": [{"id": class_id, "name": label} for class_id, label in enumerate(LABELS)],
        "annotations": [
            {
                "id": annotation_id,
                "image_id": number,
                "category_id": class_id,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
            }
            for annotation_id, (number, (left, top, right, bottom), class_id) in enumerate(objects)
        ],
    }
    folder.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")


def _scene(images: NDArray[np.uint8], labels: NDArray[np.int64], rng: np.random.Generator) -> Scene:
    canvas = _background(rng)
    _clutter(canvas, rng)
    boxes, class_ids = np.empty((0, 4), np.float32), []
    wanted = int(rng.integers(1, MOST + 1))
    for chosen in rng.integers(len(images), size=TRIES * wanted):
        if len(boxes) == wanted:
            break
        ink = _ink(images[chosen, ..., 0], rng)
        box = _box(ink)
        if box is not None and _most_shared(box, boxes) <= SHARED:
            _write(canvas, ink, box, rng)
            boxes = np.concatenate([boxes, box[None]])
            class_ids.append(labels[chosen])
    canvas += rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(0, 10))
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (3, 3), 0)
    return Scene(image, boxes, np.array(class_ids, np.int64))


def _background(rng: np.random.Generator) -> NDArray[np.float32]:
    """A gradient between two colours, with blotches of random size."""
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None]
    share = (np.cos(angle) * across + np.sin(angle) * across[:, None]) / 2.9 + 0.5
    first, second = rng.uniform(20, 235, (2, 3)).astype(np.float32)
    cells = int(rng.integers(3, 24))
    blotches = rng.normal(0, rng.uniform(0, 22), (cells, cells)).astype(np.float32)
    texture = cv2.resize(blotches, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(first + share * (second - first) + texture[..., None], np.float32)


def _clutter(canvas: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Draw lines and arcs as distractors."""
    for _ in range(rng.integers(1, STROKES + 1)):
        color = rng.uniform(0, 255, 3).tolist()
        thickness = int(rng.integers(1, 4))
        (x0, y0), (x1, y1) = rng.integers(-10, SIDE + 10, (2, 2)).tolist()
        if rng.random() < 0.6:
            cv2.line(canvas, (x0, y0), (x1, y1), color, thickness, cv2.LINE_AA)
        else:
            axes = rng.integers(8, 60, 2).tolist()
            start = rng.uniform(0, 360)
            end = start + rng.uniform(40, 200)
            cv2.ellipse(canvas, (x0, y0), axes, 0, start, end, color, thickness, cv2.LINE_AA)


def _ink(digit: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """The ink of the digit, 0…1, scaled, slightly rotated and at a random position in the scene."""
    scale = np.exp(rng.uniform(*np.log(HEIGHT))) / len(digit)
    stretch, turn = np.exp(rng.uniform(-0.15, 0.15)), np.deg2rad(rng.uniform(-14, 14))
    cos, sin = np.cos(turn), np.sin(turn)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ [[stretch, 0], [0, 1]]
    margin = 0.4 * scale * len(digit)
    center = rng.uniform(margin, SIDE - margin, 2)
    matrix = np.column_stack([linear, center - linear @ np.full(2, len(digit) / 2)])
    ink = cv2.warpAffine(digit.astype(np.float32) / 255, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return np.asarray(np.minimum(ink * 1.25, 1), np.float32)


def _box(ink: NDArray[np.float32]) -> Boxes | None:
    """The box around the ink; `None` if it leaves the scene."""
    columns, rows = (np.flatnonzero((ink > INK).any(axis=axis)) for axis in (0, 1))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    inside = left > 0 and top > 0 and right < SIDE and bottom < SIDE
    return np.array([left, top, right, bottom], np.float32) if inside else None


def _most_shared(box: Boxes, others: Boxes) -> float:
    """The largest overlap of `box` with one of the others, relative to the smaller of the two."""
    corners = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    smaller = np.minimum(areas, np.prod(box[2:] - box[:2]))
    return float((np.prod(np.maximum(corners, 0), axis=1) / smaller).max(initial=0))


def _write(
    canvas: NDArray[np.float32], ink: NDArray[np.float32], box: Boxes, rng: np.random.Generator
) -> None:
    """Draw the digit in a colour that differs from its background."""
    left, top, right, bottom = box.astype(int)
    behind = canvas[top:bottom, left:right].mean()
    color = rng.uniform(0, 255, 3)
    while abs(color.mean() - behind) < CONTRAST:
        color = rng.uniform(0, 255, 3)
    canvas += ink[..., None] * (color.astype(np.float32) - canvas)
