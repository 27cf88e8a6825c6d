"""Precision by layer: what stayed in float, how sensitive each layer is, and what the search has tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.bundle.manifest import Manifest
from edgevision.evidence.records import Evidence, Measured

_MOST_LAYERS = 25


@dataclass(frozen=True)
class RankedLayer:
    """A layer of the source.

    Attributes:
        name: its name.
        error: that its integers cost, as the format's converter measures it.
        share: of the largest error of all layers, 0…1.
        in_float: artifacts of this format in which it stayed in float.
    """

    name: str
    error: float
    share: float
    in_float: tuple[str, ...]


@dataclass(frozen=True)
class Ranking:
    """The layers of the source for one format, the most sensitive first.

    Attributes:
        format: such as ``tflite``.
        layers: the first ones.
        more: how many there are beside them.
    """

    format: str
    layers: tuple[RankedLayer, ...]
    more: int


@dataclass(frozen=True)
class ArtifactPrecision:
    """In which precision an artifact's layers are.

    Attributes:
        artifact: its id.
        precision: of its layers, as the manifest has it.
        computed: in which its float parts are computed where it was measured.
        float_layers: that stayed in float.
    """

    artifact: str
    precision: str
    computed: str
    float_layers: tuple[str, ...]


def artifact_precisions(evidence: Evidence, manifest: Manifest) -> tuple[ArtifactPrecision, ...]:
    """In which precision each artifact's layers are."""
    precisions = {entry.id: entry.precision for entry in manifest.artifacts}
    return tuple(
        ArtifactPrecision(one.artifact, precisions.get(one.artifact, ""), one.precision, one.float_layers)
        for one in evidence.results
    )


def rankings(evidence: Evidence, manifest: Manifest) -> tuple[Ranking, ...]:
    """The layers by their sensitivity, for each format where the search has asked."""
    formats = {entry.id: entry.format for entry in manifest.artifacts}
    return tuple(
        _ranking(name, layers, [one for one in evidence.results if formats.get(one.artifact) == name])
        for name, layers in evidence.sensitivities.items()
        if layers
    )


def _ranking(name: str, pairs: Sequence[tuple[str, float]], results: Sequence[Measured]) -> Ranking:
    most = max(error for _, error in pairs) or 1.0
    told = [
        RankedLayer(
            layer,
            error,
            max(0.0, error / most),
            tuple(one.artifact for one in results if layer in one.float_layers),
        )
        for layer, error in pairs
    ]
    kept = [one for one in told[_MOST_LAYERS:] if one.in_float]
    return Ranking(name, (*told[:_MOST_LAYERS], *kept), len(told) - min(len(told), _MOST_LAYERS) - len(kept))
