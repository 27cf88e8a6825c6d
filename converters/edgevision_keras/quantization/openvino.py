"""int8 OpenVINO: NNCF says where; the weights and the ranges are ours."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import openvino_core, require, require_nncf, require_openvino
from edgevision_keras.quantization.folding import Folded
from edgevision_keras.quantization.prepare import Int8Source

_WITH_WEIGHTS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")


def quantized(content: bytes, made_from: Int8Source, network: Folded, keep_float: Collection[str]) -> Any:
    """The model that OpenVINO saves.

    Args:
        content: `network` as a float32 ONNX file.
        made_from: what it was made from.
        network: the network with rounded weights.
        keep_float: names of layers.
    """
    nncf = require_nncf()
    graph = openvino_core().read_model(content)
    ranges = made_from.ranges_in(_values(content, made_from), network)
    kept = made_from.kept_in(_weights(graph), keep_float)
    images = [
        {name: values[place : place + 1] for name, values in batch.items()}
        for batch in made_from.images
        for place in range(len(next(iter(batch.values()))))
    ]
    model = nncf.quantize(
        graph,
        nncf.Dataset(images),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=sorted(kept)) if kept else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # Half the range of weights, for CPUs before VNNI, whose sums overflow in 16 bits.
            overflow_fix=nncf.OverflowFix.DISABLE,
            # The rounding has corrected the biases already, on the same images.
            disable_bias_correction=True,
            activations_range_estimator_params=_whole_range(),
        ),
    )
    _set_ranges(model, ranges)
    return model


def _whole_range() -> Any:
    """From the least to the greatest activation seen, where we do not know better."""
    ranges = require("nncf.quantization.range_estimator")
    least = ranges.StatisticsCollectorParameters(ranges.StatisticsType.MIN, ranges.AggregatorType.MIN)
    greatest = ranges.StatisticsCollectorParameters(ranges.StatisticsType.MAX, ranges.AggregatorType.MAX)
    return ranges.RangeEstimatorParameters(least, greatest)


def _values(content: bytes, made_from: Int8Source) -> dict[str, Array]:
    """Name of a tensor -> what it holds when the float model sees the probe."""
    openvino = require_openvino()
    graph = openvino_core().read_model(content)
    tensors = [
        output
        for node in graph.get_ordered_ops()
        if node.get_type_name() not in ("Constant", "Result")
        for output in node.outputs()
        if output.get_element_type() == openvino.Type.f32
    ]
    names = [_place(output) for output in tensors]
    probing = openvino.Model(tensors, graph.get_parameters())
    compiled = openvino_core().compile_model(probing, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(made_from.probe())
    return {name: np.array(results[place]) for place, name in enumerate(names)}


def _place(output: Any) -> str:
    return f"{output.get_node().get_friendly_name()}:{output.get_index()}"


def _weights(graph: Any) -> dict[str, Array]:
    """Name of an operation -> its constant weights."""
    found = {}
    for node in graph.get_ordered_ops():
        if node.get_type_name() in _WITH_WEIGHTS:
            weights = node.input_value(1).get_node()
            while weights.get_type_name() in ("Reshape", "Transpose", "Convert"):
                weights = weights.input_value(0).get_node()
            if weights.get_type_name() == "Constant":
                found[node.get_friendly_name()] = np.array(weights.data)
    return found


def _set_ranges(model: Any, ranges: dict[str, tuple[float, float]]) -> None:
    """Write our ranges into the operations that round activations."""
    opset = require_openvino().opset13
    for node in model.get_ordered_ops():
        if (
            node.get_type_name() != "FakeQuantize"
            or node.input_value(0).get_node().get_type_name() == "Constant"
        ):
            continue
        found = ranges.get(_place(node.input_value(0)))
        if found is None:
            continue
        low, high = _with_exact_zero(*found, levels=node.get_levels())
        shape = list(node.input_value(1).get_shape())
        for place, end in enumerate((low, high, low, high), start=1):
            constant = opset.constant(np.full(shape, end, np.float32))
            node.input(place).replace_source_output(constant.output(0))


def _with_exact_zero(low: float, high: float, levels: int) -> tuple[float, float]:
    """The same range moved by less than a step, so that zero is one of its levels."""
    step = (high - low) / (levels - 1)
    zero = round(-low / step) if step else 0
    return -zero * step, (levels - 1 - zero) * step
