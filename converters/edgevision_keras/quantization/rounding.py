"""Weights rounded to int8 together, so that the errors of one make up for those of another.

For each layer the weights on its int8 grid are sought that give the outputs of the float layer on
calibration images with the least squared error. The error's second derivatives are the moments of
the inputs: Frantar et al., GPTQ, 2022, and Nagel et al., Up or Down?, 2020. They are minimised by
coordinate descent: Behdin et al., QuantEase, 2023. The bias takes up what is left of the mean.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import on_one_thread
from edgevision_keras.quantization.folding import Layer, same_padding

#: Of the mean square of the inputs, added to each: keeps weights that little was seen of.
_DAMPING = 0.01
_SWEEPS = 8
#: Of int8, where zero is in the middle.
_LARGEST = 127

#: Multiplications, about 10 ms of them, that are not shared out among threads: where another program holds
#: one of the cores the threads wait for each other, spinning, and took two to three times as long. Products
#: of inputs were the same either way, to the last bit; those with outputs were not, and are left alone.
_MOST_ON_ONE_THREAD = 1e9
#: Inputs of one output: their products are a square of so many numbers, several times over. A convolution
#: of 3 x 3 over 256 channels has so many; of larger layers each weight is rounded by itself.
_MOST_INPUTS = 2304


@dataclass
class Moments:
    """Sums over sampled places of a layer's inputs and outputs, a group of channels each.

    Attributes:
        inputs: (groups, d + 1, d + 1): products of the d inputs, and 1 for the bias.
        outputs: (groups, d + 1, outputs a group): their products with the outputs.
        places: how many were sampled.
    """

    inputs: Array
    outputs: Array
    places: int = 0

    @classmethod
    def of(cls, layer: Layer, channels: int) -> Moments:
        """None yet."""
        groups = _groups(layer, channels)
        per_group = layer.bias.size // groups
        inputs = layer.weight.size // layer.bias.size
        return cls(np.zeros((groups, inputs + 1, inputs + 1)), np.zeros((groups, inputs + 1, per_group)))

    def add(self, layer: Layer, given: Array, made: Array, most: int, random: np.random.Generator) -> None:
        """Sample a batch.

        Args:
            layer: whose they are.
            given: its input, (images, height, width, channels) or (images, channels).
            made: its output, with the bias.
            most: places that are sampled in it.
            random: draws them.
        """
        shape = made.shape[:-1]
        total = int(np.prod(shape))
        chosen = np.sort(random.choice(total, min(most, total), replace=False))
        groups = len(self.inputs)
        patches = _patches(layer, given, made, np.unravel_index(chosen, shape))
        patches = patches.reshape(len(chosen), -1, groups, patches.shape[-1] // groups)
        patches = patches.transpose(2, 0, 1, 3).reshape(groups, len(chosen), -1)
        patches = np.concatenate([patches, np.ones_like(patches[..., :1])], axis=-1)
        results = made.reshape(total, -1)[chosen].reshape(len(chosen), groups, -1).transpose(1, 0, 2)
        small = patches.size * patches.shape[-1] < _MOST_ON_ONE_THREAD
        with on_one_thread() if small else nullcontext():
            self.inputs += patches.transpose(0, 2, 1) @ patches
        self.outputs += patches.transpose(0, 2, 1) @ results
        self.places += len(chosen)


def can_round(layer: Layer, channels: int) -> bool:
    """Whether the geometry of a layer is understood, and its products fit into memory."""
    fits = layer.weight.size // layer.bias.size <= _MOST_INPUTS
    return fits and layer.padding in ("SAME", "VALID") and channels % max(1, _channels_a_group(layer)) == 0


def rounded(layer: Layer, moments: Moments) -> Layer:
    """A layer whose weights lie on the grid that int8 has, largest weight at 127, an output each."""
    count = max(moments.places, 1)
    products, targets = moments.inputs / count, moments.outputs / count
    mean, mean_made = products[:, -1, :-1], targets[:, -1, :]
    curvature = products[:, :-1, :-1] - mean[:, :, None] * mean[:, None, :]
    slope = targets[:, :-1, :] - mean[:, :, None] * mean_made[:, None, :]
    damping = _DAMPING * np.trace(curvature, axis1=1, axis2=2) / curvature.shape[1] + 1e-12
    curvature = curvature + damping[:, None, None] * np.eye(curvature.shape[1])
    weight = _by_group(layer, len(products)).astype(np.float64)
    slope = slope + damping[:, None, None] * weight
    integers, scale = _nearest(np.linalg.solve(curvature, slope))
    _descend(integers, scale, curvature, slope)
    best = integers * scale
    bias = mean_made - np.einsum("gi,gio->go", mean, best)
    return replace(
        layer,
        weight=_ungrouped(best, layer).astype(np.float32),
        bias=bias.reshape(-1).astype(np.float32),
    )


def nearest(layer: Layer) -> Layer:
    """A layer whose weights are rounded each by itself, as converters do."""
    integers, scale = _nearest(layer.matrix.astype(np.float64)[None])
    return replace(layer, weight=(integers * scale)[0].reshape(layer.weight.shape).astype(np.float32))


def _nearest(weight: Array) -> tuple[Array, Array]:
    """Integers and scales, one an output, of (groups, inputs, outputs)."""
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-30) / _LARGEST
    return np.clip(np.round(weight / scale), -_LARGEST, _LARGEST), scale


def _descend(integers: Array, scale: Array, curvature: Array, slope: Array) -> None:
    """Move one input's weights at a time to the best integers, until none moves.

    The largest weight of an output stays at 127: so the scale that a converter finds is this one.
    """
    pinned = np.abs(integers).argmax(axis=1)
    gradient = curvature @ (integers * scale) - slope
    diagonal = np.diagonal(curvature, axis1=1, axis2=2)
    for _ in range(_SWEEPS):
        moved = False
        for place in range(integers.shape[1]):
            now = integers[:, place]
            best = np.round(now - gradient[:, place] / (diagonal[:, place, None] * scale[:, 0]))
            best = np.where(pinned == place, now, np.clip(best, -_LARGEST, _LARGEST))
            step = (best - now) * scale[:, 0]
            if step.any():
                gradient += curvature[:, :, place, None] * step[:, None, :]
                integers[:, place] = best
                moved = True
        if not moved:
            return


def _patches(layer: Layer, given: Array, made: Array, places: tuple[Array, ...]) -> Array:
    """(places, positions of the kernel, channels) of what the layer sees at each place."""
    if layer.kind == "dense":
        return given.reshape(-1, given.shape[-1])[np.ravel_multi_index(places, made.shape[:-1])][:, None]
    image, row, column = places
    size = layer.weight.shape[:2]
    before = [
        same_padding(layer, axis, given.shape[1 + axis], made.shape[1 + axis])[0]
        if layer.padding == "SAME"
        else 0
        for axis in (0, 1)
    ]
    after = [layer.dilations[axis] * size[axis] + layer.strides[axis] for axis in (0, 1)]
    padded = np.pad(given, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
    rows = row[:, None] * layer.strides[0] + np.arange(size[0]) * layer.dilations[0]
    columns = column[:, None] * layer.strides[1] + np.arange(size[1]) * layer.dilations[1]
    seen = padded[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    return seen.reshape(len(image), -1, given.shape[-1])


def _channels_a_group(layer: Layer) -> int:
    if layer.kind == "depthwise":
        return 1
    return int(layer.weight.shape[-2])


def _groups(layer: Layer, channels: int) -> int:
    return channels // _channels_a_group(layer)


def _by_group(layer: Layer, groups: int) -> Array:
    """Weights as (groups, inputs a group, outputs a group)."""
    if layer.kind == "depthwise":
        height, width, channels, multiplier = layer.weight.shape
        return np.moveaxis(layer.weight.reshape(height * width, channels, multiplier), 0, 1)
    return np.moveaxis(layer.matrix.reshape(len(layer.matrix), groups, -1), 0, 1)


def _ungrouped(weight: Array, layer: Layer) -> Array:
    return np.moveaxis(weight, 0, 1).reshape(layer.weight.shape)


def places_an_image(images: int) -> int:
    """How many places of an image are sampled, so that 32,768 are in all."""
    return -(-32_768 // max(images, 1))
