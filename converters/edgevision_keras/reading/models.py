"""Model files of each kind, opened without running code that they contain."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import SourceError, first_line
from edgevision_keras.libraries import require, require_keras, require_tensorflow, require_tf_keras
from edgevision_keras.reading.safety import check_config, check_saved_model

#: Classes that Keras 2 uses to rebuild a graph, and that are not among its public layers.
_GRAPH_CLASSES = frozenset(
    (
        *("Functional", "Model", "Sequential", "TFOpLambda", "SlicingOpLambda"),
        *("ClassMethod", "InstanceMethod", "InstanceProperty"),
    )
)


@dataclass(frozen=True)
class OpenModel:
    """A model of any kind, ready to be traced.

    Attributes:
        call: from name -> tensor to a dict of tensors, or to a nest of as many as `output_names`.
        inputs: name -> (shape with ``None`` for open sizes, TensorFlow's dtype).
        output_names: names of the outputs, where `call` does not return a dict.
        weights: (name, variable) pairs.
        layer_names: names of its layers; empty for a SavedModel.
        description: kind of file, for people.
        library: the library that reads it: ``keras``, ``tf_keras``, or ``tensorflow`` for a SavedModel.
    """

    call: Callable[[Mapping[str, Any]], Any]
    inputs: Mapping[str, tuple[tuple[int | None, ...], Any]]
    output_names: tuple[str, ...]
    weights: tuple[tuple[str, Any], ...]
    layer_names: frozenset[str]
    description: str
    library: str


def open_keras_file(path: Path, trust_source: bool) -> OpenModel:
    """Open a ``.keras`` file.

    Raises:
        SourceError, UntrustedSourceError, MissingRuntimeError: as `SourceReader.read`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            version = str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise _unreadable(path, "a .keras file as written by model.save('NAME.keras')", error) from error
    return _open_config(path, config, version, trust_source, ".keras file")


def open_h5_file(path: Path, trust_source: bool) -> OpenModel:
    """Open an ``.h5`` file of Keras 3 or Keras 2.

    Raises:
        SourceError, UntrustedSourceError, MissingRuntimeError: as `SourceReader.read`.
    """
    h5py = require("h5py")
    try:
        with h5py.File(path, "r") as file:
            attributes = {key: _text(file.attrs.get(key, "")) for key in ("model_config", "keras_version")}
    except (OSError, RuntimeError, KeyError) as error:
        raise _unreadable(path, "an HDF5 file as written by model.save('NAME.h5')", error) from error
    if not attributes["model_config"]:
        raise SourceError(
            f"{path}: contains only weights, expected a whole model; save it with model.save('NAME.keras')"
        )
    try:
        config = json.loads(attributes["model_config"])
    except ValueError as error:
        raise _unreadable(path, "a model configuration in JSON", error) from error
    return _open_config(path, config, attributes["keras_version"], trust_source, ".h5 file")


def open_saved_model(path: Path, trust_source: bool) -> OpenModel:
    """Open a SavedModel directory.

    Raises:
        SourceError, UntrustedSourceError, MissingRuntimeError: as `SourceReader.read`.
    """
    graph_file = path / "saved_model.pb"
    if not graph_file.is_file():
        raise SourceError(
            f"{path}: no saved_model.pb in this directory; expected a SavedModel as written by "
            "model.export('DIR')"
        )
    tf = require_tensorflow()
    message = require("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    try:
        message.ParseFromString(graph_file.read_bytes())
        (meta_graph,) = message.meta_graphs
    except (ValueError, OSError, require("google.protobuf.message").DecodeError) as error:
        raise _unreadable(graph_file, "a SavedModel with one graph", error) from error
    if not meta_graph.HasField("object_graph_def"):
        raise SourceError(
            f"{path}: SavedModels of TensorFlow 1 are not supported; export the model with TensorFlow 2: "
            "model.export('DIR')"
        )
    if not trust_source:
        check_saved_model(meta_graph, path)
    return _saved_model(path, _loaded(path, "TensorFlow", lambda: tf.saved_model.load(str(path))))


def _open_config(path: Path, config: Any, version: str, trust_source: bool, kind: str) -> OpenModel:
    """Rebuild a model with the generation of Keras that wrote it: Keras 3 misreads some layers of Keras 2."""
    if not trust_source:
        check_config(config, path)
    generation = 3 if version.startswith("3") else 2
    keras = require_keras() if generation == 3 else require_tf_keras()
    if not trust_source:
        _check_layers_known(config, keras, path)
    options = {} if path.suffix.lower() != ".keras" and generation == 2 else {"safe_mode": not trust_source}
    model = _loaded(
        path,
        f"Keras {version or 'of an unknown version'}",
        lambda: keras.models.load_model(path, compile=False, **options),
    )
    return _keras_model(path, model, f"Keras {generation} {kind}", keras.__name__)


def _check_layers_known(config: Any, keras: Any, path: Path) -> None:
    """Refuse layers that Keras does not know, before it imports modules that a file names."""
    for layer in _layers(config):
        name, module = str(layer.get("class_name")), layer.get("module")
        if str(module).split(".")[0] in ("keras", "tf_keras"):
            continue
        registered = keras.saving.get_registered_object(layer.get("registered_name") or name)
        public = module is None and (hasattr(keras.layers, name) or name in _GRAPH_CLASSES)
        if registered is None and not public:
            layer_name = layer.get("name") or layer.get("config", {}).get("name", "")
            raise SourceError(
                f"{path}: layer '{layer_name}' is of the custom class '{name}', which Keras does not know; "
                "where the class is defined, run model.export('DIR'), and convert that directory"
            )


def _layers(config: Any) -> Iterable[Mapping[str, Any]]:
    """The model itself, and its layers at any depth."""
    pending = [config]
    while pending:
        entry = pending.pop()
        if isinstance(entry, Mapping) and "class_name" in entry:
            yield entry
            inner = entry.get("config")
            if isinstance(inner, Mapping):
                pending.extend(inner.get("layers") or [])
                pending.append(inner.get("layer"))


def _keras_model(path: Path, model: Any, description: str, library: str) -> OpenModel:
    tf = require_tensorflow()
    if not getattr(model, "inputs", None):
        raise SourceError(
            f"{path}: cannot infer the inputs of the model; call it once on an image, run "
            "model.export('DIR'), and convert that directory"
        )
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    flattened = model._flatten_layers() if hasattr(model, "_flatten_layers") else model.layers
    return OpenModel(
        call=lambda tensors: model(_packed(model, list(tensors.values())), training=False),
        inputs={tensor.name: (tuple(tensor.shape), tf.as_dtype(tensor.dtype)) for tensor in model.inputs},
        output_names=tuple(f"{name}_{i}" if name in names[:i] else name for i, name in enumerate(names)),
        weights=tuple((getattr(weight, "path", weight.name), weight) for weight in model.weights),
        layer_names=frozenset(layer.name for layer in flattened),
        description=description,
        library=library,
    )


def _packed(model: Any, tensors: list[Any]) -> Any:
    """The inputs as the model expects them: one tensor, a list or a dict."""
    if len(tensors) == 1:
        return tensors[0]
    # The names of this attribute in Keras 3 and in Keras 2.
    nest = getattr(model, "_inputs_struct", None) or getattr(model, "_nested_inputs", None)
    return require_tensorflow().nest.pack_sequence_as(nest, tensors)


def _saved_model(path: Path, loaded: Any) -> OpenModel:
    signatures = dict(loaded.signatures)
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), "")
    if not name or (name != "serving_default" and len(signatures) > 1):
        raise SourceError(
            f"{path}: expected the signature 'serving_default', found "
            f"{', '.join(sorted(signatures)) or 'none'}; write the SavedModel with model.export('DIR')"
        )
    signature = signatures[name]
    inputs = dict(signature.structured_input_signature[1])
    shapes = {
        key: (tuple(spec.shape.as_list()) if spec.shape.rank is not None else (), spec.dtype)
        for key, spec in inputs.items()
    }
    return OpenModel(
        # The signature does not keep alive the object that owns its variables.
        call=lambda tensors, _owner=loaded: signature(**tensors),  # type: ignore[misc]
        inputs=shapes,
        output_names=(),
        weights=tuple((variable.name.split(":")[0], variable) for variable in signature.variables),
        layer_names=frozenset(),
        description="SavedModel directory",
        library="tensorflow",
    )


def _loaded(path: Path, reader: str, load: Callable[[], Any]) -> Any:
    # Keras and TensorFlow raise exceptions of any class for a damaged file.
    try:
        return load()
    except Exception as error:
        raise SourceError(
            f"{path}: {reader} cannot load the model: {first_line(_innermost(error))}"
        ) from error


def _innermost(error: BaseException) -> BaseException:
    """The first error: Keras wraps it once per layer, each time with the whole configuration."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _unreadable(path: Path, expected: str, error: Exception) -> SourceError:
    return SourceError(
        f"{path}: cannot be read: {first_line(error)}; expected {expected} (truncated or corrupted?); "
        "save or copy it again"
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
