"""What the artifacts do otherwise than their source, image by image, with the bundle's pictures."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgevision.bundle.pictures import INPUT, SOURCE, TRUTH, Picture
from edgevision.evidence.records import Evidence
from edgevision.imaging.headers import read_header
from edgevision.metrics.changes import BoxChange, Flip
from edgevision.metrics.comparison import Change, change_count, changes_of

#: Images without a picture that are told of.
_MOST_ROWS = 200
_TITLES = {INPUT: "image", TRUTH: "truth", SOURCE: "source"}
_MIME = {"jpg": "image/jpeg", "png": "image/png"}
#: Images near the top of the page: with one picture each, and with one a model.
_FIRST_SINGLE, _FIRST_COMPARED = 12, 3
#: Smaller pictures are enlarged, each pixel a square.
_SMALL, _ENLARGED = 64, 112
_NARROW = 150


@dataclass(frozen=True)
class ShownPicture:
    """A picture on the page.

    Attributes:
        title: what it shows.
        uri: ``data:`` with its content.
        width, height: on the page, in pixels.
        enlarged: whether its pixels are to be seen as squares.
    """

    title: str
    uri: str
    width: int
    height: int
    enlarged: bool


@dataclass(frozen=True)
class ChangedImage:
    """An image that an artifact answers otherwise than its source.

    Attributes:
        name: in the evaluation set.
        by_artifact: artifact -> what it does otherwise, of those that do.
        pictures: may be none.
    """

    name: str
    by_artifact: Mapping[str, Change]
    pictures: tuple[ShownPicture, ...]

    @property
    def small(self) -> bool:
        """Whether its pictures fit into narrow columns."""
        return all(one.width <= _NARROW for one in self.pictures)

    @property
    def truth(self) -> tuple[str, ...] | None:
        """Of a flip: the classes that it truly is of, where known."""
        first = next(iter(self.by_artifact.values()))
        return first.truth if isinstance(first, Flip) else None


@dataclass(frozen=True)
class Changes:
    """All images that an artifact answers otherwise.

    Attributes:
        counts: (artifact, images that it answers otherwise).
        shown: images with pictures, the worst first.
        others: images without, the worst first.
        cut: whether there are more, of which the evidence does not tell, or which are too many.
    """

    counts: tuple[tuple[str, int], ...]
    shown: tuple[ChangedImage, ...]
    others: tuple[ChangedImage, ...]
    cut: bool

    @property
    def first(self) -> tuple[ChangedImage, ...]:
        """Those that are shown near the top of the page."""
        return self.shown[: self._count_of_first]

    @property
    def rest(self) -> tuple[ChangedImage, ...]:
        """Those that are shown at its end."""
        return self.shown[self._count_of_first :]

    @property
    def _count_of_first(self) -> int:
        single = all(len(one.pictures) == 1 for one in self.shown)
        return _FIRST_SINGLE if single else _FIRST_COMPARED


def changes(evidence: Evidence, pictures: Sequence[Picture]) -> Changes:
    """All images that an artifact answers otherwise than its source.

    Args:
        evidence: of the bundle.
        pictures: that it keeps, the worst image first.
    """
    told: dict[str, dict[str, Change]] = {}
    for result in evidence.results:
        for row in changes_of(result.comparison.details):
            told.setdefault(row.image, {})[result.artifact] = row
    pictured = _pictured(pictures)
    shown = [ChangedImage(name, told[name], row) for name, row in pictured.items() if name in told]
    others = [ChangedImage(name, rows, ()) for name, rows in told.items() if name not in pictured]
    details = [(one.artifact, one.comparison.details) for one in evidence.results]
    cut = len(others) > _MOST_ROWS or any(change_count(one) > len(changes_of(one)) for _, one in details)
    counts = tuple((artifact, change_count(one)) for artifact, one in details)
    return Changes(counts, tuple(shown), tuple(others[:_MOST_ROWS]), cut)


def in_words(change: Change) -> str:
    """What one artifact does otherwise in one image."""
    if isinstance(change, Flip):
        return f"{_classes(change.artifact)} ({change.artifact_score:.2f})"
    if isinstance(change, BoxChange):
        parts = [_boxes("lost", change.lost), _boxes("gained", change.gained)]
        return "; ".join(part for part in parts if part) + f"; {change.matched} alike"
    return f"SSIM {change.ssim:.4f}, {change.psnr_db:.2f} dB"


def source_in_words(change: Flip) -> str:
    """What the source decided."""
    return f"{_classes(change.source)} ({change.source_score:.2f})"


def rightness(decided: Sequence[str], truth: Sequence[str] | None) -> str:
    """``right`` or ``wrong``; empty where the truth is not known."""
    if truth is None:
        return ""
    return "right" if set(decided) == set(truth) else "wrong"


def _classes(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _boxes(verb: str, labels: Sequence[str]) -> str:
    counted = [label if count == 1 else f"{count} {label}" for label, count in Counter(labels).items()]
    return f"{verb} {', '.join(counted)}" if counted else ""


def _pictured(pictures: Sequence[Picture]) -> dict[str, tuple[ShownPicture, ...]]:
    found: dict[str, list[ShownPicture]] = {}
    for one in pictures:
        found.setdefault(one.image, []).append(_shown(one))
    return {name: tuple(row) for name, row in found.items()}


def _shown(picture: Picture) -> ShownPicture:
    header = read_header(picture.content)
    width, height = header.size_wh if header is not None else (_ENLARGED, _ENLARGED)
    enlarged = max(width, height) <= _SMALL
    factor = max(1, _ENLARGED // max(width, height)) if enlarged else 1
    content = base64.b64encode(picture.content).decode("ascii")
    uri = f"data:{_MIME[picture.suffix]};base64,{content}"
    title = _TITLES.get(picture.shows, picture.shows)
    return ShownPicture(title, uri, width * factor, height * factor, enlarged)
