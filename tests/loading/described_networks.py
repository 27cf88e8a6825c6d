"""Small networks whose right answer is known, in every format, with the metadata of other exporters.

A classifier scores the mean of each channel; a detector always gives one box.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RED = np.zeros((50, 80, 3), np.uint8)
RED[:, :, 0] = 255
BLUE = RED[:, :, ::-1].copy()
GRAY = np.full((50, 80, 3), 128, np.uint8)

SIZE = 32
#: Rows of a YOLO head for an input of 32x32: cells of stride 8, 16 and 32.
CELLS = 21


def grid_rows(classes: int, box: Sequence[float], class_id: int, score: float = 0.9, extra: int = 0) -> Any:
    """(1, 4 + classes + extra, cells): one box as centre and size, with the score of its class."""
    rows = np.zeros((1, 4 + classes + extra, CELLS), np.float32)
    rows[0, :4, 5] = box
    rows[0, 4 + class_id, 5] = score
    return rows


# ONNX


def onnx_classifier(
    properties: Mapping[str, str] | None = None,
    *,
    sizes: Sequence[int | str | None] = (1, 3, SIZE, SIZE),
    softmax: bool = True,
    gain: float = 8.0,
    classes: int = 3,
) -> bytes:
    """(batch, 3, h, w) -> softmax of the means of the channels, times a gain."""
    weights = np.zeros((3, classes), np.float32)
    np.fill_diagonal(weights, gain)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["output0"], axis=1))
    else:
        nodes[-1].output[0] = "output0"
    return _onnx_model(nodes, [("weights", weights)], sizes, [sizes[0], classes], properties)


def onnx_detector(
    rows: Any,
    properties: Mapping[str, str] | None = None,
    *,
    sizes: Sequence[int | str | None] = (1, 3, SIZE, SIZE),
) -> bytes:
    """(1, 3, h, w) -> the same rows for every image."""
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["largest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["largest", "one"], ["scalar"]),
        helper.make_node("Mul", ["scalar", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "rows"], ["output0"]),
    ]
    weights = [
        ("rows", np.asarray(rows, np.float32)),
        ("zero", np.zeros((), np.float32)),
        ("one", np.ones(rows.ndim, np.int64)),
    ]
    return _onnx_model(nodes, weights, sizes, list(rows.shape), properties)


def _onnx_model(
    nodes: list[Any],
    weights: list[tuple[str, Any]],
    sizes: Sequence[int | str | None],
    output: list[Any],
    properties: Mapping[str, str] | None,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(sizes))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for name, value in (properties or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


# OpenVINO


def openvino_ir(
    folder: Path,
    content: bytes,
    info: Mapping[str, Any] | None = None,
    sidecar: str | None = None,
    section: str = "model_info",
) -> Path:
    """An ONNX file as IR, with entries of its rt_info and perhaps a metadata.yaml beside it."""
    import openvino

    model = openvino.Core().read_model(content)
    for name, value in (info or {}).items():
        model.set_rt_info(value, [section, name])
    path = folder / "model.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    if sidecar is not None:
        (folder / "metadata.yaml").write_text(sidecar, encoding="utf-8")
    return path


# TFLite, written with the schema's own classes: no converter is needed.


def tflite_classifier(
    dtype: str = "float32",
    quantization: tuple[float, int] | None = None,
    sizes: Sequence[int] = (1, SIZE, SIZE, 3),
    gain: float = 8.0,
) -> Any:
    """(1, h, w, 3) -> softmax of the means of the channels, times a gain."""
    net = _TFLite()
    image = net.tensor("image", sizes, dtype, quantization)
    mean = net.tensor("mean", (1, 3), dtype, quantization)
    scores = net.tensor(
        "scores", (1, 3), dtype, None if quantization is None else (1 / 256, -128 if dtype == "int8" else 0)
    )
    axes = net.constant("axes", np.array([1, 2], np.int32))
    schema = net.schema
    reducer = schema.ReducerOptionsT()
    reducer.keepDims = False
    net.operator(schema.BuiltinOperator.MEAN, [image, axes], [mean], "ReducerOptions", reducer)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = gain
    net.operator(schema.BuiltinOperator.SOFTMAX, [mean], [scores], "SoftmaxOptions", softmax)
    return net.finish([image], [scores])


def tflite_detector(rows: Any, *, channels_first: bool = False) -> Any:
    """(1, h, w, 3) or (1, 3, h, w) -> the same rows for every image."""
    net = _TFLite()
    schema = net.schema
    image = net.tensor("image", (1, 3, SIZE, SIZE) if channels_first else (1, SIZE, SIZE, 3))
    mean = net.tensor("mean", [1] * rows.ndim)
    axes = net.constant("axes", np.array([1, 2, 3], np.int32))
    flat = net.tensor("flat", (1,))
    reducer = schema.ReducerOptionsT()
    reducer.keepDims = False
    net.operator(schema.BuiltinOperator.MEAN, [image, axes], [flat], "ReducerOptions", reducer)
    shape = net.constant("shape", np.ones(rows.ndim, np.int32))
    reshape = schema.ReshapeOptionsT()
    reshape.newShape = [1] * rows.ndim
    net.operator(schema.BuiltinOperator.RESHAPE, [flat, shape], [mean], "ReshapeOptions", reshape)
    nothing = net.tensor("nothing", [1] * rows.ndim)
    zero = net.constant("zero", np.zeros([1] * rows.ndim, np.float32))
    net.operator(schema.BuiltinOperator.MUL, [mean, zero], [nothing], "MulOptions", schema.MulOptionsT())
    boxes = net.tensor("boxes", rows.shape)
    constant = net.constant("rows", np.asarray(rows, np.float32))
    net.operator(schema.BuiltinOperator.ADD, [nothing, constant], [boxes], "AddOptions", schema.AddOptionsT())
    return net.finish([image], [boxes])


def tflite_ssd(boxes: Any, scores: Any) -> Any:
    """(1, h, w, 3) -> the same boxes (1, n, 4) and scores (1, n, classes) for every image."""
    net = _TFLite()
    net.model = tflite_detector(boxes)
    net.graph = net.model.subgraphs[0]
    schema = net.schema
    nothing = next(n for n, tensor in enumerate(net.graph.tensors) if tensor.name == "nothing")
    output = net.tensor("scores", scores.shape)
    constant = net.constant("rated", np.asarray(scores, np.float32))
    net.operator(
        schema.BuiltinOperator.ADD, [nothing, constant], [output], "AddOptions", schema.AddOptionsT()
    )
    return net.finish(net.graph.inputs, [*net.graph.outputs, output])


def tflite_bytes(
    model: Any, metadata: bytes | None = None, members: Mapping[str, str] | None = None
) -> bytes:
    """A model as a file, with TFLite Metadata and files in the archive behind it."""
    from ai_edge_litert import schema_py_generated as schema

    if metadata is not None:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(metadata, np.uint8)
        model.buffers.append(buffer)
        entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
        model.metadata = [entry]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    file = io.BytesIO(bytes(builder.Output()))
    if members:
        with zipfile.ZipFile(file, "a") as archive:
            for name, text in members.items():
                archive.writestr(name, text)
    return file.getvalue()


class _TFLite:
    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        quantization: tuple[float, int] | None = None,
    ) -> int:
        tensor = self.schema.TensorT()
        tensor.name = name
        tensor.shape = [1 if size < 0 else size for size in shape]
        if min(shape, default=1) < 0:
            tensor.shapeSignature = list(shape)
        tensor.type = getattr(self.schema.TensorType, dtype.upper())
        if quantization is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = [quantization[0]]
            tensor.quantization.zeroPoint = [quantization[1]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, array: Any) -> int:
        place = self.tensor(name, array.shape, array.dtype.name)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors[place].buffer = len(self.model.buffers) - 1
        return place

    def operator(self, code: int, inputs: list[int], outputs: list[int], kind: str, options: Any) -> None:
        entry, operator = self.schema.OperatorCodeT(), self.schema.OperatorT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        self.model.operatorCodes.append(entry)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
        operator.builtinOptions = options
        self.graph.operators.append(operator)

    def finish(self, inputs: list[int], outputs: list[int]) -> Any:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        self.model.subgraphs = [self.graph]
        return self.model


# Metadata of exporters


def ultralytics(**changes: Any) -> dict[str, Any]:
    """What Ultralytics' exporter says of a detector with three classes; `None` leaves an entry out."""
    stated: dict[str, Any] = {
        "description": "Ultralytics YOLO11n model trained on /datasets/signs.yaml",
        "author": "Ultralytics",
        "date": "2026-01-05T10:00:00.000000+01:00",
        "version": "8.4.1",
        "stride": 32,
        "task": "detect",
        "batch": 1,
        "imgsz": [SIZE, SIZE],
        "names": {0: "person", 1: "road sign", 2: "car"},
        "args": {"batch": 1, "half": False, "nms": False},
        "channels": 3,
        "end2end": False,
    }
    stated.update(changes)
    return {name: value for name, value in stated.items() if value is not None}


def as_properties(stated: Mapping[str, Any]) -> dict[str, str]:
    """As the exporter writes them into ONNX."""
    return {name: str(value) for name, value in stated.items()}


def as_json(stated: Mapping[str, Any]) -> str:
    """As the exporter writes them into the archive of a TFLite file."""
    return json.dumps(stated, indent=2)


def as_yaml(stated: Mapping[str, Any]) -> str:
    """As PyYAML writes them beside an IR, in its block style."""
    lines = []
    for name, value in stated.items():
        if isinstance(value, dict):
            lines += [f"{name}:", *(f"  {key}: {_scalar(item)}" for key, item in value.items())]
        elif isinstance(value, list):
            lines += [f"{name}:", *(f"- {_scalar(item)}" for item in value)]
        else:
            lines.append(f"{name}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}'" if text[:1] in "'\"&*!-" or ": " in text or text[:4] == "2026" else text
