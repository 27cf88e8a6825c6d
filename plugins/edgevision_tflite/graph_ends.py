"""The ends of a TFLite model's first graph: its image input, and the operators before its outputs.

Field numbers are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

from typing import NamedTuple

from edgevision.system.flatbuffer import DamagedError, Flatbuffer

_DETECTION = "TFLite_Detection_PostProcess"
#: Settings of decoder ``tflite-ssd``, in the order of that operator's outputs.
_DETECTION_ROLES = ("boxes", "classes", "scores", "count")

# BuiltinOperator
_CONV_2D, _FULLY_CONNECTED, _LOGISTIC, _SOFTMAX, _LOG_SOFTMAX = 3, 9, 14, 25, 50
_DEQUANTIZE, _RESHAPE, _SQUEEZE, _CAST, _QUANTIZE = 6, 22, 43, 53, 114
_PASS_VALUES_ON = frozenset({_DEQUANTIZE, _RESHAPE, _SQUEEZE, _CAST, _QUANTIZE})
_SCORE_KINDS = {_SOFTMAX: "softmax", _LOGISTIC: "sigmoid", _LOG_SOFTMAX: "logits"}
# Operators that return logits unless an activation is fused into them -> the field with the activation.
_FUSED_ACTIVATION = {_CONV_2D: 3, _FULLY_CONNECTED: 0}

_UINT8 = 3  # TensorType


class Graph(NamedTuple):
    """The first graph of a model."""

    model: Flatbuffer
    position: int

    def task(self) -> str | None:
        """``detect`` for the outputs of the detection operator, ``classify`` for one output of scores."""
        outputs = self._outputs()
        producer = self._producer(outputs[0]) if outputs else None
        if producer is not None and self._custom_code(producer) == _DETECTION:
            return "detect" if len(outputs) == 4 else None
        return "classify" if len(outputs) == 1 and self._rank(outputs[0]) in (1, 2) else None

    def detection_places(self) -> dict[str, int]:
        """Output of the detection operator -> its index among the graph's outputs; empty without one."""
        if self.task() != "detect":
            return {}
        outputs = self._outputs()
        producer = self._producer(outputs[0])
        tensors = self.model.numbers(producer, 2, "i") if producer is not None else ()
        if sorted(tensors) != sorted(outputs):
            raise DamagedError(f"the outputs are not the four of {_DETECTION}")
        return {role: outputs.index(tensor) for role, tensor in zip(_DETECTION_ROLES, tensors, strict=True)}

    def score_kind(self) -> str | None:
        """Type of the only output, according to the last operator that changes values."""
        outputs = self._outputs()
        if len(outputs) != 1:
            return None
        operator = self._producer(outputs[0])
        while operator is not None and self._code(operator) in _PASS_VALUES_ON:
            inputs = self.model.numbers(operator, 1, "i")
            operator = self._producer(inputs[0]) if inputs else None
        if operator is None:
            return None
        code = self._code(operator)
        return _SCORE_KINDS.get(code) or self._logits(operator, code)

    def _logits(self, operator: int, code: int) -> str | None:
        if code not in _FUSED_ACTIVATION:
            return None
        options = self.model.table(operator, 4)
        fused = 0 if options is None else self.model.scalar(options, _FUSED_ACTIVATION[code], "b")
        return None if fused else "logits"

    def inputs(self) -> int:
        """The number of inputs."""
        return len(self.model.numbers(self.position, 1, "i"))

    def outputs(self) -> int:
        """The number of outputs."""
        return len(self._outputs())

    def takes_uint8(self) -> bool:
        """True if the first input holds uint8."""
        tensor = self._input()
        return tensor is not None and self.model.scalar(tensor, 1, "b") == _UINT8

    def channels_last(self) -> bool:
        """True if the first input is an image with its 1 or 3 channels last."""
        tensor = self._input()
        shape = () if tensor is None else self.model.numbers(tensor, 0, "i")
        return len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)

    def _input(self) -> int | None:
        inputs = self.model.numbers(self.position, 1, "i")
        return at(self.model.tables(self.position, 0), inputs[0]) if inputs else None

    def _outputs(self) -> tuple[int, ...]:
        return self.model.numbers(self.position, 2, "i")

    def _producer(self, tensor: int) -> int | None:
        for operator in reversed(self.model.tables(self.position, 3)):
            if tensor in self.model.numbers(operator, 2, "i"):
                return operator
        return None

    def _rank(self, tensor: int) -> int:
        return len(self.model.numbers(at(self.model.tables(self.position, 0), tensor), 0, "i"))

    def _code_table(self, operator: int) -> int:
        codes = self.model.tables(self.model.root, 1)
        return at(codes, self.model.scalar(operator, 0, "I"))

    def _code(self, operator: int) -> int:
        # Codes above 127 do not fit in the older, one-byte field.
        table = self._code_table(operator)
        return max(self.model.scalar(table, 0, "b"), self.model.scalar(table, 3, "i"))

    def _custom_code(self, operator: int) -> str:
        return self.model.text(self._code_table(operator), 1)


def at(positions: list[int], index: int) -> int:
    """The table of a number.

    Raises:
        DamagedError: there is none.
    """
    if not 0 <= index < len(positions):
        raise DamagedError(f"a reference to number {index} of {len(positions)}")
    return positions[index]
