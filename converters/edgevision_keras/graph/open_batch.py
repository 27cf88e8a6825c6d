"""A frozen graph of a fixed batch, rewritten to take any number of images.

Many SavedModels are exported for one image at a time. Their shapes hold the batch as a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevision_keras.graph.nodes import add_constant
from edgevision_keras.libraries import require_tensorflow


def open_batch(definition: Any, batch: int, inputs: Sequence[str]) -> None:
    """Replace the batch in the shapes of a GraphDef; not all graphs give the same answers afterwards.

    Args:
        definition: of a graph whose inputs have a batch of `batch`; is changed.
        batch: 1 or more.
        inputs: names of its input tensors.
    """
    tf = require_tensorflow()
    with tf.Graph().as_default() as fixed:
        tf.graph_util.import_graph_def(definition, name="")
    names = {name.partition(":")[0] for name in inputs}
    for node in list(definition.node):
        operation = fixed.get_operation_by_name(node.name)
        if node.name in names:
            _open_placeholder(node, operation)
        elif node.op == "Reshape":
            _open_reshape(definition, node, operation, batch)
        elif node.op == "Conv2DBackpropInput":
            _open_transposed(tf, definition, node, operation)
        node.attr.pop("_output_shapes", None)


def _open_placeholder(node: Any, operation: Any) -> None:
    sizes = operation.outputs[0].shape.as_list()
    node.attr["shape"].shape.dim[0].size = -1
    for dimension, size in zip(node.attr["shape"].shape.dim[1:], sizes[1:], strict=True):
        dimension.size = size


def _open_reshape(definition: Any, node: Any, operation: Any, batch: int) -> None:
    shape = operation.outputs[0].shape.as_list()
    if operation.inputs[1].op.type == "Const" and shape and None not in shape and shape[0] % batch == 0:
        node.input[1] = add_constant(definition, f"{node.name}/open_shape", [-1, *shape[1:]])


def _open_transposed(tf: Any, definition: Any, node: Any, operation: Any) -> None:
    """Take the batch of a transposed convolution's output from its input, as Keras does."""
    shape = operation.outputs[0].shape.as_list()
    if operation.inputs[0].op.type != "Const" or None in shape:
        return
    name, value = node.name, node.input[2]
    int32 = tf.int32.as_datatype_enum
    sizes = definition.node.add(op="Shape", name=f"{name}/input_shape", input=[value])
    sizes.attr["T"].type, sizes.attr["out_type"].type = node.attr["T"].type, int32
    ends = [
        add_constant(definition, f"{name}/{end}", [number])
        for end, number in (("begin", 0), ("end", 1), ("stride", 1))
    ]
    first = definition.node.add(op="StridedSlice", name=f"{name}/batch", input=[sizes.name, *ends])
    first.attr["T"].type = first.attr["Index"].type = int32
    first.attr["shrink_axis_mask"].i = 1
    rest = [
        add_constant(definition, f"{name}/size_{axis}", size) for axis, size in enumerate(shape[1:], start=1)
    ]
    packed = definition.node.add(op="Pack", name=f"{name}/output_shape", input=[first.name, *rest])
    packed.attr["T"].type, packed.attr["N"].i, packed.attr["axis"].i = int32, len(shape), 0
    node.input[0] = packed.name


def is_open(fixed: Any, opened: Any, batch: int, specs: Sequence[Any]) -> bool:
    """Return whether an opened function gives the answers of the fixed one, on random examples.

    Args:
        fixed: a function of tensors with a batch of `batch`; returns a dict.
        opened: a function of tensors of any batch; returns tensors in the order of the sorted names.
        batch: 1 or more.
        specs: `tf.TensorSpec` of each input.
    """
    tf = require_tensorflow()
    rng = np.random.default_rng(0)
    # Whole numbers, which are valid for inputs that hold class numbers as well.
    tensors = [rng.integers(0, 2, (3 * batch, *spec.shape[1:])).astype(np.float32) for spec in specs]
    try:
        together = opened(*map(tf.constant, tensors))
    except tf.errors.OpError:
        return False
    for start in range(0, 3 * batch, batch):
        parts = fixed(*(tf.constant(values[start : start + batch]) for values in tensors))
        for whole, name in zip(together, sorted(parts), strict=True):
            expected = parts[name].numpy()
            if whole.shape.rank != expected.ndim or not whole.shape.rank:
                return False
            answer = whole.numpy()[start : start + batch]
            tolerance = 1e-4 * max(1.0, float(np.abs(expected).max(initial=0.0)))
            if answer.shape != expected.shape or not np.allclose(answer, expected, atol=tolerance):
                return False
    return True
