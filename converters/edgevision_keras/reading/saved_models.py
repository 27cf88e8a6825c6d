"""SavedModel directories, opened without running code that they contain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevision.errors import OptionError, SourceError
from edgevision.system.folders import entries_below
from edgevision.system.reading import MOST_DOCUMENT_BYTES, read_file, read_text
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.reading.archives import unreadable
from edgevision_keras.reading.open_model import OpenModel, loaded
from edgevision_keras.reading.safety import check_saved_model

#: Tags of the graph that a server runs.
_SERVE = ["serve"]
_USUAL = ("serving_default", "serve")
#: Signatures that TensorFlow 1 writes for its own use.
_INITIALIZERS = frozenset({"__saved_model_init_op", "__saved_model_train_op"})


def open_saved_model(path: Path, trust_source: bool, signature: str | None) -> OpenModel:
    """Open a SavedModel directory.

    Args:
        path: the directory.
        trust_source: run code that it contains.
        signature: name of the signature to convert; `None` for ``serving_default``, or the only one.

    Raises:
        SourceError, UntrustedSourceError, MissingRuntimeError, OptionError: as
            `ConfigurableReader.read_with_options`.
    """
    check_files(path)
    tf = require_tensorflow()
    meta_graph = _meta_graph(path)
    if not meta_graph.HasField("object_graph_def"):
        raise SourceError(_from_tensorflow_1(path, meta_graph))
    if not trust_source:
        check_saved_model(meta_graph, path)
    owner = loaded(
        path, "TensorFlow", lambda: tf.saved_model.load(str(path), tags=list(meta_graph.meta_info_def.tags))
    )
    return _signature_model(path, owner, _choose(dict(owner.signatures), signature, path))


def check_files(path: Path) -> None:
    """Refuse a SavedModel with a pipe or a device in it: TensorFlow opens whatever is there, and waits.

    Raises:
        SourceError: names the entry.
    """
    try:
        for name, entry in entries_below(path):
            if not (entry.is_file() or entry.is_dir()):
                raise SourceError(
                    f"{path / name}: expected a regular file, as in a SavedModel written by "
                    "model.export('DIR')"
                )
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error


def _meta_graph(path: Path) -> Any:
    """The graph that is served."""
    message = require("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    decode_error: type[Exception] = require("google.protobuf.message").DecodeError
    text_format = require("google.protobuf.text_format")
    parse_error: type[Exception] = text_format.ParseError
    binary, text = path / "saved_model.pb", path / "saved_model.pbtxt"
    try:
        if binary.is_file():
            message.ParseFromString(read_file(binary, MOST_DOCUMENT_BYTES))
        else:
            text_format.Parse(read_text(text, MOST_DOCUMENT_BYTES), message)
    except (ValueError, OSError, decode_error, parse_error) as error:
        raise unreadable(binary, "a SavedModel as written by model.export('DIR')", error) from error
    graphs = list(message.meta_graphs)
    serving = [graph for graph in graphs if list(graph.meta_info_def.tags) == _SERVE]
    if len(graphs) != 1 and len(serving) != 1:
        tags = "; ".join(", ".join(graph.meta_info_def.tags) for graph in graphs) or "none"
        raise SourceError(
            f"{path}: expected a SavedModel with one graph, or one that is tagged 'serve'; found the "
            f"tags: {tags}; write it again with model.export('DIR')"
        )
    return serving[0] if len(serving) == 1 else graphs[0]


def _from_tensorflow_1(path: Path, meta_graph: Any) -> str:
    names = sorted(set(meta_graph.signature_def) - _INITIALIZERS)
    name = "serving_default" if "serving_default" in names or not names else names[0]
    return (
        f"{path}: SavedModels of TensorFlow 1 are not supported; write it again with TensorFlow 2: python -c "
        '"import tensorflow as tf; from tensorflow.python.framework.convert_to_constants import '
        "convert_variables_to_constants_v2 as freeze; "
        f"f = freeze(tf.saved_model.load({str(path)!r}).signatures[{name!r}]); "
        "tf.saved_model.save(tf.Module(), 'NEW', signatures=tf.function(lambda image: f(image))"
        '.get_concrete_function(tf.TensorSpec(f.inputs[0].shape, f.inputs[0].dtype)))", and convert NEW'
    )


def _choose(signatures: Mapping[str, Any], wanted: str | None, path: Path) -> Any:
    usable = {name: each for name, each in signatures.items() if name not in _INITIALIZERS}
    listed = ", ".join(sorted(usable))
    if wanted is not None:
        if wanted not in usable:
            raise OptionError(f"--signature {wanted}: {path} has no such signature, only {listed or 'none'}")
        return usable[wanted]
    if len(usable) == 1:
        return next(iter(usable.values()))
    usual = [usable[name] for name in _USUAL if name in usable]
    if usual:
        return usual[0]
    if not usable:
        raise SourceError(
            f"{path}: has no signature, which says what its inputs and outputs are; write it again with "
            "model.export('DIR'), or with tf.saved_model.save(module, 'DIR', signatures="
            "module.__call__.get_concrete_function(tf.TensorSpec((None, HEIGHT, WIDTH, 3), name='image')))"
        )
    choices = " or ".join(f"--signature {name}" for name in sorted(usable))
    raise SourceError(f"{path}: has several signatures: {listed}; choose one: pass {choices}")


def _signature_model(path: Path, owner: Any, signature: Any) -> OpenModel:
    tf = require_tensorflow()
    specs = dict(signature.structured_input_signature[1])
    for name, spec in specs.items():
        if spec.dtype == tf.string:
            raise SourceError(
                f"{path}: input '{name}' takes encoded images (strings), which the graph decodes; "
                "EdgeVision decodes "
                "images itself; export the network behind the decoding: model.export('DIR')"
            )
    texts = [name for name, value in signature.structured_outputs.items() if value.dtype == tf.string]
    if texts:
        raise SourceError(
            f"{path}: output '{texts[0]}' is text, which no artifact can return; export a signature that "
            "returns scores alone, and name the classes with --labels FILE"
        )
    shapes = {
        name: (tuple(spec.shape.as_list()) if spec.shape.rank is not None else (), spec.dtype)
        for name, spec in specs.items()
    }
    return OpenModel(
        # The signature does not keep alive the object that owns its variables.
        call=lambda tensors, _owner=owner: signature(**tensors),  # type: ignore[misc]
        inputs=shapes,
        output_names=(),
        weights=tuple((variable.name.split(":")[0], variable) for variable in signature.variables),
        layer_names=frozenset(),
        description="SavedModel directory",
        library="tensorflow",
        batch=_batch(shapes, path),
    )


def _batch(shapes: Mapping[str, tuple[tuple[int | None, ...], Any]], path: Path) -> int | None:
    """The only batch that a signature takes, if it is fixed."""
    for name, (shape, _) in shapes.items():
        if len(shape) == 3 and None not in shape and shape[2] in (1, 3, 4):
            raise SourceError(
                f"{path}: input '{name}' has shape ({', '.join(map(str, shape))}), an image without a "
                "batch; export a function of a batch: tf.TensorSpec((None, HEIGHT, WIDTH, CHANNELS))"
            )
    fixed = {shape[0] for shape, _ in shapes.values() if shape and shape[0] is not None}
    if len(fixed) > 1:
        raise SourceError(f"{path}: its inputs have different batches: {', '.join(map(str, sorted(fixed)))}")
    return next(iter(fixed), None)
