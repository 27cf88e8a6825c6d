"""From a Keras model to ONNX.

Keras's own export is not safe: normalization layers become inputs that nobody feeds, and exact
GELU and grouped convolutions give invalid files without an error. So the frozen graph is handed
to tf2onnx, and what comes out is checked, and run once beside the source.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.converter import CalibrationData, Source
from edgevision.errors import ConversionError, EdgeVisionError, MissingRuntimeError, first_line
from edgevision_keras.libraries import require, require_onnxruntime
from edgevision_keras.quantization.folding import freeze
from edgevision_keras.quantization.onnx import quantized, with_centred_inputs
from edgevision_keras.quantization.prepare import int8_source
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.request import check_request
from edgevision_keras.source import KerasSource, keras_source

#: Every ONNX Runtime from 1.20 on loads these.
_OPSET, _IR_VERSION = 17, 8
#: How far the float32 file may be from the source, of the largest answer.
_TOLERANCE = 1e-3


class OnnxConverter:
    """The converter ``keras-onnx``; see `edgevision.converter.Converter`.

    Inputs and outputs are float32 at every precision. ``int8`` is in the form that TensorRT
    takes (QDQ, symmetric, a scale a channel, inputs and weights of layers, sums left whole); on a CPU or
    with CUDA alone it gains nothing, and a small network took 2.7 times the time of float32 on a CPU.
    """

    name = "keras-onnx"
    kind = "keras"
    format = "onnx"
    precisions = ("float32", "float16", "int8")

    def convert(
        self,
        source: Source,
        precision: str,
        calibration: CalibrationData | None,
        keep_float: Collection[str] = (),
    ) -> Artifact:
        """Make one ``.onnx`` file; see `edgevision.converter.SelectiveConverter.convert`.

        Raises:
            MissingRuntimeError: tf2onnx, or for ``int8`` ONNX Runtime, is not installed.
            ConversionError: an operation has no equal in ONNX, or the file answers otherwise
                than the source.
        """
        check_request(self, precision, calibration, keep_float)
        model = keras_source(source)
        if calibration is not None and precision == "int8":
            content = _int8_onnx(model, calibration, keep_float)
        elif precision == "float16":
            content = _checked(model, precision, _to_float16(float32_onnx(model)))
        else:
            content = float32_onnx(model)
        return Artifact(self.format, precision, {"model.onnx": content})

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        check_request(self, precision, calibration)
        return layer_errors(int8_source(keras_source(source), calibration))


def float32_onnx(source: KerasSource) -> bytes:
    """The float32 ONNX file of a source, made once.

    Raises:
        MissingRuntimeError, ConversionError: as `OnnxConverter.convert`.
    """
    if source.float32_onnx is None:
        content = onnx_of(source, "float32", source.trace.frozen)
        _compare(source, content)
        source.float32_onnx = content
    return source.float32_onnx


def onnx_of(source: KerasSource, precision: str, frozen: Any) -> bytes:
    """A float32 ONNX file of a frozen graph.

    Args:
        source: whose inputs and outputs it has.
        precision: that it is made for, to be told in errors.
        frozen: a concrete function.

    Raises:
        MissingRuntimeError, ConversionError: as `OnnxConverter.convert`.
    """
    return _checked(source, precision, _from_graph(source, precision, frozen))


def _int8_onnx(source: KerasSource, calibration: CalibrationData, keep_float: Collection[str]) -> bytes:
    made_from = int8_source(source, calibration)
    network, centred = with_centred_inputs(made_from, made_from.network(keep_float))
    content = onnx_of(source, "int8", freeze(source.trace, network.graph))
    # The quantizer raises ValueError, RuntimeError and onnxruntime's own classes.
    try:
        model = quantized(content, made_from, network, centred, keep_float)
    except EdgeVisionError:
        raise
    except Exception as error:
        raise _failed(source, "int8", first_line(error)) from error
    return _checked(source, "int8", model)


def _from_graph(source: KerasSource, precision: str, frozen: Any) -> Any:
    tf2onnx = require("tf2onnx")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    graph = frozen.graph.as_graph_def()
    _replace_erfc(graph)
    _drop_casts_there_and_back(graph)
    inputs = [spec.name for spec in source.inputs]
    outputs = [spec.name for spec in source.outputs]
    # tf2onnx raises ValueError, KeyError and AssertionError for what it cannot express.
    try:
        model, external = tf2onnx.convert.from_graph_def(
            graph,
            name="edgevision",
            input_names=[f"{name}:0" for name in inputs],
            output_names=[f"{name}:0" for name in outputs],
            opset=_OPSET,
            tensors_to_rename={f"{name}:0": name for name in (*inputs, *outputs)},
        )
    except Exception as error:
        raise _failed(source, precision, first_line(error)) from error
    if external:
        raise _failed(source, precision, "it is larger than the 2 GB that one file can have")
    return model


def _replace_erfc(graph: Any) -> None:
    """Write Erfc, which exact GELU is made of and ONNX lacks, as 1 - Erf."""
    for node in [node for node in graph.node if node.op == "Erfc"]:
        erf = graph.node.add(op="Erf", name=f"{node.name}/erf", input=list(node.input))
        erf.attr["T"].CopyFrom(node.attr["T"])
        one = graph.node.add(op="Const", name=f"{node.name}/one")
        one.attr["dtype"].CopyFrom(node.attr["T"])
        numpy_type = require("tensorflow").as_dtype(node.attr["T"].type).as_numpy_dtype
        one.attr["value"].tensor.CopyFrom(require("tensorflow").make_tensor_proto(numpy_type(1)))
        node.op = "Sub"
        node.ClearField("input")
        node.input.extend([one.name, erf.name])


def _drop_casts_there_and_back(graph: Any) -> None:
    """Leave out a Cast to bytes and straight back, which sources of bytes begin with.

    The trace has rounded and clipped before it, so it changes nothing, and it keeps the float16
    converter from ever ending.
    """
    nodes = {node.name: node for node in graph.node}
    for node in graph.node:
        before = nodes.get(node.input[0].split(":")[0]) if node.op == "Cast" else None
        if before is None or before.op != "Cast" or before.attr["SrcT"].type != node.attr["DstT"].type:
            continue
        if _is_rounded(nodes, before.input[0]):
            node.op = "Identity"
            node.attr["T"].type = node.attr["DstT"].type
            for name in ("SrcT", "DstT", "Truncate"):
                node.attr.pop(name, None)
            node.input[0] = before.input[0]


def _is_rounded(nodes: Mapping[str, Any], name: str) -> bool:
    node = nodes.get(name.split(":", maxsplit=1)[0])
    while node is not None and node.op in ("Identity", "Maximum", "Minimum", "ClipByValue"):
        node = nodes.get(node.input[0].split(":")[0])
    return node is not None and node.op in ("Round", "Rint")


def _checked(source: KerasSource, precision: str, model: Any) -> bytes:
    """The bytes of a model, given the names and versions that runtimes want, if it is valid."""
    onnx = require("onnx")
    used = {node.domain for node in model.graph.node}
    foreign = used - {"", "ai.onnx"}
    if foreign:
        names = sorted({node.op_type for node in model.graph.node if node.domain in foreign})
        raise _failed(source, precision, f"no equal in ONNX for {', '.join(names)}")
    standard = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(standard)
    model.ir_version = _IR_VERSION
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    names = [value.name for value in model.graph.input]
    if names != [spec.name for spec in source.inputs]:
        raise _failed(source, precision, f"the file has inputs {', '.join(names)}")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _failed(source, precision, first_line(error)) from error
    return bytes(model.SerializeToString())


def _compare(source: KerasSource, content: bytes) -> None:
    """Run the float32 file beside the source, where ONNX Runtime is installed.

    A wrong translation shows here, by its name, and not as a low score after an hour.
    """
    try:
        runtime = require_onnxruntime()
    except MissingRuntimeError:
        return
    # Networks of several inputs know no pixels; and 0 and 1 are classes that every network of classes has.
    low, high = source.facts.pixel_range or ((0.0, 255.0) if len(source.inputs) == 1 else (0.0, 1.0))
    rng = np.random.default_rng(0)
    inputs = {
        spec.name: rng.uniform(low, high, spec.with_batch(2)).astype(np.float32) for spec in source.inputs
    }
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        answers = session.run([output.name for output in source.outputs], inputs)
    except Exception as error:
        raise _failed(source, "float32", f"ONNX Runtime refuses the file: {first_line(error)}") from error
    for name, expected, got in zip(
        (output.name for output in source.outputs), source.run(inputs).values(), answers, strict=True
    ):
        allowed = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(expected - got).max())
        if not difference <= allowed:
            told = f"output '{name}' differs from the source by {difference:.3g}, allowed is {allowed:.3g}"
            raise _failed(source, "float32", told)


def _to_float16(content: bytes) -> Any:
    float16 = require("onnxconverter_common.float16")
    return float16.convert_float_to_float16(
        require("onnx").load_from_string(content),
        min_positive_val=5.96e-8,
        max_finite_val=65504.0,
        keep_io_types=True,
    )


def _failed(source: KerasSource, precision: str, cause: str) -> ConversionError:
    return ConversionError(f"{source.path}: cannot be expressed in ONNX at {precision}: {cause}")
