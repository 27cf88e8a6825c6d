"""int8 OpenVINO: NNCF chooses where to quantize; weights and ranges are our own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import openvino_core, require, require_nncf, require_openvino
from edgevision_keras.quantization.folding import FoldedGraph
from edgevision_keras.quantization.images import Batch
from edgevision_keras.quantization.prepare import PreparedNetwork

_WITH_WEIGHTS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")


def quantize(
    content: bytes, prepared: PreparedNetwork, graph: FoldedGraph, keep_float: Collection[str]
) -> Any:
    """Quantize a float32 file.

    Args:
        content: `graph` as a float32 ONNX file.
        prepared: the network that `graph` was rounded from.
        graph: the graph with rounded weights.
        keep_float: names of layers that stay float.

    Returns:
        An `openvino.Model`.
    """
    nncf = require_nncf()
    kept = prepared.kept_in(_weights(openvino_core().read_model(content)), keep_float)
    ranges = prepared.ranges_in(_probe_values(content, prepared), graph)
    # Ranges that are set afterwards need no statistics, but NNCF cannot do without any.
    model = _quantized(nncf, content, [prepared.probe()], kept)
    if not _set_ranges(model, ranges, drop_others=prepared.trained_ranges is not None):
        model = _quantized(nncf, content, list(prepared.single_images()), kept)
        _set_ranges(model, ranges)
    return model


def _quantized(nncf: Any, content: bytes, images: Sequence[Batch], kept: Collection[str]) -> Any:
    """The model that NNCF makes of a float32 file, with its own ranges."""
    return nncf.quantize(
        openvino_core().read_model(content),
        nncf.Dataset(list(images)),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=sorted(kept)) if kept else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # The fix halves the range of weights, for CPUs without VNNI, whose sums overflow in 16 bits.
            overflow_fix=nncf.OverflowFix.DISABLE,
            # The rounding has already corrected the biases, on the same images.
            disable_bias_correction=True,
            activations_range_estimator_params=_whole_range(),
        ),
    )


def _whole_range() -> Any:
    """Minimum to maximum of the activations, for tensors whose range is not set afterwards."""
    ranges = require("nncf.quantization.range_estimator")
    minimum = ranges.StatisticsCollectorParameters(ranges.StatisticsType.MIN, ranges.AggregatorType.MIN)
    maximum = ranges.StatisticsCollectorParameters(ranges.StatisticsType.MAX, ranges.AggregatorType.MAX)
    return ranges.RangeEstimatorParameters(minimum, maximum)


def _probe_values(content: bytes, prepared: PreparedNetwork) -> dict[str, Array]:
    """Name of a tensor -> its values when the float model runs on the probe."""
    openvino = require_openvino()
    graph = openvino_core().read_model(content)
    tensors = [
        output
        for node in graph.get_ordered_ops()
        if node.get_type_name() not in ("Constant", "Result")
        for output in node.outputs()
        if output.get_element_type() == openvino.Type.f32
    ]
    names = [_tensor_name(output) for output in tensors]
    probing = openvino.Model(tensors, graph.get_parameters())
    compiled = openvino_core().compile_model(probing, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(prepared.probe())
    return {name: np.array(results[index]) for index, name in enumerate(names)}


def _tensor_name(output: Any) -> str:
    return f"{output.get_node().get_friendly_name()}:{output.get_index()}"


def _weights(graph: Any) -> dict[str, Array]:
    """Name of an operation -> its constant weights."""
    constants = {}
    for node in graph.get_ordered_ops():
        if node.get_type_name() in _WITH_WEIGHTS:
            weights = _constant(node.input_value(1).get_node())
            if weights is not None:
                constants[node.get_friendly_name()] = np.array(weights.data)
    return constants


def _constant(node: Any) -> Any | None:
    """The constant that a node gives in another form; `None` if it depends on an input."""
    while node.get_type_name() in ("Reshape", "Transpose", "Convert"):
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def _set_ranges(model: Any, ranges: dict[str, tuple[float, float]], *, drop_others: bool = False) -> bool:
    """Set our ranges in the operations that quantize activations; returns whether all are known.

    Args:
        model: an `openvino.Model`.
        ranges: name of a tensor -> its range.
        drop_others: let tensors without a range stay float.
    """
    all_known = True
    opset = require_openvino().opset13
    for node in model.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize" or _constant(node.input_value(0).get_node()) is not None:
            continue
        activation_range = ranges.get(_tensor_name(node.input_value(0)))
        if activation_range is None and drop_others:
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(node.input_value(0))
            continue
        if activation_range is None:
            all_known = False
            continue
        low, high = _with_exact_zero(*activation_range, levels=node.get_levels())
        shape = list(node.input_value(1).get_shape())
        for index, end in enumerate((low, high, low, high), start=1):
            constant = opset.constant(np.full(shape, end, np.float32))
            node.input(index).replace_source_output(constant.output(0))
    return all_known


def _with_exact_zero(low: float, high: float, levels: int) -> tuple[float, float]:
    """The range shifted by less than a step, so that zero is one of its levels."""
    step = (high - low) / (levels - 1)
    zero = round(-low / step) if step else 0
    return -zero * step, (levels - 1 - zero) * step
