"""The kind of a model file, recognised by its content, and what to do with files of other kinds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgevision.errors import SourceError
from edgevision.system.reading import open_file, read_file, read_start
from edgevision.system.strict_json import JsonError, read_json
from edgevision.system.strict_zip import ArchiveError, StrictZip

#: Kinds that are read.
KERAS, H5, SAVED_MODEL = "keras", "h5", "saved_model"
EXPECTED = "expected a .keras or .h5 file, or a SavedModel directory"

_SUFFIXES = {".keras": KERAS, ".h5": H5, ".hdf5": H5}
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: HDF5 allows blocks of other data before its own.
_HDF5_OFFSETS = (0, 512, 1024, 2048)
_ARCHITECTURE = frozenset({"Functional", "Model", "Sequential"})
_FROM_PYTORCH = (
    "a PyTorch model, which is not supported: EdgeVision converts Keras models; rebuild it in Keras, or "
    "convert it with PyTorch's own tools and run the .tflite or .onnx file: edgevision predict FILE IMAGE"
)
_RUNS_ALREADY = (
    "{} already, which cannot be converted again; run it as it is: edgevision predict {} IMAGE; or "
    "convert the Keras model that it was made from"
)
_LARGEST_JSON_BYTES = 64 << 20


def kind_of(path: Path) -> str | None:
    """The kind of a model: `KERAS`, `H5` or `SAVED_MODEL`; `None` if it is of none.

    The content decides, and the name where there is no content of any kind, such as in a truncated file.

    Args:
        path: an existing file or directory.
    """
    if path.is_dir():
        return SAVED_MODEL if any((path / name).is_file() for name in _GRAPHS) else None
    if _is_hdf5(path):
        return H5
    if _start(path)[:2] == b"PK":
        members = _members(path)
        if members is None:
            return _SUFFIXES.get(path.suffix.lower())
        return KERAS if "config.json" in members or path.suffix.lower() == ".keras" else None
    is_foreign = path.stat().st_size > 0 and foreign_content(path) is not None
    return None if is_foreign else _SUFFIXES.get(path.suffix.lower())


def explain(path: Path) -> str:
    """Describe a path of no kind, with the next step.

    Args:
        path: a file or directory for which `kind_of` returns `None`.
    """
    found = _directory(path) if path.is_dir() else foreign_content(path) or _by_name(path)
    return f"{path}: is {found}" if found else f"{path}: {EXPECTED}"


def architecture_beside(weights: Path) -> Path | None:
    """The JSON file with the architecture of a Keras model in the folder of its weights, if there is one."""
    candidates = sorted(weights.parent.glob("*.json"))
    return next((each for each in candidates if _is_architecture(_json(each))), None)


def rebuilding(weights: str, architecture: str | None) -> str:
    """The command that makes a whole model of weights alone.

    Args:
        weights: name of the file with the weights.
        architecture: name of the JSON file with the architecture; `None` if there is none.
    """
    if architecture is None:
        return (
            "build the model in Python as for its training, then model.load_weights("
            f"{weights!r}); model.save('NAME.keras'), and convert NAME.keras"
        )
    return (
        f'run: python -c "import keras; model = keras.models.model_from_json(open({architecture!r}).read()); '
        f"model.load_weights({weights!r}); model.save('NAME.keras')\", and convert NAME.keras"
    )


def foreign_content(path: Path) -> str | None:
    """Describe a file of another kind by its content, with the next step; `None` if that tells nothing."""
    start = _start(path)
    if not start:
        return "empty; copy it again"
    if start[4:8] == b"TFL3":
        return _RUNS_ALREADY.format("a TFLite model", path.name)
    if start[:2] == b"PK":
        return _archive(path)
    if start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        pytorch = path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt")
        return (
            _FROM_PYTORCH if pytorch else "a Python pickle, which can run any code and is not read; " + _SAVE
        )
    if start[:1] in (b"{", b"["):
        return _json_file(path)
    if start[:19] == b"version https://git":
        return "a pointer of Git LFS and not the file itself; run: git lfs pull"
    if start[:5].lower() in (b"<!doc", b"<html"):
        return "a web page, not a model; download the file itself"
    return None


_SAVE = "save the model with model.save('NAME.keras')"


def _by_name(path: Path) -> str | None:
    name, suffix = path.name.lower(), path.suffix.lower()
    if name in _GRAPHS:
        return f"one file of a SavedModel; pass its directory: {path.parent}"
    if suffix in (".pb", ".pbtxt"):
        return (
            "a frozen graph of TensorFlow 1, which is not supported; wrap its inputs and outputs with "
            "tf.compat.v1.wrap_function and write it with tf.saved_model.save(module, 'DIR')"
        )
    if suffix in (".index", ".ckpt", ".meta") or name == "checkpoint" or ".data-0000" in name:
        prefix = name.partition(".index")[0].partition(".data-0000")[0].partition(".meta")[0]
        return "a checkpoint, which holds weights alone; " + rebuilding(prefix, None)
    if suffix == ".onnx":
        return _RUNS_ALREADY.format("an ONNX model", path.name)
    if suffix in (".pt", ".pth", ".torchscript", ".safetensors"):
        return _FROM_PYTORCH
    if suffix == ".mlmodel":
        return "a Core ML model, which is not supported; convert the Keras model that it was made from"
    if suffix in (".xml", ".bin"):
        return _RUNS_ALREADY.format("an OpenVINO model", path.with_suffix(".xml").name)
    if suffix in (".yaml", ".yml"):
        return "the architecture of a model alone, without weights; " + _SAVE
    if suffix in (".npz", ".npy"):
        return "an array file, not a model; " + rebuilding(path.name, None)
    return None


def _directory(path: Path) -> str | None:
    inner = sorted(graph.parent for name in _GRAPHS for graph in path.glob(f"*/{name}"))
    if inner:
        choices = " or ".join(str(each) for each in inner[:5])
        return f"a directory with {len(inner)} SavedModel{'s' * (len(inner) > 1)} in it; pass {choices}"
    names = {each.name for each in path.iterdir()}
    if {"config.json", "metadata.json"} <= names:
        return f"an unpacked .keras file; pack it again: (cd {path} && zip -0r ../{path.name}.keras .)"
    if "checkpoint" in names or any(name.endswith(".index") for name in names):
        return "a directory of checkpoints, which hold weights alone; " + rebuilding("CHECKPOINT", None)
    if "model.json" in names:
        return _json_file(path / "model.json")
    if path.suffix == ".mlpackage":
        return "a Core ML model, which is not supported; convert the Keras model that it was made from"
    files = sorted(each for each in path.iterdir() if each.is_file() and kind_of(each) is not None)
    if files:
        return f"a directory and not a model; pass the file: {' or '.join(map(str, files[:5]))}"
    return (
        "a directory without saved_model.pb; expected a SavedModel as written by model.export('DIR')"
        if names
        else "an empty directory; expected a SavedModel as written by model.export('DIR')"
    )


def _archive(path: Path) -> str | None:
    members = _members(path)
    if members is None:
        return "a zip archive that cannot be opened (truncated?); copy it again"
    if any(name.endswith(_GRAPHS) for name in members):
        return f"a zip archive with a SavedModel in it; unpack it and pass the directory: unzip {path.name}"
    if any(name.endswith("data.pkl") for name in members):
        return _FROM_PYTORCH
    inner = [name for name in members if name.lower().endswith(tuple(_SUFFIXES))]
    if inner:
        return f"a zip archive; unpack it and pass {inner[0]}: unzip {path.name}"
    if path.suffix.lower() == ".evb":
        return f"a bundle of EdgeVision already; run it: edgevision predict {path.name} IMAGE"
    return "a zip archive without config.json, and so no .keras file; " + _SAVE


def _json_file(path: Path) -> str | None:
    content = _json(path)
    if isinstance(content, dict) and ("modelTopology" in content or "weightsManifest" in content):
        return "a model of TensorFlow.js; convert the Keras model that it was made from"
    if _is_architecture(content):
        weights = _weights_beside(path)
        return "the architecture of a Keras model alone, without weights; " + rebuilding(
            weights or "NAME.weights.h5", path.name
        )
    return None


def _weights_beside(architecture: Path) -> str | None:
    files: Iterable[Path] = sorted(architecture.parent.iterdir())
    return next((each.name for each in files if each.is_file() and _is_hdf5(each)), None)


def _is_architecture(content: Any) -> bool:
    return isinstance(content, dict) and content.get("class_name") in _ARCHITECTURE and "config" in content


def _json(path: Path) -> Any:
    try:
        return read_json(read_file(path, _LARGEST_JSON_BYTES), finite=False)
    except (OSError, JsonError):
        return None


def _is_hdf5(path: Path) -> bool:
    start = _start(path)
    return any(start[offset : offset + len(_HDF5)] == _HDF5 for offset in _HDF5_OFFSETS)


def _start(path: Path) -> bytes:
    try:
        return read_start(path, _HDF5_OFFSETS[-1] + len(_HDF5))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error


def _members(path: Path) -> list[str] | None:
    try:
        with open_file(path) as file:
            return list(StrictZip(file).sizes)
    except (ArchiveError, OSError):
        return None
