"""Checks that a model contains no code and touches no files, before any of it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgevision.errors import UntrustedSourceError
from edgevision_keras.libraries import require

#: Layers that contain Python code, a TensorFlow graph, or the path of one.
_CODE_CLASSES = frozenset(
    {"Lambda", "__lambda__", "TFSMLayer", "TensorFlowOpLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
)
#: Functions that a TFOpLambda layer of Keras 2 may call: the parts of TensorFlow that only compute.
_COMPUTING = ("math.", "nn.", "image.", "linalg.", "__operators__.", "keras.activations.", "keras.backend.")
_COMPUTING_NAMES = frozenset(
    {
        "cast",
        "clip_by_value",
        "concat",
        "convert_to_tensor",
        "expand_dims",
        "gather",
        "identity",
        "ones_like",
        "pad",
        "repeat",
        "reshape",
        "reverse",
        "shape",
        "slice",
        "split",
        "squeeze",
        "stack",
        "strided_slice",
        "tile",
        "transpose",
        "unstack",
        "where",
        "zeros_like",
        "compat.v1.gather",
        "compat.v1.nn.softmax",
        "compat.v1.shape",
        "compat.v1.squeeze",
        "compat.v1.transpose",
    }
)
#: Stateful operations that only compute.
_HARMLESS_STATEFUL = frozenset(
    {
        "Assert",
        "AssignAddVariableOp",
        "AssignSubVariableOp",
        "AssignVariableOp",
        "Case",
        "CheckNumerics",
        "CheckNumericsV2",
        "DisableCopyOnRead",
        "HashTableV2",
        "If",
        "LookupTableFindV2",
        "LookupTableImportV2",
        "LookupTableSizeV2",
        "MutableHashTableV2",
        "NoOp",
        "Placeholder",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "ReadVariableOp",
        "ResourceGather",
        "ResourceGatherNd",
        "RngReadAndSkip",
        "RngSkip",
        "StatefulPartitionedCall",
        "StatefulUniform",
        "StatefulUniformInt",
        "TensorArrayV3",
        "TruncatedNormal",
        "VarHandleOp",
        "VarIsInitializedOp",
        "VariableV2",
        "While",
    }
)
#: Operations that read files, or call Python, although TensorFlow does not mark them as stateful.
_READING = frozenset(
    {
        "DecodeProtoV2",
        "EncodeProto",
        "ImmutableConst",
        "MatchingFiles",
        "PyFuncStateless",
        "ReadFile",
        "ShardedFilename",
    }
)


def check_config(config: Any, path: Path) -> None:
    """Refuse the configuration of a Keras model that contains code.

    Args:
        config: the parsed ``config.json`` of a ``.keras`` file, or ``model_config`` of an ``.h5``.
        path: the source, for the message.

    Raises:
        UntrustedSourceError: names the layer.
    """
    for entry in entries(config):
        kind = str(entry["class_name"]).rpartition(">")[2]
        if kind in _CODE_CLASSES or (kind == "TFOpLambda" and not _computes(entry)):
            raise _untrusted(path, f"layer '{layer_name(entry)}' ({kind}) contains code")


def check_operations(graph: Any, path: Path, skipped: Iterable[str] = ()) -> None:
    """Refuse a graph with an operation that accesses files, Python or anything else outside of the graph.

    Args:
        graph: a `GraphDef`.
        path: the source, for the message.
        skipped: functions of its library that are not checked.

    Raises:
        UntrustedSourceError: names the operation.
    """
    registry = require("tensorflow.python.framework.op_def_registry")
    left_out = set(skipped)
    bodies = [graph.node] + [f.node_def for f in graph.library.function if f.signature.name not in left_out]
    for node in (node for body in bodies for node in body):
        definition = registry.get(node.op)
        stateful = definition is None or definition.is_stateful
        if node.op in _READING or (stateful and node.op not in _HARMLESS_STATEFUL):
            raise _untrusted(path, f"operation '{node.name}' ({node.op}) accesses data outside of the model")


def check_saved_model(meta_graph: Any, path: Path) -> None:
    """Refuse a SavedModel that accesses anything outside of it when it is loaded or run.

    Its two functions for checkpoints write and read files. They are skipped if nothing else calls
    them, because neither loading nor converting the model does.

    Args:
        meta_graph: its `MetaGraphDef`.
        path: the source, for the message.

    Raises:
        UntrustedSourceError: names the operation.
    """
    graph, saver = meta_graph.graph_def, meta_graph.saver_def
    saving = {saver.save_tensor_name.partition(":")[0], saver.restore_op_name}
    of_saver = {name for node in graph.node if node.name in saving for name in _called(node)}
    callable_by_others = set(meta_graph.object_graph_def.concrete_functions)
    for function in graph.library.function:
        callable_by_others |= {name for node in function.node_def for name in _called(node)}
    callable_by_others |= {n for node in graph.node if node.name not in saving for n in _called(node)}
    check_operations(graph, path, skipped=of_saver - callable_by_others)


def entries(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every serialized object in a configuration, the outer before the inner."""
    pending = [config]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            if "class_name" in part:
                yield part
            pending.extend(part.values())
        elif isinstance(part, (list, tuple)):
            pending.extend(part)


def _computes(entry: Mapping[str, Any]) -> bool:
    function = str(entry.get("config", {}).get("function", ""))
    return function.startswith(_COMPUTING) or function in _COMPUTING_NAMES


def layer_name(entry: Mapping[str, Any]) -> str:
    """The name of a serialized layer, or its class where it has none."""
    inner = entry.get("config")
    return str(inner["name"]) if isinstance(inner, Mapping) and "name" in inner else str(entry["class_name"])


def _called(node: Any) -> set[str]:
    names = {attr.func.name for attr in node.attr.values() if attr.HasField("func")}
    return names | {func.name for attr in node.attr.values() for func in attr.list.func}


def _untrusted(path: Path, finding: str) -> UntrustedSourceError:
    return UntrustedSourceError(
        f"{path}: {finding}, which would run on this machine; if you trust the author of the model, "
        "pass --trust-source (trust_source=True)"
    )
