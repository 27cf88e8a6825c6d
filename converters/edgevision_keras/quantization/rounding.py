"""Weights rounded to int8 jointly, so that their errors compensate each other.

For each layer, the weights on its int8 grid are searched for that reproduce the outputs of the float
layer on calibration images with the least squared error. The error's second derivatives are the
moments of the inputs: Frantar et al., GPTQ, 2022, and Nagel et al., Up or Down?, 2020. It is minimised
by coordinate descent: Behdin et al., QuantEase, 2023. The bias corrects the remaining mean error.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import on_one_thread
from edgevision_keras.quantization.folding import Layer, same_padding

#: Share of the inputs' mean square that is added to each: keeps weights of inputs that are rarely active.
_DAMPING = 0.01
_SWEEPS = 8
#: The largest value of symmetric int8.
_LARGEST = 127

#: Multiplications, about 10 ms of them, that stay on one thread: where another program occupies one of the
#: cores, threads wait for each other, spinning, and took two to three times as long. Products of inputs were
#: the same either way, to the last bit; those with outputs were not, and keep their threads.
_MOST_ON_ONE_THREAD = 1e9
#: Inputs per output: memory grows with their square. A convolution of 3 x 3 over 256 channels has this
#: many; in larger layers each weight is rounded by itself.
_MOST_INPUTS = 2304


@dataclass
class Moments:
    """Sums over sampled positions of a layer's inputs and outputs, for each group of channels.

    Attributes:
        inputs: (groups, d + 1, d + 1): products of the d inputs, and 1 for the bias.
        outputs: (groups, d + 1, outputs per group): their products with the outputs.
        samples: number of sampled positions.
    """

    inputs: Array
    outputs: Array
    samples: int = 0

    @classmethod
    def empty(cls, layer: Layer, channels: int) -> Moments:
        """The moments of a layer before any sample."""
        groups = _groups(layer, channels)
        per_group = layer.bias.size // groups
        inputs = layer.weight.size // layer.bias.size
        return cls(np.zeros((groups, inputs + 1, inputs + 1)), np.zeros((groups, inputs + 1, per_group)))

    def add(
        self, layer: Layer, inputs: Array, outputs: Array, samples: int, random: np.random.Generator
    ) -> None:
        """Sample a batch.

        Args:
            layer: the layer.
            inputs: (images, height, width, channels) or (images, channels).
            outputs: the layer's outputs, with the bias.
            samples: number of positions to sample, at most.
            random: generator that chooses the positions.
        """
        shape = outputs.shape[:-1]
        total = int(np.prod(shape))
        chosen = np.sort(random.choice(total, min(samples, total), replace=False))
        groups = len(self.inputs)
        patches = _patches(layer, inputs, outputs, np.unravel_index(chosen, shape))
        patches = patches.reshape(len(chosen), -1, groups, patches.shape[-1] // groups)
        patches = patches.transpose(2, 0, 1, 3).reshape(groups, len(chosen), -1)
        patches = np.concatenate([patches, np.ones_like(patches[..., :1])], axis=-1)
        results = outputs.reshape(total, -1)[chosen].reshape(len(chosen), groups, -1).transpose(1, 0, 2)
        small = patches.size * patches.shape[-1] < _MOST_ON_ONE_THREAD
        with on_one_thread() if small else nullcontext():
            self.inputs += patches.transpose(0, 2, 1) @ patches
        self.outputs += patches.transpose(0, 2, 1) @ results
        self.samples += len(chosen)


def can_round(layer: Layer, channels: int) -> bool:
    """Return whether the geometry of a layer is supported, and its moments fit into memory."""
    fits = layer.weight.size // layer.bias.size <= _MOST_INPUTS
    return fits and layer.padding in ("SAME", "VALID") and channels % max(1, _channels_per_group(layer)) == 0


def round_weights(layer: Layer, moments: Moments) -> Layer:
    """The layer with its weights on the int8 grid of each output, the largest at 127."""
    count = max(moments.samples, 1)
    products, targets = moments.inputs / count, moments.outputs / count
    mean, mean_output = products[:, -1, :-1], targets[:, -1, :]
    curvature = products[:, :-1, :-1] - mean[:, :, None] * mean[:, None, :]
    slope = targets[:, :-1, :] - mean[:, :, None] * mean_output[:, None, :]
    damping = _DAMPING * np.trace(curvature, axis1=1, axis2=2) / curvature.shape[1] + 1e-12
    curvature = curvature + damping[:, None, None] * np.eye(curvature.shape[1])
    weight = _by_group(layer, len(products)).astype(np.float64)
    slope = slope + damping[:, None, None] * weight
    integers, scale = _nearest(np.linalg.solve(curvature, slope))
    _descend(integers, scale, curvature, slope)
    best = integers * scale
    bias = mean_output - np.einsum("gi,gio->go", mean, best)
    return replace(
        layer,
        weight=_ungrouped(best, layer).astype(np.float32),
        bias=bias.reshape(-1).astype(np.float32),
    )


def round_to_nearest(layer: Layer) -> Layer:
    """The layer with each weight rounded to the nearest integer, as converters do."""
    integers, scale = _nearest(layer.matrix.astype(np.float64)[None])
    return replace(layer, weight=(integers * scale)[0].reshape(layer.weight.shape).astype(np.float32))


def _nearest(weight: Array) -> tuple[Array, Array]:
    """Integers, and one scale per output, of weights (groups, inputs, outputs)."""
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-30) / _LARGEST
    return np.clip(np.round(weight / scale), -_LARGEST, _LARGEST), scale


def _descend(integers: Array, scale: Array, curvature: Array, slope: Array) -> None:
    """Change one input's weights at a time to the best integers, until none changes.

    The largest weight of an output stays at 127, so that a converter computes the same scale.
    """
    pinned = np.abs(integers).argmax(axis=1)
    gradient = curvature @ (integers * scale) - slope
    diagonal = np.diagonal(curvature, axis1=1, axis2=2)
    for _ in range(_SWEEPS):
        changed = False
        for row in range(integers.shape[1]):
            current = integers[:, row]
            best = np.round(current - gradient[:, row] / (diagonal[:, row, None] * scale[:, 0]))
            best = np.where(pinned == row, current, np.clip(best, -_LARGEST, _LARGEST))
            step = (best - current) * scale[:, 0]
            if step.any():
                gradient += curvature[:, :, row, None] * step[:, None, :]
                integers[:, row] = best
                changed = True
        if not changed:
            return


def _patches(layer: Layer, inputs: Array, outputs: Array, positions: tuple[Array, ...]) -> Array:
    """(positions, positions in the kernel, channels): the inputs of the layer at each output position."""
    if layer.kind == "dense":
        flat = np.ravel_multi_index(positions, outputs.shape[:-1])
        return inputs.reshape(-1, inputs.shape[-1])[flat][:, None]
    image, row, column = positions
    size = layer.weight.shape[:2]
    before = [
        same_padding(layer, axis, inputs.shape[1 + axis], outputs.shape[1 + axis])[0]
        if layer.padding == "SAME"
        else 0
        for axis in (0, 1)
    ]
    after = [layer.dilations[axis] * size[axis] + layer.strides[axis] for axis in (0, 1)]
    padded = np.pad(inputs, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
    rows = row[:, None] * layer.strides[0] + np.arange(size[0]) * layer.dilations[0]
    columns = column[:, None] * layer.strides[1] + np.arange(size[1]) * layer.dilations[1]
    patches = padded[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    return patches.reshape(len(image), -1, inputs.shape[-1])


def _channels_per_group(layer: Layer) -> int:
    if layer.kind == "depthwise":
        return 1
    return int(layer.weight.shape[-2])


def _groups(layer: Layer, channels: int) -> int:
    return channels // _channels_per_group(layer)


def _by_group(layer: Layer, groups: int) -> Array:
    """Weights as (groups, inputs per group, outputs per group)."""
    if layer.kind == "depthwise":
        height, width, channels, multiplier = layer.weight.shape
        return np.moveaxis(layer.weight.reshape(height * width, channels, multiplier), 0, 1)
    return np.moveaxis(layer.matrix.reshape(len(layer.matrix), groups, -1), 0, 1)


def _ungrouped(weight: Array, layer: Layer) -> Array:
    return np.moveaxis(weight, 0, 1).reshape(layer.weight.shape)


def samples_per_image(images: int) -> int:
    """Positions to sample per image, for a total of 32,768."""
    return -(-32_768 // max(images, 1))
