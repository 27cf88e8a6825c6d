"""Images whose prediction differs between an artifact and the source, with the bundle's example images."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgevision.bundle.pictures import ATTENTION, INPUT, OWN_ATTENTION, SOURCE, TRUTH, Picture
from edgevision.evidence.records import Evidence
from edgevision.imaging.headers import read_header
from edgevision.metrics.changes import BoxChange, Flip, ResultChange
from edgevision.metrics.comparison import Change, change_count, changes_of
from edgevision.system.decimals import decimals

#: Rows of the table of images without a picture.
_MOST_ROWS = 200
_TITLES = {INPUT: "input", TRUTH: "ground truth", SOURCE: "source"}
_MIME = {"jpg": "image/jpeg", "png": "image/png"}
#: Images shown before the annex: with one picture each, and with one per model.
_FIRST_SINGLE, _FIRST_COMPARED = 12, 3
#: Pictures up to the first size are enlarged to the second, with square pixels.
_SMALL, _ENLARGED = 64, 112
_NARROW = 150


@dataclass(frozen=True)
class ShownPicture:
    """A picture on the page.

    Attributes:
        title: caption.
        uri: content as a ``data:`` URI.
        width, height: size on the page, in pixels.
        enlarged: whether it is scaled up with square pixels.
    """

    title: str
    uri: str
    width: int
    height: int
    enlarged: bool


@dataclass(frozen=True)
class ChangedImage:
    """An image whose prediction differs between at least one artifact and the source.

    Attributes:
        name: name in the evaluation set.
        by_artifact: the changes, by the id of the artifact.
        pictures: example images; may be empty.
    """

    name: str
    by_artifact: Mapping[str, Change]
    pictures: tuple[ShownPicture, ...]

    @property
    def small(self) -> bool:
        """True if the pictures fit into narrow columns."""
        return all(picture.width <= _NARROW for picture in self.pictures)

    @property
    def is_flip(self) -> bool:
        """True if the change is one between predicted classes."""
        return isinstance(next(iter(self.by_artifact.values())), Flip)

    @property
    def truth(self) -> tuple[str, ...] | None:
        """Ground-truth classes, for a change of a classifier; `None` if unknown."""
        first = next(iter(self.by_artifact.values()))
        return first.truth if isinstance(first, Flip) else None


@dataclass(frozen=True)
class Changes:
    """All images whose prediction differs between an artifact and the source.

    Attributes:
        counts: (artifact, number of changed images).
        shown: images with pictures, largest change first.
        others: images without pictures, largest change first.
        truncated: whether more images changed than the evidence records or the table shows.
    """

    counts: tuple[tuple[str, int], ...]
    shown: tuple[ChangedImage, ...]
    others: tuple[ChangedImage, ...]
    truncated: bool

    @property
    def are_flips(self) -> bool:
        """True if the changes are ones between predicted classes."""
        return any(image.is_flip for image in self.others)

    @property
    def first(self) -> tuple[ChangedImage, ...]:
        """Images shown in the main part of the page."""
        return self.shown[: self._count_of_first]

    @property
    def rest(self) -> tuple[ChangedImage, ...]:
        """Images shown in the annex."""
        return self.shown[self._count_of_first :]

    @property
    def _count_of_first(self) -> int:
        single = all(len(image.pictures) == 1 for image in self.shown)
        return _FIRST_SINGLE if single else _FIRST_COMPARED


def changes(evidence: Evidence, pictures: Sequence[Picture]) -> Changes:
    """The changed images of all artifacts.

    Args:
        evidence: of the bundle.
        pictures: example images of the bundle, largest change first.
    """
    changed: dict[str, dict[str, Change]] = {}
    for result in evidence.results:
        for change in changes_of(result.comparison.details):
            changed.setdefault(change.image, {})[result.artifact] = change
    by_image = _by_image(pictures)
    shown = [ChangedImage(name, changed[name], row) for name, row in by_image.items() if name in changed]
    others = [ChangedImage(name, rows, ()) for name, rows in changed.items() if name not in by_image]
    details = [(result.artifact, result.comparison.details) for result in evidence.results]
    unrecorded = any(change_count(one) > len(changes_of(one)) for _, one in details)
    counts = tuple((artifact, change_count(one)) for artifact, one in details)
    truncated = unrecorded or len(others) > _MOST_ROWS
    return Changes(counts, tuple(shown), tuple(others[:_MOST_ROWS]), truncated)


def describe_change(change: Change) -> str:
    """The artifact's prediction, or its difference from the source's: ``lost 2 cell; 3 unchanged``."""
    if isinstance(change, Flip):
        return f"{_classes(change.artifact)} ({_score(change.artifact_score)})"
    if isinstance(change, BoxChange):
        parts = [_boxes("lost", change.lost), _boxes("gained", change.gained)]
        return "; ".join(part for part in parts if part) + f"; {change.matched} unchanged"
    if isinstance(change, ResultChange):
        return change.text
    return f"SSIM {decimals(change.ssim, 4, (0, 1))}, {change.psnr_db:.2f} dB"


def source_prediction(change: Flip) -> str:
    """The prediction of the source, such as ``cat (0.83)``."""
    return f"{_classes(change.source)} ({_score(change.source_score)})"


def correctness(predicted: Sequence[str], truth: Sequence[str] | None) -> str:
    """``correct`` or ``wrong``; empty without ground truth."""
    if truth is None:
        return ""
    return "correct" if set(predicted) == set(truth) else "wrong"


def _score(score: float) -> str:
    return decimals(score, 2, (0, 1))


def _classes(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _boxes(verb: str, labels: Sequence[str]) -> str:
    counted = [label if count == 1 else f"{count} {label}" for label, count in Counter(labels).items()]
    return f"{verb} {', '.join(counted)}" if counted else ""


def _by_image(pictures: Sequence[Picture]) -> dict[str, tuple[ShownPicture, ...]]:
    rows: dict[str, list[ShownPicture]] = {}
    for picture in pictures:
        if not picture.shows.startswith((ATTENTION, OWN_ATTENTION)):
            title = _TITLES.get(picture.shows, picture.shows)
            rows.setdefault(picture.image, []).append(shown_picture(picture, title))
    return {name: tuple(row) for name, row in rows.items()}


def shown_picture(picture: Picture, title: str) -> ShownPicture:
    """A picture on the page; a small one is enlarged.

    Args:
        picture: of the bundle.
        title: caption.
    """
    header = read_header(picture.content)
    width, height = header.size_wh if header is not None else (_ENLARGED, _ENLARGED)
    enlarged = max(width, height) <= _SMALL
    factor = max(1, _ENLARGED // max(width, height)) if enlarged else 1
    content = base64.b64encode(picture.content).decode("ascii")
    uri = f"data:{_MIME[picture.suffix]};base64,{content}"
    return ShownPicture(title, uri, width * factor, height * factor, enlarged)
