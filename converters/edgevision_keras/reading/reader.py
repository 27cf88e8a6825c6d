"""Reads trained Keras models: ``.keras``, ``.h5`` of Keras 3 and Keras 2, SavedModel directories."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.errors import OptionError, SourceError, first_line
from edgevision_keras.graph.trace import ModelInput, Trace, trace
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.reading.facts import find_facts
from edgevision_keras.reading.models import OpenModel, open_h5_file, open_keras_file, open_saved_model
from edgevision_keras.reading.safety import check_operations
from edgevision_keras.source import KerasSource

_FILES = {".keras": open_keras_file, ".h5": open_h5_file, ".hdf5": open_h5_file}
_CONVERSION_LIBRARIES = (
    "h5py",
    "nncf",
    "numpy",
    "onnx",
    "onnxconverter-common",
    "onnxruntime",
    "openvino",
    "tf2onnx",
)


class KerasReader:
    """The reader of the kind ``keras``; see `edgevision.converter.SourceReader`."""

    name = "keras"

    def reads(self, path: Path) -> bool:
        """Return whether `path` ends in ``.keras`` or ``.h5``, or may be a SavedModel directory."""
        return path.suffix.lower() in _FILES or path.suffix == "" or path.is_dir()

    def read(self, path: Path, *, trust_source: bool, input_size_wh: tuple[int, int] | None) -> KerasSource:
        """Read a trained model; see `edgevision.converter.SourceReader.read`.

        Raises:
            MissingRuntimeError: TensorFlow, Keras or h5py is not installed.
            SourceError: `path` cannot be read, or the model cannot be converted.
            UntrustedSourceError: it contains code, and `trust_source` is false.
            OptionError: `input_size_wh` differs from the fixed input size of the model.
        """
        model = _open(path, trust_source)
        inputs = [
            ModelInput(name, _fixed_shape(name, shape, input_size_wh, path), _numeric(name, dtype, path))
            for name, (shape, dtype) in model.inputs.items()
        ]
        _check_weights(model, path)
        traced = _trace(model, inputs, path)
        if not trust_source:
            check_operations(traced.frozen.graph.as_graph_def(), path)
        facts = find_facts(traced, model.layer_names)
        if len(inputs) == 1 and inputs[0].dtype.is_integer:
            reason = f"the source's input is {inputs[0].dtype.name}"
            facts = replace(facts, pixel_range=(0.0, 255.0), pixel_range_reason=reason)
        digest = _sha256(path)
        versions = _versions(model.library)
        return KerasSource(path, model.description, digest, traced, facts, versions, model.layer_names)


def _open(path: Path, trust_source: bool) -> OpenModel:
    if not path.exists():
        raise SourceError(
            f"{path}: no such file or directory; expected a .keras or .h5 file, or a SavedModel directory"
        )
    if path.is_dir():
        return open_saved_model(path, trust_source)
    if path.suffix.lower() not in _FILES:
        raise SourceError(f"{path}: expected a .keras file, an .h5 file or a SavedModel directory")
    return _FILES[path.suffix.lower()](path, trust_source)


def _numeric(name: str, dtype: Any, path: Path) -> Any:
    if not (dtype.is_floating or dtype.is_integer):
        raise SourceError(f"{path}: input '{name}' has type {dtype.name}; expected a float or integer type")
    return dtype


def _fixed_shape(
    name: str, shape: tuple[int | None, ...], input_size_wh: tuple[int, int] | None, path: Path
) -> tuple[int, ...]:
    """The shape of one example; only images may leave sizes open."""
    if len(shape) == 4:
        return _image_shape(name, shape, input_size_wh, path)
    if not shape or None in shape[1:]:
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise SourceError(
            f"{path}: input '{name}' has shape ({sizes}); expected a batch and fixed sizes after it"
        )
    return tuple(size for size in shape[1:] if size is not None)


def _image_shape(
    name: str, shape: tuple[int | None, ...], input_size_wh: tuple[int, int] | None, path: Path
) -> tuple[int, int, int]:
    """(height, width, channels), with open sizes taken from `input_size_wh`."""
    _, height, width, channels = shape
    if channels is None:
        raise SourceError(f"{path}: input '{name}' has no fixed number of channels; save the model with one")
    if input_size_wh is None:
        if height is None or width is None:
            raise SourceError(
                f"{path}: input '{name}' accepts images of any size; choose one: pass --input-size WxH "
                "(input_size_wh=(width, height))"
            )
        return height, width, channels
    wanted_width, wanted_height = input_size_wh
    if height not in (None, wanted_height) or width not in (None, wanted_width):
        raise OptionError(
            f"--input-size {wanted_width}x{wanted_height}: the input of {path} has the fixed size "
            f"{width}x{height}; remove the option"
        )
    return wanted_height, wanted_width, channels


def _check_weights(model: OpenModel, path: Path) -> None:
    for name, weight in model.weights:
        values = np.asarray(weight)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise SourceError(
                f"{path}: weight '{name}' contains NaN or infinity; expected finite numbers "
                "(did the training diverge, or is the file corrupted?)"
            )


def _trace(model: OpenModel, inputs: Sequence[ModelInput], path: Path) -> Trace:
    # Layers raise exceptions of any class when they are called on a shape that they do not support.
    try:
        return trace(model.call, inputs, model.output_names)
    except Exception as error:
        shapes = " and ".join(f"(batch, {', '.join(map(str, each.shape))})" for each in inputs)
        raise SourceError(
            f"{path}: the model cannot be called on {shapes} with an open batch: {first_line(error)}"
        ) from error


def _sha256(path: Path) -> str:
    """The digest of a file, or of all files of a directory with their relative paths, in sorted order."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
        return digest.hexdigest()
    for file in sorted(path.rglob("*"), key=lambda file: file.relative_to(path).as_posix()):
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _versions(library: str) -> Mapping[str, str]:
    """The versions of the library that read the model, and of the installed libraries that convert it."""
    versions = {"tensorflow": str(require_tensorflow().__version__)}
    for name in (library, *_CONVERSION_LIBRARIES):
        try:
            versions.setdefault(name, version(name))
        except PackageNotFoundError:
            continue
    return dict(sorted(versions.items()))
