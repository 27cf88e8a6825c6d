"""Exact rewrites of frozen graphs into operations that every format has, and that runtimes run fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevision_keras.graph.constant_sizes import make_sizes_constant
from edgevision_keras.graph.nodes import add_constant, as_identity, constant
from edgevision_keras.libraries import require, require_tensorflow


def rewritten(frozen: Any) -> Any:
    """A frozen concrete function with the same names, inputs and outputs, rewritten.

    Args:
        frozen: a concrete function of constants, without function calls.
    """
    definition = frozen.graph.as_graph_def()
    nodes = {node.name: node for node in definition.node}
    changed = [
        rewrite(frozen, definition, nodes)
        for rewrite in (
            make_sizes_constant,
            _drop_checks,
            _drop_casts,
            _add_along_other_axes,
            _slice_instead_of_rolling,
            _convolve_instead_of_dilated_transposing,
            _find_extremes_without_signs_of_zero,
        )
    ]
    if _take_constant_branches(definition):
        # The branches have sizes of their own.
        return rewritten(with_definition(frozen, definition))
    return with_definition(frozen, definition) if any(changed) else frozen


def with_definition(frozen: Any, definition: Any) -> Any:
    """A rewritten definition as a concrete function with the inputs and outputs of the old one."""
    tf = require_tensorflow()
    convert = require("tensorflow.python.framework.convert_to_constants").convert_variables_to_constants_v2
    inputs = {tensor.op.name for tensor in frozen.inputs}
    outputs = [tensor.op.name for tensor in frozen.outputs]
    kept = tf.compat.v1.graph_util.extract_sub_graph(definition, outputs)
    for node in [node for node in kept.node if node.name in inputs]:
        kept.node.remove(node)

    def imported(*tensors: Any) -> list[Any]:
        return list(
            tf.graph_util.import_graph_def(
                kept,
                input_map={old.name: new for old, new in zip(frozen.inputs, tensors, strict=True)},
                return_elements=[f"{name}:0" for name in outputs],
                name="",
            )
        )

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.op.name) for tensor in frozen.inputs]
    return convert(tf.compat.v1.wrap_function(imported, specs), aggressive_inlining=True)


def _take_constant_branches(definition: Any) -> bool:
    """Call the branch that is always taken where a condition is a constant: sizes are compared, for one."""
    tf = require_tensorflow()
    nodes = {node.name: node for node in definition.node}
    changed = False
    for node in definition.node:
        condition = nodes.get(node.input[0].removesuffix(":0")) if node.op in ("If", "StatelessIf") else None
        if condition is None or condition.op != "Const":
            continue
        is_true = bool(np.any(tf.make_ndarray(condition.attr["value"].tensor)))
        branch = node.attr["then_branch" if is_true else "else_branch"].func
        node.op = "PartitionedCall"
        node.attr["f"].func.CopyFrom(branch)
        for name in ("then_branch", "else_branch", "Tcond", "output_shapes"):
            node.attr.pop(name, None)
        del node.input[0]
        changed = True
    return changed


def _drop_checks(_: Any, __: Any, nodes: Mapping[str, Any]) -> bool:
    """Remove checks for finite numbers, which no format has."""
    checks = [node for node in nodes.values() if node.op in ("CheckNumerics", "CheckNumericsV2")]
    for node in checks:
        as_identity(node, node.attr["T"].type)
    return bool(checks)


def _drop_casts(frozen: Any, definition: Any, nodes: Mapping[str, Any]) -> bool:
    """Remove casts from float32 to another dtype and straight back, which models with such inputs begin with.

    The trace rounds and clips before a cast to integers, so it changes nothing; a cast to a narrower
    float would only lose digits. The float16 converter of ONNX would never end with such a cast.
    """
    tf = require_tensorflow()
    changed = False
    for operation in frozen.graph.get_operations():
        if operation.type != "Cast" or operation.outputs[0].dtype != tf.float32:
            continue
        source, kinds = operation.inputs[0], set()
        while source.op.type in ("Cast", "Identity") and source.dtype != tf.float32:
            kinds.add(source.dtype)
            source = source.op.inputs[0]
        is_integer = any(kind.is_integer for kind in kinds)
        # A cast to bool asks what is not zero.
        if source.dtype != tf.float32 or tf.bool in kinds or (is_integer and not is_rounded(source)):
            continue
        node = nodes[operation.name]
        node.input[0] = source.name
        as_identity(node, tf.float32.as_datatype_enum)
        changed = True
    return changed


def is_rounded(tensor: Any) -> bool:
    """Return whether a tensor of a graph was rounded, and since then at most clipped."""
    while tensor.op.type in ("Identity", "Maximum", "Minimum", "ClipByValue"):
        tensor = tensor.op.inputs[0]
    return tensor.op.type in ("Round", "Rint")


def _add_along_other_axes(frozen: Any, definition: Any, nodes: Mapping[str, Any]) -> bool:
    """Write a bias along the first axis after the batch as an addition, unless a convolution has this layout.

    Keras adds a tensor of shape (rows, 1, 1) this way. Whoever merges biases into a convolution before them
    takes it for one of the channels.
    """
    tf = require_tensorflow()
    changed = False
    for operation in frozen.graph.get_operations():
        if operation.type != "BiasAdd" or operation.get_attr("data_format") != b"NCHW":
            continue
        value, bias = operation.inputs
        rank = value.shape.rank
        if rank is None or b"NCHW" in _layouts(value.op) or bias.shape.as_list()[0] is None:
            continue
        shape = [bias.shape.as_list()[0], *[1] * (rank - 2)]
        node = nodes[operation.name]
        name, kind = operation.name, node.attr["T"].type
        along = definition.node.add(op="Reshape", name=f"{name}/along", input=[node.input[1]])
        along.input.append(add_constant(definition, f"{name}/along/shape", np.array(shape, np.int32)))
        along.attr["T"].type, along.attr["Tshape"].type = kind, tf.int32.as_datatype_enum
        node.op = "AddV2"
        node.input[1] = along.name
        del node.attr["data_format"]
        changed = True
    return changed


def _layouts(operation: Any) -> list[bytes]:
    """The layout of an operation that has one, such as a convolution."""
    return [operation.get_attr("data_format")] if "data_format" in operation.node_def.attr else []


def _slice_instead_of_rolling(frozen: Any, definition: Any, nodes: Mapping[str, Any]) -> bool:
    """Write Roll by constants as slices and a concatenation: neither TFLite nor ONNX has it."""
    tf = require_tensorflow()
    changed = False
    for operation in frozen.graph.get_operations():
        if operation.type != "Roll":
            continue
        shifts, axes = (tf.get_static_value(tensor) for tensor in operation.inputs[1:])
        shape = operation.inputs[0].shape
        if shifts is None or axes is None or shape.rank is None:
            continue
        pairs = [
            (int(axis) % shape.rank, int(shift)) for axis, shift in zip(axes.flat, shifts.flat, strict=True)
        ]
        if any(shape[axis] is None for axis, _ in pairs):
            continue
        current = operation.inputs[0].name
        for number, (axis, shift) in enumerate(pairs):
            current = _rolled(definition, operation, current, axis, shift % shape[axis], number)
        node = nodes[operation.name]
        node.input[0] = current
        as_identity(node, operation.inputs[0].dtype.as_datatype_enum)
        changed = True
    return changed


def _rolled(definition: Any, operation: Any, value: str, axis: int, shift: int, number: int) -> str:
    """Add the rolling of one axis to a GraphDef, and return its name."""
    if shift == 0:
        return value
    tf = require_tensorflow()
    name = f"{operation.name}/axis_{number}"
    rank = operation.inputs[0].shape.rank
    kind, index = operation.inputs[0].dtype.as_datatype_enum, tf.int32.as_datatype_enum
    end = int(operation.inputs[0].shape[axis]) - shift
    parts = []
    for part, start, size in (("last", end, -1), ("first", 0, end)):
        begins, sizes = np.zeros(rank, np.int32), np.full(rank, -1, np.int32)
        begins[axis], sizes[axis] = start, size
        node = definition.node.add(op="Slice", name=f"{name}/{part}", input=[value])
        node.input.append(add_constant(definition, f"{name}/{part}/begin", begins))
        node.input.append(add_constant(definition, f"{name}/{part}/size", sizes))
        node.attr["T"].type, node.attr["Index"].type = kind, index
        parts.append(node.name)
    whole = definition.node.add(op="ConcatV2", name=f"{name}/whole", input=parts)
    whole.input.append(add_constant(definition, f"{name}/axis", np.int32(axis)))
    whole.attr["N"].i = 2
    whole.attr["T"].type, whole.attr["Tidx"].type = kind, index
    return str(whole.name)


def _convolve_instead_of_dilated_transposing(frozen: Any, definition: Any, nodes: Mapping[str, Any]) -> bool:
    """Write transposed convolutions with dilation, which TFLite lacks, as convolutions of a padded input.

    Keras has dilation only with a stride of 1, where the two differ by the order of the weights alone.
    """
    tf = require_tensorflow()
    changed = False
    for operation in frozen.graph.get_operations():
        if operation.type != "Conv2DBackpropInput" or operation.get_attr("data_format") != b"NHWC":
            continue
        dilations, strides = (list(operation.get_attr(name))[1:3] for name in ("dilations", "strides"))
        weight = constant(operation.inputs[1])
        sizes = [tensor.shape[1:3].as_list() for tensor in (operation.inputs[2], operation.outputs[0])]
        if dilations == [1, 1] or strides != [1, 1] or weight is None or None in (*sizes[0], *sizes[1]):
            continue
        name = operation.name
        paddings = np.zeros((4, 2), np.int32)
        for axis in (0, 1):
            reach = (weight.shape[axis] - 1) * dilations[axis]
            total = max(sizes[0][axis] + reach - sizes[1][axis], 0)
            paddings[axis + 1] = reach - total // 2, reach - (total - total // 2)
        kind = tf.float32.as_datatype_enum
        pad = definition.node.add(op="Pad", name=f"{name}/pad", input=[operation.inputs[2].name])
        pad.input.append(add_constant(definition, f"{name}/paddings", paddings))
        pad.attr["T"].type, pad.attr["Tpaddings"].type = kind, tf.int32.as_datatype_enum
        turned = np.swapaxes(weight[::-1, ::-1], 2, 3)
        node = nodes[name]
        node.op = "Conv2D"
        node.ClearField("input")
        node.input.extend([pad.name, add_constant(definition, f"{name}/turned", turned)])
        node.attr["padding"].s = b"VALID"
        del node.attr["explicit_paddings"].list.i[:]
        changed = True
    return changed


def _find_extremes_without_signs_of_zero(frozen: Any, definition: Any, nodes: Mapping[str, Any]) -> bool:
    """Argmax and argmin of the values themselves.

    Keras first replaces each -0.0 by the least negative number, with operations on bits that TFLite lacks.
    """
    changed = False
    for operation in frozen.graph.get_operations():
        if operation.type not in ("ArgMax", "ArgMin"):
            continue
        choice = operation.inputs[0].op
        if choice.type != "SelectV2" or choice.inputs[0].op.type != "LogicalAnd":
            continue
        instead = constant(choice.inputs[1])
        if instead is not None and np.all((instead < 0) & (instead >= -np.finfo(np.float32).tiny)):
            nodes[operation.name].input[0] = choice.inputs[2].name
            changed = True
    return changed
