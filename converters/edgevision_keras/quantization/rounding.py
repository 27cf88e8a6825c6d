"""Weights rounded to int8 jointly, so that their errors compensate each other.

For each layer, the weights on its int8 grid are searched for that reproduce the outputs of the float
layer on calibration images with the least squared error. The error's second derivatives are the
moments of the inputs: Frantar et al., GPTQ, 2022, and Nagel et al., Up or Down?, 2020. It is minimised
by coordinate descent: Behdin et al., QuantEase, 2023. The bias corrects the remaining mean error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import on_one_thread
from edgevision_keras.quantization.folding import Layer, same_padding

#: Share of the inputs' variance that is added to each: keeps weights of inputs that are rarely active.
_DAMPING = 0.01
_SWEEPS = 8
#: Inputs whose weights are searched one after the other before all others hear of it: the same result as
#: one at a time, in products of matrices.
_BLOCK = 32
#: The largest value of symmetric int8.
_LARGEST = 127
#: Inputs per output: memory grows with their square. A convolution of 3 x 3 over 256 channels has this
#: many; in larger layers each weight is rounded by itself.
_MOST_INPUTS = 2304


@dataclass
class Moments:
    """Sums over sampled positions of a layer's inputs, for each group of channels.

    Attributes:
        origin: (groups, 1, d): about the mean of the d inputs. It is subtracted from them first, because
            the variance of an input that hardly changes would be lost in the square of its mean.
        sums: (groups, d): sums of the inputs.
        products: (groups, d, d): sums of their products.
        samples: number of sampled positions.
    """

    origin: Array
    sums: Array
    products: Array
    samples: int = 0

    @classmethod
    def of(cls, layer: Layer, inputs: Array, samples: int, random: np.random.Generator) -> Moments:
        """The moments of a first batch; see `add`."""
        patches = _sampled_patches(layer, inputs, samples, random)
        origin = patches.mean(axis=1, keepdims=True)
        groups, _, count = patches.shape
        products = np.zeros((groups, count, count), np.float32)
        moments = cls(origin, np.zeros((groups, count)), products)
        moments._add(patches)
        return moments

    def add(self, layer: Layer, inputs: Array, samples: int, random: np.random.Generator) -> None:
        """Sample a batch.

        Args:
            layer: the layer.
            inputs: (images, height, width, channels) or (images, channels).
            samples: number of positions to sample, at most.
            random: generator that chooses the positions.
        """
        self._add(_sampled_patches(layer, inputs, samples, random))

    def _add(self, patches: Array) -> None:
        patches = patches - self.origin
        with on_one_thread():  # where other programs run, threads wait for each other, spinning
            self.products += patches.transpose(0, 2, 1) @ patches
        self.sums += patches.sum(axis=1)
        self.samples += patches.shape[1]


def can_round(layer: Layer, channels: int) -> bool:
    """Return whether the geometry of a layer is supported, and its moments fit into memory."""
    supported = layer.padding in ("SAME", "VALID") and channels % max(1, _channels_per_group(layer)) == 0
    return layer.weight.size // layer.bias.size <= _MOST_INPUTS and supported


def moment_count(layer: Layer, channels: int) -> int:
    """The number of products of inputs that `Moments` keeps for a layer."""
    return _groups(layer, channels) * (layer.weight.size // layer.bias.size) ** 2


def round_weights(layer: Layer, moments: Moments) -> Layer:
    """The layer with its weights on the int8 grid of each output, the largest at 127."""
    count = max(moments.samples, 1)
    shift = moments.sums / count
    curvature = moments.products / np.float32(count)
    curvature -= (shift[:, :, None] * shift[:, None, :]).astype(np.float32)
    variance = np.trace(curvature, axis1=1, axis2=2) / curvature.shape[1]
    # Where no input ever changes, every weight is rounded by itself.
    damping = np.where(variance > 0, _DAMPING * variance, 1.0)
    curvature /= (variance + damping)[:, None, None].astype(np.float32)
    diagonal = np.arange(curvature.shape[1])
    curvature[:, diagonal, diagonal] += (damping / (variance + damping))[:, None]
    weight = _by_group(layer, len(curvature))
    integers, scale = _nearest(weight.astype(np.float64))
    integers, scale = integers.astype(np.float32), scale.astype(np.float32)
    with on_one_thread():
        _descend(integers, scale, weight, curvature)
    best = integers * scale
    mean = moments.origin[:, 0] + shift
    bias = layer.bias + np.einsum("gi,gio->go", mean, weight.astype(np.float64) - best).reshape(-1)
    return replace(layer, weight=_ungrouped(best, layer), bias=bias.astype(np.float32))


def round_to_nearest(layer: Layer) -> Layer:
    """The layer with each weight rounded to the nearest integer, as converters do."""
    integers, scale = _nearest(layer.matrix.astype(np.float64)[None])
    return replace(layer, weight=(integers * scale)[0].reshape(layer.weight.shape).astype(np.float32))


def _nearest(weight: Array) -> tuple[Array, Array]:
    """Integers, and one scale per output, of weights (groups, inputs, outputs)."""
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-30) / _LARGEST
    return np.clip(np.round(weight / scale), -_LARGEST, _LARGEST), scale


def _descend(integers: Array, scale: Array, weight: Array, curvature: Array) -> None:
    """Change one input's weights at a time to the best integers, a few times or until none changes.

    The largest weight of an output stays at 127, so that a converter computes the same scale.
    """
    pinned = np.abs(integers).argmax(axis=1)
    gradient = curvature @ (integers * scale - weight)
    count = integers.shape[1]
    for _ in range(_SWEEPS):
        changed = False
        for start in range(0, count, _BLOCK):
            block = slice(start, min(start + _BLOCK, count))
            step = _descend_block(integers, scale, curvature, gradient, pinned, block)
            if step.any():
                gradient += curvature[:, :, block] @ step
                changed = True
        if not changed:
            return


def _descend_block(
    integers: Array, scale: Array, curvature: Array, gradient: Array, pinned: Array, block: slice
) -> Array:
    """Change the weights of a block of inputs, and return the changes, (groups, block, outputs)."""
    own = curvature[:, block, block]
    local = gradient[:, block].copy()
    before = integers[:, block].copy()
    for place, row in enumerate(range(block.start, block.stop)):
        current = integers[:, row]
        best = np.rint(current - local[:, place] / (own[:, place, place, None] * scale[:, 0]))
        best = np.where(pinned == row, current, np.clip(best, -_LARGEST, _LARGEST))
        step = (best - current) * scale[:, 0]
        if step.any():
            local += own[:, :, place, None] * step[:, None, :]
            integers[:, row] = best
    steps: Array = (integers[:, block] - before) * scale
    return steps


def _sampled_patches(layer: Layer, inputs: Array, samples: int, random: np.random.Generator) -> Array:
    """(groups, positions, inputs per output): the inputs of a layer at random positions of its output."""
    shape = _output_positions(layer, inputs)
    total = int(np.prod(shape))
    chosen = np.sort(random.choice(total, min(samples, total), replace=False))
    patches = _patches(layer, inputs, shape, np.unravel_index(chosen, shape))
    groups = _groups(layer, patches.shape[-1])
    patches = patches.reshape(len(chosen), -1, groups, patches.shape[-1] // groups)
    grouped: Array = patches.transpose(2, 0, 1, 3).reshape(groups, len(chosen), -1)
    return grouped


def _output_positions(layer: Layer, inputs: Array) -> tuple[int, ...]:
    """(images, height, width) of the layer's output; (images,) where dense."""
    if layer.kind == "dense":
        return inputs.shape[:-1]
    sizes = []
    for axis in (0, 1):
        reach = (layer.weight.shape[axis] - 1) * layer.dilations[axis]
        covered = inputs.shape[1 + axis] - (0 if layer.padding == "SAME" else reach)
        sizes.append(-(-covered // layer.strides[axis]))
    return len(inputs), *sizes


def _patches(layer: Layer, inputs: Array, shape: tuple[int, ...], positions: tuple[Array, ...]) -> Array:
    """(positions, positions in the kernel, channels): the inputs of the layer at each output position."""
    if layer.kind == "dense":
        flat = np.ravel_multi_index(positions, shape)
        return inputs.reshape(-1, inputs.shape[-1])[flat][:, None]
    image, row, column = positions
    size = layer.weight.shape[:2]
    before = [
        same_padding(layer, axis, inputs.shape[1 + axis], shape[1 + axis])[0]
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
