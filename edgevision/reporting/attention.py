"""Attention drift in the report: how far it has moved, and what answers rest on, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgevision.bundle.pictures import ATTENTION, OWN_ATTENTION, Picture
from edgevision.evidence.attention import AttentionDrift, AttentionReference, drift_verdict
from edgevision.evidence.records import Evidence
from edgevision.reporting.changes import ShownPicture, shown_picture
from edgevision.system.decimals import decimals


@dataclass(frozen=True)
class ExplainedImage:
    """One image with what the answers of several models rest on.

    Attributes:
        name: name in the evaluation set.
        label: the class that is explained; empty where each model explains its own answer.
        pictures: one per model, the source first.
        correlations: title of a picture -> rank correlation of its map with the source's, as text.
    """

    name: str
    label: str
    pictures: tuple[ShownPicture, ...]
    correlations: Mapping[str, str]


@dataclass(frozen=True)
class Attention:
    """The attention drift of all artifacts.

    Attributes:
        source: the maps that others are compared with.
        rows: (artifact, its drift, the verdict in words).
        moved: images on which the attention of an artifact has moved most.
        changed: images whose answer has changed.
    """

    source: AttentionReference
    rows: tuple[tuple[str, AttentionDrift, str], ...]
    moved: tuple[ExplainedImage, ...]
    changed: tuple[ExplainedImage, ...]


def attention(evidence: Evidence, pictures: Sequence[Picture]) -> Attention | None:
    """The attention drift of all artifacts; `None` if it was not measured.

    Args:
        evidence: of the bundle.
        pictures: of the bundle.
    """
    if evidence.attention is None:
        return None
    source = evidence.attention
    measured = [(one.artifact, one.attention) for one in evidence.results if one.attention is not None]
    rows = tuple((name, one, drift_verdict(one.drift, source.noise)) for name, one in measured)
    moved = [_moved(name, shown, measured) for name, shown in _by_image(pictures, ATTENTION)]
    changed = [ExplainedImage(name, "", shown, {}) for name, shown in _by_image(pictures, OWN_ATTENTION)]
    return Attention(source, rows, tuple(moved), tuple(changed))


def _moved(
    name: str, pictures: tuple[ShownPicture, ...], rows: Sequence[tuple[str, AttentionDrift]]
) -> ExplainedImage:
    of_image = {artifact: one for artifact, found in rows for one in found.worst if one.image == name}
    label = next((one.label for one in of_image.values()), "")
    correlations = {artifact: decimals(one.correlation, 2, (1.0,)) for artifact, one in of_image.items()}
    return ExplainedImage(name, label, pictures, correlations)


def _by_image(pictures: Sequence[Picture], kind: str) -> list[tuple[str, tuple[ShownPicture, ...]]]:
    rows: dict[str, list[ShownPicture]] = {}
    for picture in pictures:
        if picture.shows.startswith(kind):
            title = picture.shows.removeprefix(kind)
            rows.setdefault(picture.image, []).append(shown_picture(picture, title))
    return [(name, tuple(row)) for name, row in rows.items()]
