"""A network that was trained for int8, prepared with the weights and ranges of its training.

Nothing is calibrated: the training has rounded the weights and set the ranges, which are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.converter import CalibrationData
from edgevision.errors import ConversionError
from edgevision_keras.graph.fake_quantization import trained_ranges
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.bounds import bounded
from edgevision_keras.quantization.folded_network import Extremes, find_origins
from edgevision_keras.quantization.folding import FoldedGraph, fold, in_topological_order
from edgevision_keras.quantization.images import Batch, split_batches
from edgevision_keras.quantization.logits import logit_tensors
from edgevision_keras.quantization.prepare import PreparedNetwork
from edgevision_keras.quantization.ranges import Range

#: Operations whose outputs have the same range in every network.
_KNOWN: Mapping[str, Range] = {
    "LogSoftmax": (-16.0, 0.0),
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
}
#: Every artifact computes these in the operation before, with the range of what they return.
_RECTIFIERS = frozenset({"Relu", "Relu6"})
_AFFINE = {"Add": np.add, "AddV2": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.divide}
#: Inputs that tensors of other formats are recognised by, where there are no images.
_PROBES = 8
_MOST_IMAGES = 32


def prepare_trained(trace: Trace, calibration: CalibrationData | None) -> PreparedNetwork:
    """Prepare a source that was trained for int8.

    Args:
        trace: the graph of the source.
        calibration: images that tensors are recognised on; `None` takes noise in the range of the inputs.

    Raises:
        ConversionError: a layer reads or computes what has no range.
    """
    folded = fold(trace)
    origins = find_origins(folded)
    ranges = _ranges(folded, origins)
    for layer in folded.layers:
        for tensor in (layer.input, layer.output):
            if origins[tensor] not in ranges:
                raise ConversionError(
                    f"layer '{layer.name}': the training has set no range for what it "
                    f"{'reads' if tensor == layer.input else 'computes'}; train all layers with "
                    "edgevision.quantization_aware, or convert the model from before that training"
                )
    known = {name: origin for name, origin in origins.items() if origin in ranges}
    folded = bounded(folded, _channels(folded, ranges, origins), ranges, origins)
    images = (
        _noise(folded, ranges)
        if calibration is None
        else split_batches(calibration, _MOST_IMAGES, _MOST_IMAGES)[0]
    )
    return PreparedNetwork(
        folded=folded,
        rounded={layer.name: layer for layer in folded.layers},
        histograms={},
        origins=known,
        images=images,
        held_out=(),
        logits=tuple(logit_tensors(folded)),
        unrounded=(),
        units=(),
        trained_ranges=ranges,
    )


def _ranges(folded: FoldedGraph, origins: Mapping[str, str]) -> dict[str, Range]:
    """Name of a tensor that is no other one's values -> its range, where it is known."""
    graph = folded.imported()
    ranges: dict[str, Range] = {}
    for name, ends in trained_ranges(folded.structure).items():
        ranges.setdefault(origins[name], ends)
    for operation in graph.get_operations():
        if operation.type in _KNOWN and operation.outputs[0].name in origins:
            ranges.setdefault(operation.outputs[0].name, _KNOWN[operation.type])
    _add_affine(graph, ranges, origins)
    for operation in reversed(graph.get_operations()):
        if operation.type in _RECTIFIERS and operation.outputs[0].name in ranges:
            read = operation.inputs[0]
            if len(read.consumers()) == 1:
                ranges.setdefault(origins[read.name], ranges[operation.outputs[0].name])
    return ranges


def _add_affine(graph: Any, ranges: dict[str, Range], origins: Mapping[str, str]) -> None:
    """Add the ranges of what is scaled or shifted by constants from tensors with a range."""
    value_of = require_tensorflow().get_static_value
    for operation in in_topological_order(graph):
        name = operation.outputs[0].name if operation.outputs else ""
        compute = _AFFINE.get(operation.type)
        if compute is None or name not in origins or name in ranges:
            continue
        values = [value_of(tensor) for tensor in operation.inputs]
        ends = [
            ranges.get(origins.get(tensor.name, "")) if value is None else (value, value)
            for tensor, value in zip(operation.inputs, values, strict=True)
        ]
        first, second = ends
        if sum(value is None for value in values) == 1 and first is not None and second is not None:
            results = [compute(one, other) for one in first for other in second]
            ranges[name] = (
                min(0.0, *(float(np.min(each)) for each in results)),
                max(0.0, *(float(np.max(each)) for each in results)),
            )


def _channels(
    folded: FoldedGraph, ranges: Mapping[str, Range], origins: Mapping[str, str]
) -> dict[str, Extremes]:
    """Name of the output of a layer -> its range as the extremes of each channel."""
    return {
        layer.output: Extremes(*(np.full(layer.bias.shape, end) for end in ranges[origins[layer.output]]))
        for layer in folded.layers
    }


def _noise(folded: FoldedGraph, ranges: Mapping[str, Range]) -> Sequence[Batch]:
    """One batch of inputs: blobs of many sizes with noise on them, over the whole range of each input."""
    random = np.random.default_rng(0)
    graph = folded.imported()

    def values(tensor: Any) -> Any:
        shape = (_PROBES, *(size or 1 for size in tensor.shape.as_list()[1:]))
        low, high = ranges.get(tensor.name, (0.0, 255.0))
        drawn = random.uniform(0, 1, shape)
        if len(shape) == 4:
            coarse = random.uniform(0, 1, (_PROBES, 4, 4, shape[3]))
            rows, columns = (np.arange(size) * 4 // size for size in shape[1:3])
            drawn = (drawn + 3 * coarse[:, rows][:, :, columns]) / 4
        return (low + (high - low) * drawn).astype(np.float32)

    return [{name.removesuffix(":0"): values(graph.get_tensor_by_name(name)) for name in folded.inputs}]
