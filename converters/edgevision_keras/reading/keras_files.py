"""``.keras`` and ``.h5`` files of Keras 3 and Keras 2, opened without running code that they contain."""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevision.errors import SourceError
from edgevision.system.strict_json import JsonError, read_json
from edgevision_keras.graph.trace import identifier
from edgevision_keras.libraries import require_keras, require_tensorflow, require_tf_keras
from edgevision_keras.reading.archives import read_h5_attributes, read_keras_archive, unreadable
from edgevision_keras.reading.open_model import OpenModel, loaded
from edgevision_keras.reading.packages import is_installed, package_of
from edgevision_keras.reading.preprocessor import stated_preprocessing
from edgevision_keras.reading.recognition import architecture_beside, rebuilding
from edgevision_keras.reading.safety import check_config, entries, layer_name

#: Classes that Keras 2 uses to rebuild a graph, and that are not among its public layers.
_GRAPH_CLASSES = frozenset(
    (
        *("Functional", "Model", "Sequential", "TFOpLambda", "SlicingOpLambda"),
        *("ClassMethod", "InstanceMethod", "InstanceProperty"),
    )
)
_KERAS_PACKAGES = ("keras", "tf_keras", "builtins")
#: Where Keras 3 looks for a function that a file names: an activation, say.
_FUNCTION_MODULES = (
    *("activations", "constraints", "initializers", "losses", "metrics", "optimizers", "regularizers"),
)
_KERAS_2, _KERAS_3 = 2, 3
_SCOPE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_EXPORT = "run model.export('DIR'), and convert that directory"
_OTHER_LIBRARIES = {
    "TorchModuleWrapper": ("PyTorch", "rebuild that part of the model with layers of Keras"),
    "JaxLayer": ("JAX", f"where JAX is installed, {_EXPORT}"),
    "FlaxLayer": ("JAX", f"where JAX is installed, {_EXPORT}"),
}
#: The package that the layers of `edgevision_keras.training` are registered in.
_OWN_PACKAGE = "edgevision>"
#: Longer sequences stay loops: unrolled, their graphs take minutes to convert.
_MOST_STEPS = 128


def open_keras_file(path: Path, trust_source: bool, imports: Sequence[str]) -> OpenModel:
    """Open a ``.keras`` file.

    Args:
        path: the file, of any name.
        trust_source: run code that it contains.
        imports: packages, already imported, whose classes it may use.

    Raises:
        SourceError, UntrustedSourceError, MissingRuntimeError: as `SourceReader.read`.
    """
    config, version = read_keras_archive(path)
    return _open_config(path, config, version, trust_source, imports, ".keras")


def is_trained_for_int8(config: Any) -> bool:
    """True for the configuration of a model that was made by `edgevision.quantization_aware`."""
    return any(str(entry.get("registered_name")).startswith(_OWN_PACKAGE) for entry in entries(config))


def open_h5_file(path: Path, trust_source: bool, imports: Sequence[str]) -> OpenModel:
    """Open an ``.h5`` file of Keras 3 or Keras 2; see `open_keras_file`."""
    text, version = read_h5_attributes(path)
    if not text:
        beside = architecture_beside(path)
        raise SourceError(
            f"{path}: contains only weights, expected a whole model; "
            + rebuilding(path.name, None if beside is None else beside.name)
        )
    try:
        config = read_json(text, finite=False)
    except JsonError as error:
        raise unreadable(path, "a model configuration in JSON", error) from error
    return _open_config(path, config, version, trust_source, imports, ".h5")


def _open_config(
    path: Path, config: Any, version: str, trust_source: bool, imports: Sequence[str], suffix: str
) -> OpenModel:
    """Rebuild a model with the generation of Keras that wrote it: Keras 3 misreads some layers of Keras 2."""
    _check_runs_in_tensorflow(config, path)
    generation = _KERAS_3 if version.startswith("3") else _KERAS_2
    keras = require_keras() if generation == _KERAS_3 else require_tf_keras()
    # Before the code of a Lambda is refused: one that only names its function has none to trust.
    _check_functions_known(config, keras, path)
    if not trust_source:
        check_config(config, path)
    if generation == _KERAS_3 and is_trained_for_int8(config):
        importlib.import_module("edgevision_keras.training")  # registers its layers
    classes = _imported_classes(config, keras, imports)
    if not trust_source:
        _check_classes_known(config, keras, classes, path)
    options = {} if suffix == ".h5" and generation == _KERAS_2 else {"safe_mode": not trust_source}
    with _named(path, suffix) as file:
        model = loaded(
            path,
            f"Keras {version or 'of an unknown version'}",
            lambda: keras.models.load_model(file, custom_objects=classes, compile=False, **options),
            next_step=f"in the program that trained it, {_EXPORT}",
        )
    opened = _keras_model(path, model, f"Keras {generation} {suffix} file", keras.__name__)
    modes = _without_rounded_activations(model)
    description = (
        f"{opened.description} (weights {', '.join(modes)} by Keras)" if modes else opened.description
    )
    return replace(opened, description=description, preprocessing=stated_preprocessing(config))


@contextmanager
def _named(path: Path, suffix: str) -> Iterator[Path]:
    """The file under a name by which Keras recognises its kind."""
    known = (".h5", ".hdf5") if suffix == ".h5" else (suffix,)
    if path.suffix in known:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        link = Path(folder, f"model{suffix}")
        link.symlink_to(path.resolve())
        yield link


def _without_rounded_activations(model: Any) -> list[str]:
    """Let the layers that Keras has quantized (`model.quantize`) compute with activations in float.

    Keras rounds their inputs by the largest value of each image, with operations that no runtime computes
    as fast as those in float. Their weights are those that Keras has rounded.

    Returns:
        How Keras has quantized them, such as ``int8``, sorted.
    """
    modes = set()
    for layer in _flattened(model):
        mode = getattr(layer, "quantization_mode", None)
        if mode is None:
            continue
        modes.add(str(mode))
        if mode == "float8":  # whose weights are in float, and are rounded in each call
            layer.dtype_policy = layer.dtype_policy.variable_dtype
        else:
            layer.inputs_quantizer = None
    return sorted(modes)


def _check_runs_in_tensorflow(config: Any, path: Path) -> None:
    """Refuse layers that hold a model of another library, which no trust can run in TensorFlow."""
    for entry in entries(config):
        kind = str(entry["class_name"]).rpartition(">")[2]
        if kind in _OTHER_LIBRARIES:
            library, step = _OTHER_LIBRARIES[kind]
            raise SourceError(f"{path}: layer of class '{kind}' runs in {library} only; {step}")


def _imported_classes(config: Any, keras: Any, imports: Sequence[str]) -> dict[str, Any]:
    """Class name -> class, for those of imported packages that are not registered with Keras."""
    found: dict[str, Any] = {}
    for entry in entries(config):
        name = str(entry["class_name"])
        if _is_registered(entry, keras) or hasattr(keras.layers, name):
            continue
        for module in _modules_of(entry, imports):
            defined = getattr(module, name, None)
            if isinstance(defined, type) and issubclass(defined, keras.layers.Layer):
                found[name] = found[str(entry.get("registered_name") or name)] = defined
    return found


def _modules_of(entry: Mapping[str, Any], imports: Sequence[str]) -> Iterator[Any]:
    """The module that an entry names, if it is of an imported package; all of these, if it names none."""
    stated = entry.get("module")
    if stated is None:
        yield from (importlib.import_module(name) for name in imports)
    elif str(stated).partition(".")[0] in {name.partition(".")[0] for name in imports}:
        # Another version of the package may have no such module.
        with suppress(ImportError):
            yield importlib.import_module(str(stated))


def _check_classes_known(config: Any, keras: Any, classes: Mapping[str, Any], path: Path) -> None:
    """Refuse classes that Keras does not know, before it imports modules that a file names."""
    described = _without_compilation(config)
    layers = {id(layer) for layer in _layers(described)}
    for entry in entries(described):
        name, module = str(entry["class_name"]), entry.get("module")
        # Keras 3 names no module for an initializer, say, that a program defines itself.
        if module is None and id(entry) not in layers and not entry.get("registered_name"):
            continue
        if (
            str(module).partition(".")[0] in _KERAS_PACKAGES
            or name in classes
            or _is_registered(entry, keras)
        ):
            continue
        is_layer = id(entry) in layers
        if module is not None or not (is_layer and (hasattr(keras.layers, name) or name in _GRAPH_CLASSES)):
            raise SourceError(f"{path}: {_unknown(entry, is_layer)}")


def _check_functions_known(config: Any, keras: Any, path: Path) -> None:
    """Refuse functions that a file of Keras 3 only names, and that Keras does not know."""
    for layer in reversed(list(_layers(_without_compilation(config)))):
        for entry in entries(layer):
            name = entry.get("config")
            is_named = entry["class_name"] == "function" and entry.get("module") == "builtins"
            if is_named and isinstance(name, str) and not _knows_function(keras, name):
                raise SourceError(f"{path}: layer '{layer_name(layer)}' uses {_unknown_function(name)}")


def _knows_function(keras: Any, name: str) -> bool:
    modules = (getattr(keras, module, None) for module in _FUNCTION_MODULES)
    if (
        any(hasattr(module, name) for module in modules)
        or keras.saving.get_registered_object(name) is not None
    ):
        return True
    # Keras 3.6 and older left out the package.
    return any(known.endswith(f">{name}") for known in keras.saving.get_custom_objects())


def _unknown_function(name: str) -> str:
    own_name = name.rpartition(">")[2]
    unknown = f"the function '{own_name}', which Keras does not know and the file does not contain"
    export = (
        "where it is defined, load the model with keras.models.load_model(FILE, "
        f"custom_objects={{'{name}': {own_name}}}), {_EXPORT}"
    )
    package = package_of(None, name)
    return f"{unknown}; {export if package is None else _of_package(package, export)}"


def _without_compilation(config: Any) -> dict[str, Any]:
    """A configuration without losses and metrics, which are not read."""
    described = dict(config) if isinstance(config, Mapping) else {}
    described.pop("compile_config", None)
    return described


def _is_registered(entry: Mapping[str, Any], keras: Any) -> bool:
    name = entry.get("registered_name") or entry["class_name"]
    return keras.saving.get_registered_object(name) is not None


def _unknown(entry: Mapping[str, Any], is_layer: bool) -> str:
    inner = entry.get("config")
    own_name = entry.get("name") or (inner.get("name", "") if isinstance(inner, Mapping) else "")
    what = f"layer '{own_name}' is" if is_layer else f"object '{own_name or entry['class_name']}' is"
    package = package_of(entry.get("module"), entry.get("registered_name") or entry["class_name"])
    name = str(entry["class_name"]).rpartition(">")[2]
    unknown = f"{what} of the custom class '{name}', which Keras does not know"
    export = f"where the class is defined, {_EXPORT}"
    if package is None:
        return (
            f"{unknown}; pass --import PACKAGE if an installed package defines it; where your process has "
            f"registered it with Keras, convert there with source_limits=None; else, {export}"
        )
    return f"{unknown}; {_of_package(package, export)}"


def _of_package(package: str, export: str) -> str:
    """The next step for what a package defines."""
    if is_installed(package):
        return (
            f"the package {package} defines it: if you trust that package, pass --import {package} "
            f"(imports=['{package}'])"
        )
    return (
        f"the module {package} defines it, which is not an installed package here: install it and pass "
        f"--import {package}, or, {export}"
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
    flattened = _flattened(model)
    for layer in flattened:
        _unroll(layer)
    if library == "keras":
        _name_scopes(flattened)

    def call(tensors: Mapping[str, Any]) -> Any:
        return _with_declared_shapes(model(_packed(model, list(tensors.values())), training=False), model)

    return OpenModel(
        call=call,
        inputs={tensor.name: (tuple(tensor.shape), tf.as_dtype(tensor.dtype)) for tensor in model.inputs},
        output_names=tuple(f"{name}_{i}" if name in names[:i] else name for i, name in enumerate(names)),
        weights=tuple((getattr(weight, "path", weight.name), weight) for weight in model.weights),
        layer_names=frozenset(layer.name for layer in flattened),
        description=description,
        library=library,
    )


def _flattened(model: Any) -> Sequence[Any]:
    """The model itself and its layers at any depth."""
    return list(model._flatten_layers()) if hasattr(model, "_flatten_layers") else model.layers


def _unroll(layer: Any) -> None:
    """Write the steps of a recurrent layer one after the other.

    TFLite has no loops over lists of tensors with an open batch, and no runtime quantizes inside of a loop.
    """
    directions = [
        getattr(layer, name) for name in ("forward_layer", "backward_layer") if hasattr(layer, name)
    ]
    recurrent = directions or [layer] * hasattr(layer, "unroll")
    read = getattr(layer, "input", None) if recurrent else None
    # Of a masked layer, the sequence and the mask.
    first = read[0] if isinstance(read, (list, tuple)) and read else read
    sizes: Sequence[int | None] = getattr(first, "shape", ())
    if len(sizes) >= 2 and sizes[1] is not None and sizes[1] <= _MOST_STEPS:
        for each in recurrent:
            each.unroll = True
            # LSTM and GRU of Keras 2 otherwise choose between two loops when they run.
            if hasattr(each, "_could_use_gpu_kernel"):
                each._could_use_gpu_kernel = False


def _name_scopes(layers: Sequence[Any]) -> None:
    """Give layers of Keras 3 names that TensorFlow takes for scopes: with PyTorch or JAX, Keras takes any."""
    taken = {layer.name for layer in layers}
    for layer in layers:
        if not _SCOPE_NAME.fullmatch(layer.name):
            name = unused = identifier(layer.name, "layer")
            number = 0
            while unused in taken:
                number += 1
                unused = f"{name}_{number}"
            taken.add(unused)
            layer.name = unused


def _packed(model: Any, tensors: list[Any]) -> Any:
    """The inputs as the model expects them: one tensor, a list or a dict."""
    if len(tensors) == 1:
        return tensors[0]
    # The names of this attribute in Keras 3 and in Keras 2.
    nest = getattr(model, "_inputs_struct", None) or getattr(model, "_nested_inputs", None)
    return require_tensorflow().nest.pack_sequence_as(nest, tensors)


def _with_declared_shapes(results: Any, model: Any) -> Any:
    """The outputs, with the sizes that Keras declares and that TensorFlow cannot infer."""
    tf = require_tensorflow()
    flat = tf.nest.flatten(results)
    declared = [tuple(tensor.shape) for tensor in getattr(model, "outputs", None) or ()]
    if len(declared) != len(flat):
        return results
    restored = [
        tf.reshape(value, (-1, *shape[1:]))
        if not value.shape[1:].is_fully_defined() and shape and None not in shape[1:]
        else value
        for value, shape in zip(flat, declared, strict=True)
    ]
    return tf.nest.pack_sequence_as(results, restored)
