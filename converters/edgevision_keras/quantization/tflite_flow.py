"""The way of the activations through the operators of a float TFLite file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevision_keras.quantization.flow import Flow
from edgevision_keras.quantization.tflite_file import NOT_COMPUTED, constants, float_tensors, operators


def read_flow(model: Any) -> Flow:
    """The operators of the first subgraph of a float file, a `ModelT`."""
    graph = model.subgraphs[0]
    activations = float_tensors(graph) - constants(model)
    sizes = {index: int(np.prod(np.abs(_shape(graph.tensors[index])))) for index in activations}
    return Flow.of((step for step in operators(model) if step.operation not in NOT_COMPUTED), sizes)


def _shape(tensor: Any) -> Sequence[int]:
    return () if tensor.shape is None else tensor.shape
