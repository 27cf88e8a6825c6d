"""Reads trained Keras models: ``.keras``, ``.h5`` of Keras 3 and Keras 2, SavedModel directories."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.converter import SourceOptions, StatedPreprocessing
from edgevision.errors import OptionError, SourceError, first_line
from edgevision.system.folders import entries_below
from edgevision.system.reading import MOST_MODEL_BYTES, read_file
from edgevision_keras.graph.equivalents import with_common_operations
from edgevision_keras.graph.fake_quantization import RangesNotSetError
from edgevision_keras.graph.trace import FixedBatchError, ModelInput, Trace, trace
from edgevision_keras.libraries import require, require_keras, require_tensorflow
from edgevision_keras.reading.answers import check_answers
from edgevision_keras.reading.archives import read_h5_attributes, read_keras_archive
from edgevision_keras.reading.facts import find_facts
from edgevision_keras.reading.inputs import model_inputs
from edgevision_keras.reading.keras_files import is_trained_for_int8, open_h5_file, open_keras_file
from edgevision_keras.reading.open_model import OpenModel
from edgevision_keras.reading.packages import import_packages
from edgevision_keras.reading.recognition import EXPECTED, H5, KERAS, SAVED_MODEL, explain, kind_of
from edgevision_keras.reading.resizing import TRIED_WH, Resizing, find_resizing
from edgevision_keras.reading.safety import check_operations
from edgevision_keras.reading.saved_models import check_files, open_saved_model
from edgevision_keras.source import KerasSource

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
    """The reader of the kind ``keras``; see `edgevision.converter.ConfigurableReader`."""

    name = "keras"

    def reads(self, path: Path) -> bool:
        """Return whether `path` is a ``.keras`` or ``.h5`` file of any name, or a SavedModel directory."""
        if not path.exists():
            return path.suffix.lower() in (".keras", ".h5", ".hdf5")
        return kind_of(path) is not None

    def check(self, path: Path) -> None:
        """Check the structure of a file or directory without TensorFlow; see `CheckingReader.check`.

        Raises:
            MissingRuntimeError: h5py is not installed.
            SourceError: it is damaged, or holds what is never read.
        """
        kind = kind_of(path)
        if kind == KERAS:
            read_keras_archive(path)
        elif kind == H5:
            read_h5_attributes(path)
        elif kind == SAVED_MODEL:
            check_files(path)

    def has_ranges(self, path: Path) -> bool:
        """Return whether a file has ranges from a training for int8; see `RangedReader.has_ranges`.

        Raises:
            MissingRuntimeError: h5py is not installed.
            SourceError: it is damaged.
        """
        return kind_of(path) == KERAS and is_trained_for_int8(read_keras_archive(path)[0])

    def trains(self, model: object) -> bool:
        """Return whether `model` is one of Keras; see `TrainingReader.trains`."""
        return any(each.__module__.partition(".")[0] in ("keras", "tf_keras") for each in type(model).__mro__)

    def quantization_aware(self, model: Any, *, symmetric: bool) -> Any:
        """The model with the rounding of an int8 artifact in it; see `TrainingReader.quantization_aware`.

        Raises:
            MissingRuntimeError: Keras is not installed.
            OptionError: as `edgevision_keras.training.rewriting.quantization_aware`.
        """
        require("keras")
        from edgevision_keras.training.rewriting import quantization_aware  # imports Keras

        return quantization_aware(model, symmetric=symmetric)

    def explain(self, path: Path) -> str:
        """Describe a file that `reads` returns False for, in one line with the next step."""
        return explain(path)

    def read(self, path: Path, *, trust_source: bool, input_size_wh: tuple[int, int] | None) -> KerasSource:
        """Read a trained model; see `edgevision.converter.SourceReader.read`.

        Raises:
            MissingRuntimeError, SourceError, UntrustedSourceError, OptionError: as `read_with_options`.
        """
        options = SourceOptions()
        return self.read_with_options(path, options, trust_source=trust_source, input_size_wh=input_size_wh)

    def read_with_options(
        self,
        path: Path,
        options: SourceOptions,
        *,
        trust_source: bool,
        input_size_wh: tuple[int, int] | None,
    ) -> KerasSource:
        """Read a trained model; see `edgevision.converter.ConfigurableReader.read_with_options`.

        Raises:
            MissingRuntimeError: TensorFlow, Keras or h5py is not installed.
            SourceError: `path` cannot be read, or the model cannot be converted.
            UntrustedSourceError: it contains code, and `trust_source` is false.
            OptionError: `input_size_wh` differs from the fixed input size of the model, a package in
                `options.imports` is not installed, or there is no signature `options.signature`.
        """
        model, versions = _open(path, trust_source, options)
        if input_size_wh is None and model.preprocessing is not None:
            input_size_wh = _open_size(model.inputs, model.preprocessing)
        resizing = None
        if input_size_wh is None:
            resizing = _own_resizing(model, path, trust_source)
            input_size_wh = None if resizing is None else resizing.size_wh
        inputs = model_inputs(model.inputs, input_size_wh, path)
        _check_weights(model, path)
        traced = _trace(model, inputs, path)
        if not trust_source:
            check_operations(traced.traced.graph.as_graph_def(), path)
        check_answers(traced, path)
        facts = replace(find_facts(traced, model.layer_names), preprocessing=model.preprocessing)
        if resizing is not None:
            facts = replace(facts, resize=resizing.resize, interpolation=resizing.interpolation)
        if len(inputs) == 1 and inputs[0].dtype.is_integer:
            reason = f"the source's input is {inputs[0].dtype.name}"
            facts = replace(facts, pixel_range=(0.0, 255.0), pixel_range_reason=reason)
        # The facts are read from the graph as it was written: a resizing is no longer one afterwards.
        traced = replace(traced, frozen=with_common_operations(traced.frozen))
        digest = _sha256(path)
        description = model.description
        if traced.trained_for_int8:
            description += ", trained for int8"
        if traced.rebuilt_from:
            description += f" ({', '.join(sorted(traced.rebuilt_from))}, computed in float32)"
        versions = _versions(model.library) | dict(versions)
        return KerasSource(path, description, digest, traced, facts, versions, model.layer_names)


def _open_size(inputs: Mapping[str, Any], preprocessing: StatedPreprocessing) -> tuple[int, int] | None:
    """The size that the model's own preprocessor resizes to, for an image input that takes any."""
    shapes = [shape for shape, _ in inputs.values()]
    return preprocessing.size_wh if len(shapes) == 1 and shapes[0][1:3] == (None, None) else None


def _own_resizing(model: OpenModel, path: Path, trust_source: bool) -> Resizing | None:
    """How the layers of a model that takes images of any size resize them; `None` if they do not."""
    shapes = [shape for shape, _ in model.inputs.values()]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1:3] != (None, None) or not shapes[0][3]:
        return None
    try:
        traced = _trace(model, model_inputs(model.inputs, TRIED_WH, path), path)
    except SourceError:  # it takes other sizes, of which the caller chooses one
        return None
    if not trust_source:
        check_operations(traced.traced.graph.as_graph_def(), path)
    return find_resizing(traced)


def _open(path: Path, trust_source: bool, options: SourceOptions) -> tuple[OpenModel, Mapping[str, str]]:
    """The model, and the versions of the packages that were imported for it."""
    if not path.exists():
        raise SourceError(f"{path}: no such file or directory; {EXPECTED}")
    kind = kind_of(path)
    if kind is None:
        raise SourceError(explain(path))
    if kind != SAVED_MODEL and options.signature is not None:
        raise OptionError(
            f"--signature {options.signature}: only SavedModels have signatures; remove the option"
        )
    if kind == SAVED_MODEL:
        if options.imports:
            raise OptionError(
                f"--import {options.imports[0]}: a SavedModel contains its layers as a graph; remove the "
                "option"
            )
        return open_saved_model(path, trust_source, options.signature), {}
    if options.imports:
        require_keras()
    versions = import_packages(options.imports)
    return (open_keras_file if kind == KERAS else open_h5_file)(path, trust_source, options.imports), versions


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
        return trace(model.call, inputs, model.output_names, model.batch)
    except FixedBatchError as error:
        raise SourceError(
            f"{path}: its signature takes a batch of {error.batch} only, and its graph cannot be changed "
            "to take any batch; export it with an open batch: "
            "tf.TensorSpec((None, HEIGHT, WIDTH, CHANNELS)), or with model.export('DIR')"
        ) from error
    except RangesNotSetError as error:
        raise SourceError(
            f"{path}: is made for training for int8, and no training has set the ranges of its activations "
            "yet; train it with fit for one epoch or more, save it, and convert it then"
        ) from error
    except Exception as error:
        batch = "an open batch" if model.batch is None else f"a batch of {model.batch}"
        shapes = " and ".join(f"(batch, {', '.join(map(str, each.model_shape))})" for each in inputs)
        raise SourceError(
            f"{path}: the model cannot be called on {shapes} with {batch}: {first_line(error)}"
        ) from error


def _sha256(path: Path) -> str:
    """The digest of a file, or of all files of a directory with their relative paths, in sorted order."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(_content(path))
        return digest.hexdigest()
    try:
        files = sorted((name, Path(entry.path)) for name, entry in entries_below(path) if entry.is_file())
    except OSError as error:
        raise SourceError(f"{path}: cannot be listed: {error.strerror or error}") from error
    for name, file in files:
        digest.update(name.encode() + b"\0")
        digest.update(hashlib.sha256(_content(file)).digest())
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    try:
        return read_file(path, MOST_MODEL_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error


def _versions(library: str) -> dict[str, str]:
    """The versions of the library that read the model, and of the installed libraries that convert it."""
    versions = {"tensorflow": str(require_tensorflow().__version__)}
    for name in (library, *_CONVERSION_LIBRARIES):
        try:
            versions.setdefault(name, version(name))
        except PackageNotFoundError:
            continue
    return dict(sorted(versions.items()))
