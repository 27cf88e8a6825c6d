"""Augmentation of blood cell photos: rotation, mirroring, scale, shift and staining."""

from __future__ import annotations

import cv2
import numpy as np
from dataset import Sample
from numpy.typing import NDArray

#: Relative to the scale that fits the photo to the network's input.
SCALE = (0.8, 1.4)
#: Largest rotation in addition to a multiple of 90 degrees.
TURN_DEGREES = 20
#: Largest shift relative to the input's size, in addition to the slack of the crop.
SHIFT = 0.12
#: A cell with less than this share inside the crop is not labelled.
VISIBLE = 0.4


def augmented(
    sample: Sample, size_wh: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """Augment a photo and its boxes at random.

    Args:
        sample: the photo; not changed.
        size_wh: size of the augmented image.
        rng: source of randomness; the same state gives the same image.

    Returns:
        The image (h, w, 3) uint8 RGB, its boxes (n, 4) float32 in pixels of it, clipped to it, and
        their classes (n,) int64.
    """
    matrix = _random_affine(sample.image.shape[1::-1], size_wh, rng)
    image = cv2.warpAffine(
        sample.image,
        _from_pixel_centers(matrix),
        size_wh,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=background(sample.image),
    )
    boxes, kept = _clipped(_moved(sample.boxes_xyxy, matrix), size_wh)
    return _stained(image, rng), boxes[kept], sample.class_ids[kept]


def background(image: NDArray[np.uint8]) -> tuple[float, float, float]:
    """The RGB colour between the cells, estimated from the brightest pixels."""
    red, green, blue = np.percentile(image[::8, ::8].reshape(-1, 3), 90, axis=0)
    return float(red), float(green), float(blue)


def _random_affine(
    from_wh: tuple[int, int], to_wh: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    fit = to_wh[0] / from_wh[0]
    scale = fit * np.exp(rng.uniform(*np.log(SCALE)))
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    turn = np.deg2rad(90 * rng.integers(4) + rng.triangular(-TURN_DEGREES, 0, TURN_DEGREES))
    cos, sin = np.cos(turn), np.sin(turn)
    mirror = rng.choice([-1.0, 1.0])
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror * stretch, 1 / stretch])
    extent_wh = np.abs(linear) @ np.array(from_wh)
    slack_wh = np.abs(extent_wh - to_wh) / 2 + SHIFT * np.array(to_wh)
    center = np.array(to_wh) / 2 + rng.uniform(-1, 1, 2) * slack_wh
    return np.column_stack([linear, center - linear @ (np.array(from_wh) / 2)])


def _from_pixel_centers(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same transform for OpenCV, whose coordinates start at pixel centres and those of boxes at edges."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    return np.column_stack([linear, shift + linear @ (0.5, 0.5) - 0.5])


def _moved(boxes: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes around the transformed ellipses inside the boxes.

    Cells are round, so a box around the corners of a rotated box would be too large.
    """
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half_wh = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix[:, :2] ** 2).T)
    return np.concatenate([centers - half_wh, centers + half_wh], axis=1)


def _clipped(
    boxes: NDArray[np.float64], size_wh: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes clipped to the image, and which of them stay labelled."""
    inside = np.clip(boxes, 0, np.tile(size_wh, 2))
    area, visible = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, inside))
    return inside.astype(np.float32), visible >= VISIBLE * area


def _stained(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary light, dye and camera: hue, saturation, gain of each channel, contrast, noise."""
    hue, saturation = rng.uniform(-6, 6), np.exp(rng.uniform(-0.35, 0.35))
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    steps = np.arange(256)
    hsv[..., 0] = ((steps + hue) % 180).astype(np.uint8)[hsv[..., 0]]
    hsv[..., 1] = np.clip(steps * saturation, 0, 255).astype(np.uint8)[hsv[..., 1]]
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    gain = np.exp(rng.uniform(-0.2, 0.2) + rng.uniform(-0.06, 0.06, 3))
    shift = rng.uniform(-20, 20)
    tables = np.clip((steps[:, None] - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    rgb = cv2.LUT(rgb, tables[:, None, :])
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 6), rgb.shape[:2])[..., None]
        rgb = np.clip(rgb + noise, 0, 255)
    if rng.random() < 0.2:
        rgb = cv2.GaussianBlur(rgb, (3, 3), 0)
    return np.asarray(rgb, np.uint8)
