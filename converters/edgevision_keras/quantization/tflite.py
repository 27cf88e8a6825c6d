"""int8 TFLite: calibrated and quantized by TensorFlow's converter, with our own weights and ranges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.errors import ConversionError
from edgevision.tensors import Array
from edgevision_keras.graph.tflite_equivalents import tflite_converter
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.quantization.float_operations import (
    INNER,
    JOINED,
    REQUESTED,
    WITH_WEIGHTS,
    choose_float,
    is_float,
    usual_reason,
)
from edgevision_keras.quantization.flow import FloatOperator
from edgevision_keras.quantization.folding import FoldedGraph, freeze
from edgevision_keras.quantization.full_integer import replace_elu, replace_operations
from edgevision_keras.quantization.integer_inputs import integer_ranges, without_rounding
from edgevision_keras.quantization.joined_ranges import joined_ranges
from edgevision_keras.quantization.own_scales import add_stand_ins, without_stand_ins
from edgevision_keras.quantization.prepare import PreparedNetwork
from edgevision_keras.quantization.tflite_file import (
    constant_values,
    constants,
    float_tensors,
    operators,
    packed,
    parsed,
)

#: The operations whose weights are their second input.
_WEIGHTS_SECOND = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def quantize(
    trace: Trace, prepared: PreparedNetwork, precision: str, keep_float: Collection[str]
) -> tuple[bytes, tuple[FloatOperator, ...]]:
    """Quantize a prepared network; what is slower or worse in int8 stays float.

    Args:
        trace: of the source.
        prepared: the network.
        precision: ``int8`` or ``int8-float-io``.
        keep_float: names of layers that stay float.

    Returns:
        The file, and its operators that compute in float.

    Raises:
        ConversionError: there is no layer of a name in `keep_float`.
    """
    model, unknown = _with_ranges(trace, prepared, prepared.rounded_graph(keep_float))
    kept = _kept(model, prepared, keep_float)
    joining = joined_ranges(model, WITH_WEIGHTS)
    inner = _around(model, unknown)
    fixed = dict.fromkeys(inner, INNER) | dict.fromkeys(joining, JOINED) | dict.fromkeys(kept, REQUESTED)
    int8_outputs = precision == "int8" and not joining and not prepared.units
    reasons = choose_float(model, fixed, int8_inputs=precision == "int8", int8_outputs=int8_outputs)
    content = _quantized(model, reasons, int8_inputs=precision == "int8", int8_outputs=int8_outputs)
    return content, float_operators(content, reasons)


def quantize_full_integer(
    trace: Trace, prepared: PreparedNetwork, precision: str
) -> tuple[bytes, tuple[FloatOperator, ...]]:
    """Quantize every operation of a prepared network that can be, for a batch of one; see `quantize`.

    The compilers for integer-only devices refuse open shapes.

    Raises:
        ConversionError: an output joins tensors that one scale cannot represent.
    """
    model, _ = _with_ranges(trace, prepared, prepared.integer_graph(), batch=1)
    for name in joined_ranges(model, WITH_WEIGHTS):
        raise ConversionError(
            f"operation '{name}' joins tensors of very different ranges, "
            "which one int8 scale cannot represent; return them as separate outputs of the model, "
            "or pass a --target that has float operations"
        )
    replace_operations(model)
    is_int8 = precision == "int8"
    int8 = parsed(_quantized(model, (), int8_inputs=is_int8, int8_outputs=is_int8))
    replace_elu(int8)
    content = packed(int8)
    return content, float_operators(content, {})


def _with_ranges(
    trace: Trace, prepared: PreparedNetwork, graph: FoldedGraph, batch: int | None = None
) -> tuple[Any, frozenset[int]]:
    """The float file as a `ModelT`, with our weights and the ranges of its tensors.

    Also the tensors that only the file has: the converter writes one operation of the network, such as SELU,
    as several, with values in between.
    """
    tf = require_tensorflow()
    integers = integer_ranges(prepared, graph)
    graph = without_rounding(graph, integers)
    calibrated = _calibrated(tf, freeze(trace, graph.definition, batch), trace, prepared)
    model = parsed(calibrated)
    unknown = _set_ranges(tf, model, calibrated, prepared, graph)
    _set_input_ranges(model, trace, integers)
    return model, unknown


def _quantized(model: Any, denied: Collection[str], *, int8_inputs: bool, int8_outputs: bool) -> bytes:
    """The int8 file of a `ModelT` with ranges, with the operators of some names in float."""
    tf = require_tensorflow()
    stand_ins = add_stand_ins(model, denied)
    content = require("tensorflow.lite.python.convert").mlir_quantize(
        packed(model),
        input_data_type=tf.int8 if int8_inputs else tf.float32,
        output_data_type=tf.int8 if int8_outputs else tf.float32,
        denylisted_nodes=sorted({*denied, *stand_ins}),
    )
    return without_stand_ins(bytes(content)) if stand_ins else bytes(content)


def float_operators(content: bytes, reasons: Mapping[str, str]) -> tuple[FloatOperator, ...]:
    """The operators of a quantized file that compute in float, in the order in which they run.

    Args:
        content: the file.
        reasons: name of an operator -> why it was left in float. The converter renames a few.
    """
    model = parsed(content)
    found = []
    for graph in model.subgraphs:
        floats = float_tensors(graph)
        for operator in operators(model, graph):
            if is_float(operator, floats):
                reason = reasons.get(operator.name) or usual_reason(operator.operation)
                found.append(FloatOperator(operator.operation, operator.name, reason))
    return tuple(found)


def _calibrated(tf: Any, frozen: Any, trace: Trace, prepared: PreparedNetwork) -> bytes:
    """The float model with a range of each tensor, as the quantizer reads them; see `_set_ranges`."""
    converter = tflite_converter(frozen)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    probe = prepared.probe()
    converter.representative_dataset = lambda: iter([[probe[spec.name] for spec in trace.inputs]])
    converter._experimental_calibrate_only = True  # as tf.lite.experimental.QuantizationDebugger has it
    return bytes(converter.convert())


def _set_ranges(
    tf: Any, model: Any, calibrated: bytes, prepared: PreparedNetwork, graph: FoldedGraph
) -> frozenset[int]:
    """Replace the ranges that the converter measured on one image by our own.

    Tensors that only the converter has get their extremes on all images, and are returned.
    """
    interpreter = _interpreter(tf, calibrated)
    values = _probe_values(interpreter, calibrated, prepared)
    ranges = prepared.ranges_in({str(index): array for index, array in values.items()}, graph)
    tensors = {
        index: tensor.quantization
        for index, tensor in enumerate(model.subgraphs[0].tensors)
        if tensor.quantization is not None and tensor.quantization.min is not None
    }
    unknown = [index for index in tensors if str(index) not in ranges and index in values]
    own = _extremes(interpreter, unknown, prepared)
    for index, quantization in tensors.items():
        low, high = ranges.get(str(index)) or own.get(index) or (None, None)
        if low is not None:
            quantization.min = np.array([low], np.float32)
            quantization.max = np.array([high], np.float32)
    return frozenset(unknown)


def _extremes(
    interpreter: Any, indices: Sequence[int], prepared: PreparedNetwork
) -> dict[int, tuple[float, float]]:
    """Index of a tensor -> its least and its greatest finite value on all images."""
    extremes: dict[int, tuple[float, float]] = {}
    for image in prepared.single_images() if indices else ():
        _invoke(interpreter, image)
        for index in indices:
            values = interpreter.get_tensor(index)
            finite = values[np.isfinite(values)]
            if finite.size:
                low, high = extremes.get(index, (np.inf, -np.inf))
                extremes[index] = min(low, float(finite.min())), max(high, float(finite.max()))
    return extremes


def _around(model: Any, tensors: Collection[int]) -> Iterator[str]:
    """Names of the operators without weights that write or read one of these tensors."""
    for operator in operators(model):
        touched = (*operator.inputs, *operator.outputs)
        if operator.operation not in WITH_WEIGHTS and any(index in tensors for index in touched):
            yield operator.name


def _set_input_ranges(model: Any, trace: Trace, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Set the ranges of inputs, by their names in the frozen graph."""
    graph = model.subgraphs[0]
    tensors = {
        _input_name(graph.tensors[index].name.decode()): graph.tensors[index] for index in graph.inputs
    }
    for spec, tensor in zip(trace.inputs, trace.frozen.inputs, strict=True):
        if tensor.name in ranges:
            low, high = ranges[tensor.name]
            quantization = tensors[spec.name].quantization
            quantization.min, quantization.max = np.array([low], np.float32), np.array([high], np.float32)


def _interpreter(tf: Any, content: bytes) -> Any:
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


def _invoke(interpreter: Any, image: Mapping[str, Array]) -> None:
    for name, detail in _inputs(interpreter).items():
        interpreter.set_tensor(detail["index"], image[name])
    interpreter.invoke()


def _probe_values(interpreter: Any, content: bytes, prepared: PreparedNetwork) -> dict[int, Array]:
    """Index of a tensor of the file -> its values when the float model runs on the probe."""
    _invoke(interpreter, prepared.probe())
    model = parsed(content)
    # The runtime's own tensors come after those of the file; their memory may contain any bits.
    computed = set(range(len(model.subgraphs[0].tensors))) - constants(model)
    values = {}
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] == np.float32 and detail["index"] in computed:
            try:
                values[detail["index"]] = interpreter.get_tensor(detail["index"])
            except ValueError:  # without memory, such as an input of no operation
                continue
    return values


def _inputs(interpreter: Any) -> Mapping[str, Any]:
    """Name in the source -> the interpreter's details of the input."""
    return {_input_name(detail["name"]): detail for detail in interpreter.get_input_details()}


def _input_name(name: str) -> str:
    """The name in the source of an input of a file."""
    return name.split(":", maxsplit=1)[0].removeprefix("serving_default_")


def _kept(model: Any, prepared: PreparedNetwork, keep_float: Collection[str]) -> set[str]:
    """Names of the operators that are the layers in `keep_float`, or of different units."""
    if not keep_float and not prepared.units:
        return set()
    weights = {
        operator.name: values
        for operator in operators(model)
        if operator.operation in _WEIGHTS_SECOND
        and (values := constant_values(model, operator.inputs[1])) is not None
    }
    return set(prepared.kept_in(weights, keep_float))
