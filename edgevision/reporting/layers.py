"""Precision by layer: which layers were kept in float, and how sensitive each layer is to quantization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.bundle.manifest import Manifest
from edgevision.evidence.quantization import QuantizationEvidence
from edgevision.evidence.records import Evidence, Measured

_MOST_LAYERS = 25


@dataclass(frozen=True)
class RankedLayer:
    """A layer of the source in a ranking by sensitivity.

    Attributes:
        name: name of the layer.
        error: its quantization error, as measured by the converter of the format.
        share: `error` as a fraction of the largest error of all layers, 0…1.
        in_float: artifacts of this format that keep the layer in float.
    """

    name: str
    error: float
    share: float
    in_float: tuple[str, ...]


@dataclass(frozen=True)
class Ranking:
    """The layers of the source for one format, most sensitive first.

    Attributes:
        format: such as ``tflite``.
        layers: the most sensitive layers, and all that are kept in float.
        more: number of layers that are left out.
    """

    format: str
    layers: tuple[RankedLayer, ...]
    more: int


@dataclass(frozen=True)
class ArtifactPrecision:
    """Precision of the layers of an artifact.

    Attributes:
        artifact: id of the artifact.
        precision: scheme of its layers, as in the manifest.
        computed: precision in which its float operations were computed during the measurements.
        float_layers: layers that were kept in float.
    """

    artifact: str
    precision: str
    computed: str
    float_layers: tuple[str, ...]


@dataclass(frozen=True)
class Quantized:
    """How an integer artifact was quantized.

    Attributes:
        artifact: id of the artifact.
        quantization: its evidence.
    """

    artifact: str
    quantization: QuantizationEvidence

    @property
    def errors(self) -> tuple[float | None, float | None]:
        """The errors of EdgeVision's artifact and of the plain converter's; `None` where not measured."""
        comparison = self.quantization.comparison
        return (None, None) if comparison is None else (comparison.error, comparison.plain_error)

    @property
    def measure(self) -> str:
        """The unit of the errors, in words."""
        comparison = self.quantization.comparison
        return "not measured" if comparison is None else comparison.measure


def quantized_artifacts(evidence: Evidence) -> tuple[Quantized, ...]:
    """The artifacts whose converter says how they were quantized; compared ones first."""
    found = [Quantized(one.artifact, one.quantization) for one in evidence.results if one.quantization]
    return tuple(sorted(found, key=lambda one: one.quantization.comparison is None))


def artifact_precisions(evidence: Evidence, manifest: Manifest) -> tuple[ArtifactPrecision, ...]:
    """Precision of the layers of every artifact."""
    precisions = {entry.id: entry.precision for entry in manifest.artifacts}
    return tuple(
        ArtifactPrecision(one.artifact, precisions.get(one.artifact, ""), one.precision, one.float_layers)
        for one in evidence.results
    )


def rankings(evidence: Evidence, manifest: Manifest) -> tuple[Ranking, ...]:
    """Layers by sensitivity, for each format where the search ranked them."""
    formats = {entry.id: entry.format for entry in manifest.artifacts}
    return tuple(
        _ranking(name, layers, [one for one in evidence.results if formats.get(one.artifact) == name])
        for name, layers in evidence.sensitivities.items()
        if layers
    )


def _ranking(name: str, pairs: Sequence[tuple[str, float]], results: Sequence[Measured]) -> Ranking:
    largest = max(error for _, error in pairs) or 1.0
    ranked = [
        RankedLayer(
            layer,
            error,
            max(0.0, error / largest),
            tuple(one.artifact for one in results if layer in one.float_layers),
        )
        for layer, error in pairs
    ]
    shown = [*ranked[:_MOST_LAYERS], *(layer for layer in ranked[_MOST_LAYERS:] if layer.in_float)]
    return Ranking(name, tuple(shown), len(ranked) - len(shown))
