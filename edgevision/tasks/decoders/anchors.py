"""Anchor boxes of SSD networks: Liu et al. 2016, "SSD: Single Shot MultiBox Detector".

Laid out as by TensorFlow's Object Detection API: layer by layer, row by row, cell by cell, and per
cell one for each aspect ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevision.decoder import Floats
from edgevision.errors import OptionError
from edgevision.system.numeric import is_real, plain_fields
from edgevision.system.shown import shown


@dataclass(frozen=True)
class AnchorGrid:
    """The layout of the anchors of an SSD network.

    Attributes:
        strides: pixels per cell of each layer, the finest first.
        min_scale, max_scale: scales of the anchors of the first and last layer, as shares of the input.
        aspect_ratios: width over height of the anchors of a cell.
        extra_scale: one more square anchor per cell, between its layer's scale and the next.
        reduced_first_layer: only three anchors in the finest layer: a small square, 2:1 and 1:2.
    """

    strides: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 1 / 3)
    extra_scale: bool = True
    reduced_first_layer: bool = True

    def __post_init__(self) -> None:
        plain_fields(self, "strides", "min_scale", "max_scale", "aspect_ratios")
        _check_numbers("strides", self.strides)
        _check_numbers("aspect_ratios", self.aspect_ratios)
        _check_numbers("min_scale, max_scale", (self.min_scale, self.max_scale))

    def boxes_cxcywh(self, input_size_wh: tuple[int, int]) -> Floats:
        """The anchors: float32 (n, 4), centre x and y, width, height, as shares of the input."""
        scales = [*np.linspace(self.min_scale, self.max_scale, len(self.strides)), 1.0]
        layers = [
            _layer(input_size_wh, stride, self._shapes_wh(number, scales))
            for number, stride in enumerate(self.strides)
        ]
        return np.concatenate(layers).astype(np.float32)

    def _shapes_wh(self, layer: int, scales: list[float]) -> Floats:
        scale, following = scales[layer], scales[layer + 1]
        if layer == 0 and self.reduced_first_layer:
            pairs = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            pairs = [(scale, ratio) for ratio in self.aspect_ratios]
            pairs += [((scale * following) ** 0.5, 1.0)] if self.extra_scale else []
        return np.array([(size * ratio**0.5, size / ratio**0.5) for size, ratio in pairs], np.float32)


def _layer(input_size_wh: tuple[int, int], stride: int, shapes_wh: Floats) -> Floats:
    width, height = (-(-size // stride) for size in input_size_wh)
    rows, columns = np.mgrid[:height, :width] + 0.5
    centers = np.stack([columns.ravel() / width, rows.ravel() / height], axis=1)
    repeated = np.repeat(centers, len(shapes_wh), axis=0)
    return np.concatenate([repeated, np.tile(shapes_wh, (width * height, 1))], axis=1).astype(np.float32)


def _check_numbers(name: str, values: object) -> None:
    numbers = values if isinstance(values, tuple) else ()
    if not numbers or not all(is_real(number) and number > 0 for number in numbers):
        raise OptionError(f"anchors: {name}: expected numbers above 0, got {shown(values)}")
