"""The operations of `edgevision.graph.Graph` on numpy arrays: what every format's graph must compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

_BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "equal": lambda first, second: (first == second).astype(np.float32),
}


class NumpyGraph:
    """A tensor is its array, float32."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self.outputs = outputs

    def output(self, name: str) -> Any:
        return np.asarray(self.outputs[name], np.float32)

    def shape(self, tensor: Any) -> tuple[int, ...]:
        return tuple(tensor.shape)

    def constant(self, values: Any) -> Any:
        return np.asarray(values, np.float32)

    def unary(self, operation: str, tensor: Any) -> Any:
        if operation == "softmax":
            powers = np.exp(tensor - tensor.max(axis=-1, keepdims=True))
            return powers / powers.sum(axis=-1, keepdims=True)
        if operation == "sigmoid":
            return 1 / (1 + np.exp(-tensor))
        return getattr(np, operation)(tensor)

    def binary(self, operation: str, first: Any, second: Any) -> Any:
        return np.asarray(_BINARY[operation](first, second), np.float32)

    def reshape(self, tensor: Any, shape: Sequence[int]) -> Any:
        return tensor.reshape(shape)

    def transpose(self, tensor: Any, order: Sequence[int]) -> Any:
        return tensor.transpose(order)

    def part(self, tensor: Any, axis: int, start: int, stop: int) -> Any:
        return tensor.take(range(start, stop), axis=axis)

    def concatenate(self, tensors: Sequence[Any], axis: int) -> Any:
        return np.concatenate(tensors, axis)

    def highest(self, tensor: Any) -> Any:
        return tensor.max(axis=-1, keepdims=True)

    def highest_of_neighbours(self, tensor: Any) -> Any:
        return cv2.dilate(np.ascontiguousarray(tensor[0]), np.ones((3, 3), np.uint8)).reshape(tensor.shape)
