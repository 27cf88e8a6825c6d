"""The interface of a converter: from a source to an artifact.

A plugin provides a `SourceReader` for each kind of trained model, and a `Converter` for each format
that this kind can be converted to. Readers and converters import TensorFlow and similar libraries only
when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from edgevision.artifact import Artifact
from edgevision.system.arguments import names
from edgevision.tensors import Array, TensorSpec

#: Calibration data: for each image, input name -> float32 array with a batch of one, as for `Source.run`.
#: Can be iterated more than once.
CalibrationData = Iterable[Mapping[str, Array]]

#: Share of the calibration images, and the most of them, on which ways to quantize are compared.
_HELD_OUT_SHARE, _MOST_HELD_OUT = 0.2, 32


def split_calibration(count: int) -> tuple[list[int], list[int]]:
    """Positions of the calibration images that ranges are set on, and of those that ways are compared on.

    Args:
        count: number of images, 1 or more.

    Returns:
        (fitting, held out): disjoint, evenly spread, in order. With fewer than 10 images, both are all.
    """
    held_out_count = min(int(count * _HELD_OUT_SHARE), _MOST_HELD_OUT)
    if held_out_count < 2:
        return list(range(count)), list(range(count))
    step = count / held_out_count
    held_out = [int((index + 0.5) * step) for index in range(held_out_count)]
    return sorted(set(range(count)).difference(held_out)), held_out


@dataclass(frozen=True)
class StatedPreprocessing:
    """Preprocessing of images that a model's file describes beside its layers.

    Attributes:
        reason: where it stands, in words.
        value_range, mean, scale: from a pixel to the source's input, as in `edgevision.Preprocessing`.
        size_wh: width and height that images are resized to; `None` if it does not resize.
        resize, interpolation: how, in the words of `edgevision.Preprocessing`, or in the model's own for a
            way that has none there; `None` if it does not resize.
    """

    reason: str
    value_range: tuple[float, float]
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    size_wh: tuple[int, int] | None = None
    resize: str | None = None
    interpolation: str | None = None


@dataclass(frozen=True)
class SourceFacts:
    """Facts inferred from a source besides its tensors; `None` where nothing could be inferred.

    Attributes:
        pixel_range: (low, high): the values of black and white at the source's input, inferred
            from one of its layers.
        pixel_range_reason: that layer, in words.
        score_kind: kind of the scores of the first output: ``softmax``, ``sigmoid``, or ``logits``.
        score_kinds: output name -> kind of its scores, for outputs with one value per class, and for maps
            ``(batch, height, width, classes)`` with one per class and pixel: as `score_kind`, or ``linear``
            for the output of a linear layer, which may be logits or the values of a regression. An output
            that is missing here holds something else, or could not be inferred.
        color: channel order of the source's input, ``rgb`` or ``bgr``, where it subtracts means that are
            known for one of them.
        resize, interpolation: how its own layers resized images to the size of its input, which they left
            open; as in `StatedPreprocessing`.
        preprocessing: what the model's file describes beside its layers. It applies before `pixel_range`.
    """

    pixel_range: tuple[float, float] | None = None
    pixel_range_reason: str = ""
    score_kind: str | None = None
    score_kinds: Mapping[str, str] = field(default_factory=dict)
    color: str | None = None
    resize: str | None = None
    interpolation: str | None = None
    preprocessing: StatedPreprocessing | None = None


class Source(Protocol):
    """A trained model that was read.

    Attributes:
        kind: kind of model, such as ``keras``; converters of the same kind accept it.
        path: the file or directory that it was read from.
        description: kind and format in words, such as ``Keras 3 .keras file``.
        sha256: digest of the file, or of all files of a directory in sorted order.
        inputs, outputs: float32 tensors with an open batch.
        facts: facts inferred from it.
        versions: library -> version, of the libraries that read and convert it.
    """

    @property
    def kind(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def description(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def facts(self) -> SourceFacts: ...
    @property
    def versions(self) -> Mapping[str, str]: ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run inference on the source: the reference that every artifact is compared with.

        Args:
            inputs: name -> float32 array, of any batch size.

        Returns:
            name -> float32 array, owned by the caller.
        """
        ...


@dataclass(frozen=True)
class Activations:
    """Statistics of the output of one layer of a source.

    Attributes:
        layer: the layer's name.
        low, high: smallest and largest value.
        outside: number of values outside the limits.
        values: number of values.
    """

    layer: str
    low: float
    high: float
    outside: int
    values: int


@runtime_checkable
class ActivationSource(Protocol):
    """A source that reports its activations. Optional: without them, the evidence lacks their coverage."""

    def activations(
        self, inputs: Mapping[str, Array], limits: Sequence[tuple[float, float]] = ()
    ) -> tuple[Activations, ...]:
        """Run the source and collect statistics of every tensor that an int8 artifact would quantize.

        Args:
            inputs: as for `Source.run`.
            limits: (low, high) per layer, in the order of the result; empty for no limits.

        Returns:
            One entry per layer, always in the same order.
        """
        ...


@runtime_checkable
class RangedSource(Protocol):
    """A source that may have been trained for int8. Optional: without it, int8 needs a calibration set."""

    @property
    def has_ranges(self) -> bool:
        """True if it was: its int8 artifacts have the ranges and the rounded weights of the training."""
        ...


@dataclass(frozen=True)
class TrainingResize:
    """The size of a source's input, and how images are resized to it.

    Attributes:
        size_wh: width and height, in pixels.
        resize, interpolation: in the words of `edgevision.Preprocessing`.
        channels: 3 for RGB, 1 for grey.
    """

    size_wh: tuple[int, int]
    resize: str
    interpolation: str
    channels: int


@runtime_checkable
class TrainingInputSource(Protocol):
    """A source that reads image files as the library that it was trained with does.

    Optional: test it with `isinstance(source, TrainingInputSource)`. Without it, the evidence does not tell
    what another decoder and another resize than those of the training change.
    """

    @property
    def training_input(self) -> str:
        """The functions that read them and their version, in words."""
        ...

    def training_pixels(self, data: bytes, resize: TrainingResize) -> Array | None:
        """The pixels of an image file, decoded and resized as for training.

        Args:
            data: content of the file. It was decoded before by `edgevision.imaging`, with its limits.
            resize: the size, and how.

        Returns:
            float32 ``(height, width, channels)`` of 0…255, RGB or grey, before any normalization; `None` if
            the library cannot decode this file, or does not resize in this way.
        """
        ...


@runtime_checkable
class NormalizedSource(Protocol):
    """A source with batch normalizations, which store statistics of the training data."""

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of the batch normalizations, in graph order; empty if there are none."""
        ...

    def norm_distance(self, inputs: Mapping[str, Array]) -> float:
        """Distance of inputs from the training data, at the first batch normalization.

        Returns:
            The Kullback-Leibler divergence of normal distributions, in nats, averaged over channels: 0 if
            mean and variance of the layer's input equal the stored ones.
        """
        ...

    def distilled(self, start: Mapping[str, Array], low: Array, high: Array) -> dict[str, Array]:
        """Inputs whose statistics at every batch normalization match the stored ones.

        Args:
            start: initial inputs; a few dozen, for meaningful statistics.
            low, high: bounds of each value; broadcastable to one image.

        Returns:
            As many inputs as in `start`; the same for the same start.
        """
        ...


@runtime_checkable
class GradientSource(Source, Protocol):
    """A source whose answers can be explained from the inside, as a reference for maps from the outside.

    Optional: test it with `isinstance(source, GradientSource)`.
    """

    def gradient_maps(
        self, output: str, column: int, are_scores: bool, image: Array, baseline: Array
    ) -> Mapping[str, Array]:
        """Maps of what one value of an output rests on.

        Args:
            output: name of an output, ``(batch, columns)``.
            column: of the value.
            are_scores: whether the values are 0…1.
            image: an input of the network, ``(1, h, w, c)``, float32.
            baseline: the same without its details.

        Returns:
            Name of a method -> float32 ``(rows, columns)`` over the whole input, of any size. Empty if the
            network cannot be differentiated.
        """
        ...

    def shuffled(self, seed: int) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        """The network with its weights in random order, as a function like `Source.run`."""
        ...


class SourceReader(Protocol):
    """Reads one kind of trained model."""

    @property
    def name(self) -> str: ...

    def reads(self, path: Path) -> bool:
        """Return whether `path` is one of this kind, by its name or its first bytes. Imports nothing."""
        ...

    def read(self, path: Path, *, trust_source: bool, input_size_wh: tuple[int, int] | None) -> Source:
        """Read a source.

        Args:
            path: the file or directory.
            trust_source: run code that the source contains.
            input_size_wh: width and height for an image input whose size is open.

        Raises:
            MissingRuntimeError: a library that reads it is not installed.
            SourceError: it cannot be read, or is not a model that can be converted.
            UntrustedSourceError: it contains code, and `trust_source` is false.
        """
        ...


@dataclass(frozen=True)
class SourceOptions:
    """Options of reading that only some kinds of model have.

    Attributes:
        imports: installed packages that define layers of the model, such as ``keras_hub``; they are imported.
        signature: name of the function to convert, of a model that contains several.

    Raises:
        OptionError: `imports` is not a sequence of names.
    """

    imports: Sequence[str] = ()
    signature: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "imports", names(self.imports, "imports"))


@runtime_checkable
class ConfigurableReader(SourceReader, Protocol):
    """A reader with options besides those of `SourceReader.read`.

    Optional: test it with `isinstance(reader, ConfigurableReader)`.
    """

    def read_with_options(
        self,
        path: Path,
        options: SourceOptions,
        *,
        trust_source: bool,
        input_size_wh: tuple[int, int] | None,
    ) -> Source:
        """Read a source; see `SourceReader.read`.

        Args:
            path: the file or directory.
            options: the options.
            trust_source: run code that the source contains.
            input_size_wh: as for `SourceReader.read`.

        Raises:
            MissingRuntimeError, SourceError, UntrustedSourceError: as `SourceReader.read`.
            OptionError: an option cannot be met by this source.
        """
        ...


@runtime_checkable
class RangedReader(SourceReader, Protocol):
    """A reader of models that may have been trained for int8, with ranges of their activations.

    Optional: test it with `isinstance(reader, RangedReader)`. int8 artifacts of such a model need no
    calibration set.
    """

    def has_ranges(self, path: Path) -> bool:
        """Return whether a model that `reads` returns True for has ranges. Imports no library of the model.

        Raises:
            SourceError: it is damaged.
        """
        ...


@runtime_checkable
class TrainingReader(SourceReader, Protocol):
    """A reader whose models can be trained for int8.

    Optional: test it with `isinstance(reader, TrainingReader)`.
    """

    def trains(self, model: object) -> bool:
        """Return whether `quantization_aware` takes objects of this class. Imports nothing."""
        ...

    def quantization_aware(self, model: Any, *, symmetric: bool) -> Any:
        """The model with the rounding of an int8 artifact in it; see `edgevision.quantization_aware`.

        Args:
            model: one that `trains` returns True for.
            symmetric: activations have no zero point.

        Raises:
            OptionError: the model or one of its layers is not supported; names it.
        """
        ...


@runtime_checkable
class CheckingReader(SourceReader, Protocol):
    """A reader that can check the structure of a file before it imports the library that reads it.

    Optional: test it with `isinstance(reader, CheckingReader)`. A check has a shorter limit on time than
    reading, so that a file that makes its library loop is found sooner.
    """

    def check(self, path: Path) -> None:
        """Check a path that `reads` returns True for; `read` checks it again.

        Raises:
            MissingRuntimeError: a library that checks it is not installed.
            SourceError: it is damaged.
        """
        ...


@runtime_checkable
class ExplainingReader(SourceReader, Protocol):
    """A reader that knows what files that nobody reads are.

    Optional: test it with `isinstance(reader, ExplainingReader)`.
    """

    def explain(self, path: Path) -> str:
        """Describe a path that `reads` returns False for, in one line with the next step. Imports nothing."""
        ...


class Converter(Protocol):
    """Converts one kind of source to artifacts of one format.

    Attributes:
        name: unique among converters, such as ``keras-tflite``.
        kind: kind of the sources that it accepts.
        format: format of the artifacts that it produces.
        precisions: the supported precisions.

    A converter may have an attribute ``precision_words``, too: an `edgevision.artifact.PrecisionWord` for
    each of its precisions that is not one of `edgevision.artifact.PRECISIONS`.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def precisions(self) -> tuple[str, ...]: ...

    def convert(self, source: Source, precision: str, calibration: CalibrationData | None) -> Artifact:
        """Convert a source to an artifact with the same inputs and outputs.

        Args:
            source: a source of the same kind.
            precision: one of `precisions`.
            calibration: required for the precisions in `edgevision.artifact.CALIBRATED`, unless the source
                has ranges (`RangedSource`).

        Raises:
            MissingRuntimeError: a library that converts is not installed.
            ConversionError: the source cannot be expressed in this format at this precision.
        """
        ...


@runtime_checkable
class SelectiveConverter(Converter, Protocol):
    """A converter that can keep selected layers of an int8 artifact in float.

    Optional: test it with `isinstance(converter, SelectiveConverter)`. Layers have the names that
    `sensitivities` returns, which are the same for all converters of one kind.
    """

    def convert(
        self,
        source: Source,
        precision: str,
        calibration: CalibrationData | None,
        keep_float: Collection[str] = (),
    ) -> Artifact:
        """Convert a source to an artifact; see `Converter.convert`.

        Args:
            source: a source of the same kind.
            precision: one of `precisions`.
            calibration: required for the precisions in `edgevision.artifact.CALIBRATED`. Measurements on
                it are cached by object, so pass the same object again.
            keep_float: names of layers that are computed in float; only for ``int8`` and
                ``int8-float-io``.

        Raises:
            MissingRuntimeError: a library that converts is not installed.
            ConversionError: the source cannot be expressed in this format at this precision, or
                has no layer with a name in `keep_float`.
        """
        ...

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """Sensitivity of the outputs to int8 quantization of each single layer.

        Args:
            source: a source of the same kind.
            precision: ``int8`` or ``int8-float-io``.
            calibration: as for `convert`.

        Returns:
            (layer name, error of the outputs when only that layer is int8), largest error first. The
            error is the root mean square over the outputs divided by their standard deviation: 0 or
            more, comparable within one source only.

        Raises:
            MissingRuntimeError, ConversionError: as `convert`.
        """
        ...


@runtime_checkable
class PlainConverter(Protocol):
    """A converter that also produces what people have without EdgeVision, to be compared with.

    Optional: test it with `isinstance(converter, PlainConverter)`.
    """

    def convert_plain(self, source: Source, precision: str, calibration: CalibrationData) -> Artifact:
        """Convert with the format's usual tool and its default settings.

        Args:
            source: a source of the same kind.
            precision: one of `precisions` that needs a calibration set.
            calibration: as for `Converter.convert`; the images of `split_calibration` that are not held out
                are used, as for `Converter.convert`.

        Returns:
            An artifact with the same inputs and outputs; its `quantization.recipe` is ``plain``.

        Raises:
            MissingRuntimeError, ConversionError: as `Converter.convert`.
        """
        ...


@runtime_checkable
class ConfigurableConverter(Protocol):
    """A converter with options of its own, which people state on the command line or in a targets file.

    Optional: options for other converters are refused.

    Attributes:
        options: their names.
    """

    @property
    def options(self) -> tuple[str, ...]: ...

    def with_options(self, options: Mapping[str, Any]) -> Converter:
        """The converter with these options, JSON values; only those in `options` are passed.

        Raises:
            OptionError: a value is invalid; names it.
        """
        ...


@runtime_checkable
class SymmetricConverter(Protocol):
    """A converter whose int8 has another form for backends with symmetric int8 kernels; see `Backend`.

    Optional: of other converters, int8 must have a form that all backends of its format run.
    """

    def symmetric(self) -> Converter:
        """The converter for these backends: as this one, and its int8 activations have no zero point."""
        ...


@runtime_checkable
class FullIntegerConverter(Protocol):
    """A converter whose int8 may keep operations in float, and which can also do without them.

    Optional: of other converters, int8 must be full-integer where a target requires it.
    """

    def convert_full_integer(
        self, source: Source, precision: str, calibration: CalibrationData | None
    ) -> Artifact:
        """Convert to an artifact without float operations, for devices that have none.

        Raises:
            MissingRuntimeError: as `Converter.convert`.
            ConversionError: an operation has no integer equivalent; names it and its layer.
        """
        ...
