"""The border that a converter implements: a source goes in, an artifact comes out.

A plugin gives a `SourceReader` for each kind of trained model, and a `Converter` for each format
that it can turn that kind into. Readers and converters import TensorFlow and its like only when
they are called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from edgevision.artifact import Artifact
from edgevision.tensors import Array, TensorSpec

#: Calibration data: for each image, input name -> float32 array with a batch of one, as the
#: source takes it. Can be iterated more than once.
CalibrationData = Iterable[Mapping[str, Array]]


@dataclass(frozen=True)
class SourceFacts:
    """What was found in a source beside its tensors; `None` where nothing was found.

    Attributes:
        pixel_range: the values (lowest, highest) that black and white have at the source's
            input, where a layer in the source tells.
        pixel_range_reason: which layer, in words.
        score_kind: ``softmax``, ``sigmoid`` or ``logits``: what the last operation gives.
    """

    pixel_range: tuple[float, float] | None = None
    pixel_range_reason: str = ""
    score_kind: str | None = None


class Source(Protocol):
    """A trained model that was read.

    Attributes:
        kind: which converters take it, such as ``keras``.
        path: where it was read from.
        description: what it is, for people: ``Keras 3 .keras file``.
        sha256: digest of the file, or of all files of a directory in sorted order.
        inputs, outputs: float32 tensors with an open batch.
        facts: what was found in it.
        versions: library -> version, of what it was read and is converted with.
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
        """Run the source itself: the answers that every artifact is compared with.

        Args:
            inputs: name -> float32 array, with any batch.

        Returns:
            name -> float32 array, owned by the caller.
        """
        ...


@dataclass(frozen=True)
class Activations:
    """What flowed out of one layer of a source.

    Attributes:
        layer: its name.
        low, high: the least and the greatest value.
        outside: how many values lay outside the limits that were given.
        values: how many there were.
    """

    layer: str
    low: float
    high: float
    outside: int
    values: int


@runtime_checkable
class ActivationSource(Protocol):
    """A source that tells what flows inside it. Sources need not: evidence says less without."""

    def activations(
        self, inputs: Mapping[str, Array], limits: Sequence[tuple[float, float]] = ()
    ) -> tuple[Activations, ...]:
        """Run the source, and look at every tensor that a quantized artifact of it would hold as integers.

        Args:
            inputs: as in `Source.run`.
            limits: (low, high) of each layer, in the order of what is given; none for no limits.

        Returns:
            One a layer, always in the same order.
        """
        ...


@runtime_checkable
class NormalizedSource(Protocol):
    """A source with batch normalizations: they remember statistics of the training data."""

    @property
    def norms(self) -> tuple[str, ...]:
        """The layers' names, in the order of the graph; empty if there are none."""
        ...

    def norm_distance(self, inputs: Mapping[str, Array]) -> float:
        """How far these inputs are from the training data, at the first batch normalization.

        Returns:
            The Kullback-Leibler divergence of normal distributions, in nats, the mean over channels: 0 if
            mean and variance of what is normalized are those that it remembers.
        """
        ...

    def distilled(self, start: Mapping[str, Array], low: Array, high: Array) -> dict[str, Array]:
        """Inputs that give every batch normalization the statistics that it remembers.

        Args:
            start: inputs to begin with, one or more; a few dozen, so that there are statistics.
            low, high: between which each value stays; can be broadcast to one image.

        Returns:
            As many inputs, the same for the same start.
        """
        ...


class SourceReader(Protocol):
    """Reads one kind of trained model."""

    @property
    def name(self) -> str: ...

    def reads(self, path: Path) -> bool:
        """Whether `path` looks like this kind of source, by its name alone. Imports nothing."""
        ...

    def read(self, path: Path, *, trust_source: bool, input_size_wh: tuple[int, int] | None) -> Source:
        """Read a source.

        Args:
            path: the file or directory.
            trust_source: run code that the source carries.
            input_size_wh: fixes the size of an image input that leaves it open.

        Raises:
            MissingRuntimeError: what reads it is not installed.
            SourceError: it cannot be read, or is no model that can be converted.
            UntrustedSourceError: it carries code, and `trust_source` is false.
        """
        ...


class Converter(Protocol):
    """Turns one kind of source into artifacts of one format.

    Attributes:
        name: unique among converters, such as ``keras-tflite``.
        kind: of the sources that it takes.
        format: of the artifacts that it makes.
        precisions: that it can make.
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
        """Make an artifact whose tensors mean what the source's mean.

        Args:
            source: what a reader of the same kind gave.
            precision: one of `precisions`.
            calibration: needed for the precisions in `edgevision.artifact.CALIBRATED`.

        Raises:
            MissingRuntimeError: what converts is not installed.
            ConversionError: the source cannot be expressed in this format at this precision.
        """
        ...


@runtime_checkable
class SelectiveConverter(Converter, Protocol):
    """A converter that can keep chosen layers in float in an artifact that is int8 otherwise.

    Optional: `isinstance(converter, SelectiveConverter)` tells whether a converter is one. Layers
    have the names that `sensitivities` gives, which are the same in all converters of one kind.
    """

    def convert(
        self,
        source: Source,
        precision: str,
        calibration: CalibrationData | None,
        keep_float: Collection[str] = (),
    ) -> Artifact:
        """Make an artifact; see `Converter.convert`.

        Args:
            source: what a reader of the same kind gave.
            precision: one of `precisions`.
            calibration: needed for the precisions in `edgevision.artifact.CALIBRATED`. Given the
                same object again, what was measured on it is measured once.
            keep_float: names of layers whose weights and sums are computed in float. Only in
                ``int8`` and ``int8-float-io``.

        Raises:
            MissingRuntimeError: what converts is not installed.
            ConversionError: the source cannot be expressed in this format at this precision, or
                has no layer of a name in `keep_float`.
        """
        ...

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """What int8 costs in each layer alone.

        Args:
            source: what a reader of the same kind gave.
            precision: ``int8`` or ``int8-float-io``.
            calibration: as for `convert`.

        Returns:
            (name of a layer, error of the source's outputs when that layer alone is int8), from the
            greatest error to the least. An error is a root mean square over the outputs, as a part
            of their standard deviation: 0 and up, to be compared within one source only.

        Raises:
            MissingRuntimeError, ConversionError: as `convert`.
        """
        ...
