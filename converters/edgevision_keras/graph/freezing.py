"""From a traced function to a graph of constants that only computes outputs from inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgevision_keras.libraries import require, require_tensorflow

#: Operations that change the state of the model, such as the statistics of a batch normalization.
_ASSIGNMENTS = frozenset({"AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"})


def frozen_definition(traced: Any) -> tuple[Any, list[str], list[str]]:
    """A graph with constants instead of variables, and with all function calls inlined.

    Args:
        traced: a concrete function.

    Returns:
        (GraphDef, names of its input tensors, names of its output tensors), in the function's order.
    """
    tf = require_tensorflow()
    definition = traced.graph.as_graph_def()
    _keep_computation(definition)
    _rename_functions(definition)
    count = len(traced.inputs) - len(traced.graph.captures)

    def imported(*tensors: Any) -> list[Any]:
        graph = tf.compat.v1.get_default_graph()
        # Variables are replaced by constants only if the graph knows them.
        for variable in traced.graph.variables:
            graph.watch_variable(variable)
        given = {own.name: tensor for own, tensor in zip(traced.inputs[:count], tensors, strict=True)}
        captured = {own.name: graph.capture(value) for value, own in traced.graph.captures}
        results: list[Any] = tf.graph_util.import_graph_def(
            definition,
            input_map=given | captured,
            return_elements=[tensor.name for tensor in traced.outputs],
            name="",
        )
        return results

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in traced.inputs[:count]]
    frozen = _with_constants(tf.compat.v1.wrap_function(imported, specs))
    result = frozen.graph.as_graph_def()
    # Inlining adds control edges of its own.
    _keep_computation(result)
    ends = {tensor.op.name for tensor in (*frozen.inputs, *frozen.outputs)}
    return (
        tf.compat.v1.graph_util.extract_sub_graph(result, sorted(ends)),
        [tensor.name for tensor in frozen.inputs],
        [tensor.name for tensor in frozen.outputs],
    )


def concrete_function(
    definition: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    specs: Sequence[Any],
    returned: Mapping[str, Any],
) -> Any:
    """A GraphDef as a concrete function, with the tensor names of the artifacts.

    Args:
        definition: a graph without variables.
        inputs, outputs: names of its tensors.
        specs: a named `tf.TensorSpec` for each input.
        returned: a name for each output, with its known shape. Sizes that the model declares, and that cannot
            be inferred from its operations, are lost in a GraphDef, and restored.
    """
    tf = require_tensorflow()

    def imported(*tensors: Any) -> list[Any]:
        results = tf.graph_util.import_graph_def(
            definition,
            input_map=dict(zip(inputs, tensors, strict=True)),
            return_elements=list(outputs),
            name="source",
        )
        pairs = zip(returned.items(), results, strict=True)
        return [tf.identity(_of_shape(tf, result, shape), name=name) for (name, shape), result in pairs]

    return _with_constants(tf.compat.v1.wrap_function(imported, list(specs)))


def _of_shape(tf: Any, tensor: Any, shape: Any) -> Any:
    is_known = shape.rank and shape[1:].is_fully_defined()
    if is_known and not (tensor.shape.rank and tensor.shape[1:].is_fully_defined()):
        return tf.reshape(tensor, (-1, *shape[1:]))
    return tensor


def nodes_of(definition: Any) -> Iterator[Any]:
    """The nodes of a GraphDef and of its functions."""
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _with_constants(function: Any) -> Any:
    convert = require("tensorflow.python.framework.convert_to_constants").convert_variables_to_constants_v2
    # A loop stays one operation: in its lowered form, control edges carry meaning.
    return convert(function, lower_control_flow=False, aggressive_inlining=True)


def _keep_computation(definition: Any) -> None:
    """Remove everything but the flow of data from inputs to outputs.

    Control edges order side effects, which a frozen graph does not have. In a SavedModel they hang weights
    on the input, and weights that depend on the input are not constant to anything that reads the graph.
    Without them no assignment is part of a function's result, and a frozen weight cannot be assigned to.

    Keras marks grouped convolutions for compilation with XLA, and functions with that mark are never
    inlined: neither TFLite nor ONNX could convert them.
    """
    for function in definition.library.function:
        function.control_ret.clear()
        function.signature.control_output[:] = []
        function.attr.pop("_XlaMustCompile", None)
    for node in nodes_of(definition):
        data = [name for name in node.input if not name.startswith("^")]
        node.ClearField("input")
        node.input.extend(data)
        node.attr.pop("_XlaMustCompile", None)
    for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
        kept = [node for node in nodes if node.op not in _ASSIGNMENTS]
        if len(kept) < len(nodes):
            copies = [type(node).FromString(node.SerializeToString()) for node in kept]
            del nodes[:]
            nodes.extend(copies)


def _rename_functions(definition: Any) -> None:
    """Give the functions other names: TensorFlow keeps one function per name in a process."""
    own = {function.signature.name for function in definition.library.function}
    for node in nodes_of(definition):
        for attr in node.attr.values():
            for func in [attr.func] if attr.HasField("func") else attr.list.func:
                if func.name in own:
                    func.name += "_inlined"
    for function in definition.library.function:
        function.signature.name += "_inlined"
    for gradient in definition.library.gradient:
        gradient.function_name += "_inlined"
