"""The layers of a source that the operators of a converted file belong to."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from edgevision_keras.graph.operations import layer_of, numbered_layers
from edgevision_keras.graph.trace import Trace


class OperatorLayers:
    """Finds the layer of an operator by its name in a file.

    Args:
        trace: the graph that the file was converted from.
        layer_names: names of the source's layers; empty if unknown.
    """

    def __init__(self, trace: Trace, layer_names: Collection[str]) -> None:
        self._names = layer_names
        self._numbered = numbered_layers(trace.frozen.graph, layer_names)
        # The outputs of a file have the names of the source's outputs, without a scope.
        self._outputs = {tensor.op.name: _computed_by(tensor).name for tensor in trace.frozen.outputs}

    def layer_of(self, operation: str, name: str) -> str:
        """The layer of an operator; empty if it belongs to none, or its name does not say to which.

        Args:
            operation: the format's name, such as ``BATCH_MATMUL``.
            name: its name in the file; the names of fused operations are joined by semicolons.
        """
        parts = [self._outputs.get(part, part) for part in name.split(";")]
        wanted = _letters(operation)
        same = [part for part in parts if _letters(part.rsplit("/", 1)[-1]) == wanted]
        scoped = [part for part in (*same, *reversed(parts)) if "/" in part]
        layer = layer_of(scoped[0], self._names, self._numbered) if scoped else ""
        return layer if not self._names or layer in self._names else ""


def _computed_by(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor.op


def _letters(name: str) -> str:
    """``add_2`` and ``ADD`` as ``add``."""
    return re.sub(r"[^a-z]|\d+$", "", name.lower())
