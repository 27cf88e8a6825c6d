"""A TFLite model that operations can be appended to, at its outputs and before its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.graph import GraphBoxes, Suppression, columns
from edgevision.tensors import Array
from edgevision_tflite.describing import strip_description
from edgevision_tflite.model_file import packed, parsed, schema

_UNARY = {
    "exp": ("EXP", "ExpOptions"),
    "log": ("LOG", None),
    "sigmoid": ("LOGISTIC", None),
    "square": ("SQUARE", "SquareOptions"),
    "softmax": ("SOFTMAX", "SoftmaxOptions"),
}
_BINARY = {
    "add": ("ADD", "AddOptions"),
    "subtract": ("SUB", "SubOptions"),
    "multiply": ("MUL", "MulOptions"),
    "divide": ("DIV", "DivOptions"),
    "maximum": ("MAXIMUM", "MaximumMinimumOptions"),
}
#: Highest operator number that the older, one-byte field holds.
_MOST_OLD_CODE = 127
#: Smallest width and height, as a share of the image, whose logarithm is taken.
_LEAST_SIZE = 1e-6


class TFLiteGraph:
    """As `edgevision.graph.EditableGraph`: a model for one image. A tensor is its number.

    Args:
        artifact: the model.

    Attributes:
        model: the model as objects, which is changed.

    Raises:
        ArtifactError: the artifact is damaged.
        MissingRuntimeError: no package with the format's classes is installed.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.model = parsed(artifact)
        strip_description(self.model)
        self._schema = schema()
        self._graph = self.model.subgraphs[0]
        self._where, self._precision = artifact.name, artifact.precision
        self._model_outputs = {self.name(n): int(n) for n in self._graph.outputs}
        for signature in self.model.signatureDefs or []:
            self._model_outputs.update(
                {each.name.decode(): int(each.tensorIndex) for each in signature.outputs}
            )
        for tensor in self._graph.tensors:
            tensor.shapeSignature = None  # from here on, of a batch of one

    @property
    def input(self) -> int:
        """The only input."""
        if len(self._graph.inputs) != 1:
            raise ArtifactError(f"{self._where}: expected one input, got {len(self._graph.inputs)}")
        return int(self._graph.inputs[0])

    def output(self, name: str) -> int:
        """As `Graph.output`."""
        if name not in self._model_outputs:
            known = ", ".join(self._model_outputs)
            raise ArtifactError(f"{self._where}: has no output '{name}', only {known}")
        return self.as_float(self._model_outputs[name])

    def as_float(self, tensor: int) -> int:
        """A tensor in float32, dequantized."""
        if self._graph.tensors[tensor].type == self._schema.TensorType.FLOAT32:
            return tensor
        return self._append("DEQUANTIZE", "DequantizeOptions", [tensor], self.shape(tensor))

    def shape(self, tensor: int) -> tuple[int, ...]:
        """As `Graph.shape`."""
        return tuple(int(size) for size in self._graph.tensors[tensor].shape)

    def constant(self, values: Array) -> int:
        """As `Graph.constant`."""
        return self._constant(np.asarray(values, np.float32), self._schema.TensorType.FLOAT32)

    def unary(self, operation: str, tensor: int) -> int:
        """As `Graph.unary`."""
        code, options = _UNARY[operation]
        settings: dict[str, Any] = {"beta": 1.0} if operation == "softmax" else {}
        return self._append(code, options, [tensor], self.shape(tensor), **settings)

    def binary(self, operation: str, first: int, second: int) -> int:
        """As `Graph.binary`."""
        shape = np.broadcast_shapes(self.shape(first), self.shape(second))
        if operation == "equal":
            kinds = self._schema.TensorType
            same = self._append("EQUAL", "EqualOptions", [first, second], shape, kind=kinds.BOOL)
            return self._append(
                "CAST", "CastOptions", [same], shape, inDataType=kinds.BOOL, outDataType=kinds.FLOAT32
            )
        code, options = _BINARY[operation]
        return self._append(code, options, [first, second], shape)

    def reshape(self, tensor: int, shape: Sequence[int]) -> int:
        """As `Graph.reshape`."""
        sizes = [int(size) for size in shape]
        return self._append(
            "RESHAPE", "ReshapeOptions", [tensor, self._integers(sizes)], sizes, newShape=sizes
        )

    def transpose(self, tensor: int, order: Sequence[int]) -> int:
        """As `Graph.transpose`."""
        shape = [self.shape(tensor)[axis] for axis in order]
        return self._append("TRANSPOSE", "TransposeOptions", [tensor, self._integers(order)], shape)

    def part(self, tensor: int, axis: int, start: int, stop: int) -> int:
        """As `Graph.part`."""
        shape = list(self.shape(tensor))
        begin = [start if place == axis else 0 for place in range(len(shape))]
        shape[axis] = stop - start
        return self._append(
            "SLICE", "SliceOptions", [tensor, self._integers(begin), self._integers(shape)], shape
        )

    def concatenate(self, tensors: Sequence[int], axis: int) -> int:
        """As `Graph.concatenate`."""
        shape = list(self.shape(tensors[0]))
        shape[axis] = sum(self.shape(tensor)[axis] for tensor in tensors)
        return self._append("CONCATENATION", "ConcatenationOptions", tensors, shape, axis=axis)

    def highest(self, tensor: int) -> int:
        """As `Graph.highest`."""
        shape = [*self.shape(tensor)[:-1], 1]
        axis = self._integers([len(shape) - 1])
        return self._append("REDUCE_MAX", "ReducerOptions", [tensor, axis], shape, keepDims=True)

    def highest_of_neighbours(self, tensor: int) -> int:
        """As `Graph.highest_of_neighbours`."""
        return self._append(
            "MAX_POOL_2D",
            "Pool2DOptions",
            [tensor],
            self.shape(tensor),
            padding=self._schema.Padding.SAME,
            strideW=1,
            strideH=1,
            filterWidth=3,
            filterHeight=3,
        )

    def suppressed(self, found: GraphBoxes, settings: Suppression) -> Mapping[str, int]:
        """As `edgevision.graph.SuppressingGraph.suppressed`: by the operator of TFLite's SSD detectors."""
        from flatbuffers import flexbuffers

        _, boxes, classes = self.shape(found.scores)
        # It takes centres and logarithms of sizes, relative to anchors: here, each is the whole image.
        sizes = columns(self, found.boxes, 3, 2)
        least = self.constant(np.full((1, 1, 2), _LEAST_SIZE))
        sizes = self.unary("log", self.binary("maximum", sizes, least))
        encodings = self.concatenate([columns(self, found.boxes, 1, 0), sizes], 2)
        background = self.constant(np.zeros((1, boxes, 1)))
        predictions = self.concatenate([background, found.scores], 2)
        anchors = self.constant(np.tile(np.array([0.0, 0.0, 1.0, 1.0]), (boxes, 1)))
        count, kind = settings.max_detections, self._schema.TensorType.FLOAT32
        shapes = {"boxes": (1, count, 4), "classes": (1, count), "scores": (1, count), "count": (1,)}
        outputs = {name: self._tensor(shape, kind, name) for name, shape in shapes.items()}
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._custom_code(b"TFLite_Detection_PostProcess")
        operator.inputs, operator.outputs = [encodings, predictions, anchors], list(outputs.values())
        options = {
            "max_detections": count,
            "max_classes_per_detection": 1,
            "detections_per_class": count,
            "use_regular_nms": True,
            "nms_score_threshold": float(settings.score_threshold),
            "nms_iou_threshold": float(settings.iou_threshold),
            "num_classes": classes,
            **dict.fromkeys(("y_scale", "x_scale", "h_scale", "w_scale"), 1.0),
        }
        operator.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8)
        self._graph.operators.append(operator)
        return outputs

    def set_outputs(self, outputs: Mapping[str, int]) -> None:
        """As `EditableGraph.set_outputs`. A signature is dropped, after its input has lent its name."""
        for signature in self.model.signatureDefs or []:
            for each in signature.inputs:
                self._graph.tensors[each.tensorIndex].name = each.name
        for name, tensor in outputs.items():
            self._graph.tensors[tensor].name = name.encode()
        self._graph.outputs = list(outputs.values())
        self.model.signatureDefs = None

    def name(self, tensor: int) -> str:
        """The name of a tensor."""
        return str(self._graph.tensors[tensor].name.decode())

    def rename_inner(self, names: Sequence[str]) -> None:
        """Give other names to tensors that are called so, for outputs to have these names alone."""
        for number, tensor in enumerate(self._graph.tensors):
            if self.name(number) in names:
                tensor.name += b"/inner"

    def artifact(self) -> Artifact:
        """As `EditableGraph.artifact`."""
        return Artifact("tflite", self._precision, {"model.tflite": packed(self.model)})

    def take_pixels(self, mean: Array, scale: Array) -> bool:
        """As `EditableGraph.take_pixels`, for a model that takes a float32 or an int8 tensor.

        Returns:
            True if the input still represents those values; False if it represents the pixels.
        """
        old, kinds = self.input, self._schema.TensorType
        before = len(self._graph.operators)
        pixels = self._tensor(self.shape(old), kinds.UINT8, self.name(old) + "_pixels")
        self._graph.tensors[pixels].quantization = self._quantization(1.0, 0)
        in_float = self._graph.tensors[old].type == kinds.FLOAT32
        own: Any = None if in_float else self._graph.tensors[old].quantization
        kept = own is not None and _are_pixels(float(own.scale[0]), int(own.zeroPoint[0]), mean, scale)
        if kept:  # shifted by 128
            same = self._quantization(float(own.scale[0]), int(own.zeroPoint[0]) + 128)
            self._graph.tensors[pixels].quantization = same
            self._operator("QUANTIZE", "QuantizeOptions", [pixels], [old])
        else:
            values = self.binary("subtract", self.as_float(pixels), self.constant(mean))
            if in_float:
                self._operator("DIV", "DivOptions", [values, self.constant(scale)], [old])
            else:
                values = self.binary("divide", values, self.constant(scale))
                self._operator("QUANTIZE", "QuantizeOptions", [values], [old])
        added = self._graph.operators[before:]
        self._graph.operators = [*added, *self._graph.operators[:before]]
        self._graph.inputs = [pixels]
        for signature in self.model.signatureDefs or []:
            for each in signature.inputs:
                each.tensorIndex = pixels
        return kept

    def _quantization(self, scale: float, zero_point: int) -> Any:
        quantization = self._schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [scale], [zero_point]
        return quantization

    def _append(
        self,
        code: str,
        options: str | None,
        inputs: Sequence[int],
        shape: Sequence[int],
        kind: int | None = None,
        **settings: Any,
    ) -> int:
        kind = self._schema.TensorType.FLOAT32 if kind is None else kind
        output = self._tensor(shape, kind, f"edgevision/{code.lower()}_{len(self._graph.tensors)}")
        self._operator(code, options, inputs, [output], **settings)
        return output

    def _operator(
        self, code: str, options: str | None, inputs: Sequence[int], outputs: Sequence[int], **settings: Any
    ) -> None:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._operator_code(getattr(self._schema.BuiltinOperator, code))
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self._schema, options + "T")()
            for name, value in settings.items():
                setattr(operator.builtinOptions, name, value)
        self._graph.operators.append(operator)

    def _operator_code(self, number: int) -> int:
        codes = self.model.operatorCodes
        for place, code in enumerate(codes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number and code.version == 1:
                return place
        code = self._schema.OperatorCodeT()
        code.builtinCode, code.version = number, 1
        code.deprecatedBuiltinCode = min(number, _MOST_OLD_CODE)
        codes.append(code)
        return len(codes) - 1

    def _custom_code(self, name: bytes) -> int:
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = self._schema.BuiltinOperator.CUSTOM
        code.customCode, code.version = name, 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _tensor(self, shape: Sequence[int], kind: int, name: str, buffer: int = 0) -> int:
        tensor = self._schema.TensorT()
        tensor.shape, tensor.type, tensor.name = [int(size) for size in shape], kind, name.encode()
        tensor.buffer = buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _integers(self, values: Sequence[int]) -> int:
        return self._constant(np.asarray(values, np.int32), self._schema.TensorType.INT32)

    def _constant(self, values: Array, kind: int) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        name = f"edgevision/constant_{len(self._graph.tensors)}"
        return self._tensor(values.shape, kind, name, len(self.model.buffers) - 1)


def _are_pixels(step: float, zero_point: int, mean: Array, scale: Array) -> bool:
    """True if the int8 numbers of a tensor are the pixels minus 128, whatever the pixel."""
    pixels = np.arange(256.0)[:, np.newaxis]
    stored = np.rint((pixels - mean) / scale / step) + zero_point
    return bool((np.clip(stored, -128, 127) == pixels - 128).all())
