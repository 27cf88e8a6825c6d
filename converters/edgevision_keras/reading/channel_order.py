"""Channels that a graph puts into another order at its beginning, as ``preprocess_input`` of ResNet does."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow

_TAKING_APART = frozenset({"StridedSlice", "Split", "SplitV", "Unpack", "GatherV2", "ReverseV2"})
_TOGETHER = frozenset({"Pack", "ConcatV2"})
_RESHAPING = frozenset({"Squeeze", "ExpandDims", "Reshape", "Identity"})


def reordered(trace: Trace, tensor: Any) -> Any | None:
    """The tensor that has the values of `tensor` with its channels in another order; `None` if there is none.

    The graph may take the channels apart and put them together again. That nothing else happens to them is
    verified on values, because the operations allow more.

    Args:
        trace: the graph.
        tensor: a tensor of images, all of whose consumers are considered.
    """
    candidate = _put_together(tensor)
    if candidate is None or not _is_permutation(trace, tensor, candidate):
        return None
    return candidate


def _put_together(tensor: Any) -> Any | None:
    """The first tensor behind all consumers of `tensor` that has its shape again."""
    pending = [op for op in tensor.consumers() if op.type not in ("Shape", "NoOp")]
    if not pending or any(op.type not in _TAKING_APART for op in pending):
        return None
    ends = set()
    while pending:
        operation = pending.pop()
        if operation.type in _TOGETHER:
            ends.add(operation)
        elif operation.type in _TAKING_APART | _RESHAPING:
            if len(operation.outputs) == 1 and _same_shape(operation.outputs[0], tensor):
                ends.add(operation)
            else:
                pending.extend(op for output in operation.outputs for op in output.consumers())
        else:
            return None
    if len(ends) != 1:
        return None
    joined = ends.pop().outputs[0]
    while not _same_shape(joined, tensor):
        following = joined.consumers()
        if len(following) != 1 or following[0].type not in _RESHAPING:
            return None
        joined = following[0].outputs[0]
    return joined


def _same_shape(one: Any, other: Any) -> bool:
    return bool(one.shape.rank == other.shape.rank and one.shape[1:].as_list() == other.shape[1:].as_list())


def _is_permutation(trace: Trace, tensor: Any, candidate: Any) -> bool:
    tf = require_tensorflow()
    image = np.random.default_rng(0).uniform(0, 1, trace.inputs[0].with_batch(1)).astype(np.float32)
    source = trace.frozen.inputs[0]
    # A placeholder is no result of a pruned graph.
    before = image if tensor is source else np.asarray(trace.frozen.prune(source, tensor)(tf.constant(image)))
    after = np.asarray(trace.frozen.prune(source, candidate)(tf.constant(image)))
    order = [
        next((place for place in range(before.shape[-1]) if np.array_equal(before[..., place], channel)), -1)
        for channel in np.moveaxis(after, -1, 0)
    ]
    return sorted(order) == list(range(before.shape[-1]))
