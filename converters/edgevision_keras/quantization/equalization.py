"""Channels brought to one range, where that changes no answer.

One scale an activation is all that int8 has, so a channel whose values are a hundredth of its
neighbour's is rounded away. Between two layers with nothing but rectifiers, poolings and additions,
the first can make a channel larger if the next makes up for it: Nagel et al., Data-Free
Quantization Through Weight Equalization and Bias Correction, 2019; here over whole groups, so that
shortcuts keep their sums, and from measured activations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.folded_network import Extremes
from edgevision_keras.quantization.folding import SHAPES, Folded, Layer, moving_tensors

#: What a channel may be made larger by: beyond this it is noise.
_LARGEST = 1000.0
#: Of the greatest channel's range that others are brought to: with all at its end, whatever is larger
#: in an image not seen is cut off. Measured on four small networks with 100 images: the error is half to
#: nine tenths of that with no room.
_PART = 0.5


@dataclass
class Group:
    """Tensors whose channels must be scaled together.

    Attributes:
        tensors: their names.
        writers, readers: operations of the layers that end and begin in them.
        to_six: whether a ReLU6 is among them, which bounds how large they may become.
        fixed: whether something else reads or writes them, so that they stay as they are.
    """

    tensors: set[str] = field(default_factory=set)
    writers: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    to_six: bool = False
    fixed: bool = False


def equalize(folded: Folded, extremes: Mapping[str, Extremes]) -> tuple[Folded, dict[str, Extremes]]:
    """The same network with channels of like ranges, and what the extremes become.

    Args:
        folded: a network.
        extremes: of its activations, by the names of tensors.
    """
    layers = {layer.operation: layer for layer in folded.layers}
    scaled = dict(extremes)
    for group in find_groups(folded):
        factor = _factor(group, extremes)
        if factor is None:
            continue
        for name in group.writers:
            layers[name] = layers[name].with_outputs_scaled(factor)
        for name in group.readers:
            layers[name] = layers[name].with_inputs_scaled(1 / factor)
        for name in group.tensors & extremes.keys():
            scaled[name] = Extremes(extremes[name].low * factor, extremes[name].high * factor)
    return folded.with_layers([layers[layer.operation] for layer in folded.layers]), scaled


def find_groups(folded: Folded) -> list[Group]:
    """The groups of a network that can be scaled."""
    graph = folded.imported()
    moving = moving_tensors(graph)
    outputs = {layer.output: layer for layer in folded.layers}
    inputs = {layer.node: layer for layer in folded.layers}
    groups: dict[str, Group] = {name: Group({name}) for name in sorted(moving)}
    for operation in graph.get_operations():
        taken = [tensor for tensor in operation.inputs if tensor.name in moving]
        made = [tensor for tensor in operation.outputs if tensor.name in moving]
        if not made or operation.type in SHAPES:
            continue
        if operation.name in inputs:
            groups[taken[0].name].readers.append(inputs[operation.name].operation)
            groups[taken[0].name].fixed |= _is_grouped(inputs[operation.name], taken[0])
        elif made[0].name in outputs:
            groups[made[0].name].writers.append(outputs[made[0].name].operation)
        elif _keeps_scale(operation, taken):
            joined = _joined(groups, [*taken, made[0]])
            joined.to_six |= operation.type == "Relu6"
        else:
            for tensor in (*taken, *made):
                groups[tensor.name].fixed = True
    for name in (*folded.inputs, *folded.outputs):
        groups[name].fixed = True
    different = {id(group): group for group in groups.values()}.values()
    return [group for group in different if group.writers and group.readers and not group.fixed]


def _is_grouped(layer: Layer, tensor: Any) -> bool:
    return layer.kind == "conv" and layer.weight.shape[2] != tensor.shape[-1]


def _joined(groups: dict[str, Group], tensors: Sequence[Any]) -> Group:
    first = groups[tensors[0].name]
    for tensor in tensors[1:]:
        other = groups[tensor.name]
        if other is not first:
            first.tensors |= other.tensors
            first.writers += other.writers
            first.readers += other.readers
            first.to_six |= other.to_six
            first.fixed |= other.fixed
            for name in other.tensors:
                groups[name] = first
    return first


def _keeps_scale(operation: Any, taken: Sequence[Any]) -> bool:
    """Whether f(x * scale) is f(x) * scale, a channel each, for scales above zero."""
    made = operation.outputs[0]
    if operation.type in ("Relu", "Relu6", "LeakyRelu", "Identity", "MaxPool", "AvgPool"):
        return True
    if operation.type in ("Reshape", "Squeeze"):
        return bool(made.shape[-1] is not None and made.shape[-1] == taken[0].shape[-1])
    if operation.type == "AddV2":
        return len(taken) == 2 and taken[0].shape.as_list()[1:] == taken[1].shape.as_list()[1:]
    if operation.type in ("Pad", "PadV2"):
        return operation.type == "Pad" or not np.any(_constant(operation.inputs[2], 1.0))
    if operation.type == "Mean":
        axes = np.ravel(_constant(operation.inputs[1], -1))
        return taken[0].shape.rank == 4 and bool(np.isin(axes, (1, 2, -3, -2)).all())
    return False


def _constant(tensor: Any, otherwise: float) -> Array:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    if tensor.op.type != "Const":
        return np.array(otherwise)
    return np.asarray(require_tensorflow().make_ndarray(tensor.op.get_attr("value")))


def _factor(group: Group, extremes: Mapping[str, Extremes]) -> Array | None:
    """For each channel, what brings its greatest value to half that of the greatest channel."""
    seen = [extremes[name] for name in sorted(group.tensors & extremes.keys())]
    if not seen:
        return None
    # The limits of one tensor are compared with each other, not with those of another tensor.
    reach = np.max([_reach(one) / max(float(_reach(one).max()), 1e-30) for one in seen], axis=0)
    factor: Array = np.clip(_PART / np.maximum(reach, 1e-30), 1.0, _LARGEST)
    if group.to_six:
        largest = np.max([one.high for one in seen], axis=0)
        factor = np.clip(_PART * 6 / np.maximum(largest, 1e-30), 1.0, _LARGEST)
    return factor


def _reach(extremes: Extremes) -> Array:
    return np.maximum(np.abs(extremes.low), np.abs(extremes.high))
