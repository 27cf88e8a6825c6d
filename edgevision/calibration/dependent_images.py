"""Images of an evaluation set that depend on each other: copies, frames of one file, and near-duplicates.

An interval that takes them for independent images is too narrow, and a verdict by its end proves less than it
says.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgevision.calibration.duplicates import NEAR, repeated
from edgevision.calibration.findings import (
    COPIES,
    FRAMES,
    NEAR_DUPLICATES_IN_EVALUATION,
    UNCHECKED_GROUPS,
    Finding,
    listed,
)
from edgevision.calibration.thumbnails import Summaries, summarise
from edgevision.datasets.groups import file_of
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.levels import ValueMapping

#: Share of the images above which a finding is a warning.
MANY = 0.05

#: Standard deviation of a thumbnail, in levels, below which others look like it by chance: two unrelated
#: images of the same brightness differ by 1.4 times that. Above it, near-duplicates are correlated by 0.87.
_CONTRAST = 2 * NEAR
_NAMED = 10
_PLAIN = ValueMapping()
_WHY = "intervals that take images of one scene, video or patient for independent ones are too narrow"


def dependence_findings(
    images: ImageSet, mapping: ValueMapping = _PLAIN, summaries: Summaries | None = None
) -> tuple[Finding, ...]:
    """Findings about images of an evaluation set that depend on each other although its groups do not say so.

    Args:
        images: evaluation set, without its copies (`ImageSet.distinct`).
        mapping: how values of more than 8 bits become black and white.
        summaries: of its images, where they are known; otherwise every image is read once, on all cores.
    """
    known = summarise(images, mapping) if summaries is None else summaries
    return (*_copies(images), *_frames(images), *_near_duplicates(images, known))


def check_groups(calibration: ImageSet, evaluation: ImageSet) -> tuple[Finding, ...]:
    """Check that no group is in both sets.

    Returns:
        A note if one of the sets has groups and the other has none, so that this is unknown.

    Raises:
        InputError: a group is in both; the message names a few.
    """
    first, second = calibration.grouping, evaluation.grouping
    if first is not None and second is not None:
        first.check_apart(second, calibration.name, evaluation.name)
    if (first is None) == (second is None):
        return ()
    without = "calibration" if first is None else "evaluation"
    return (
        Finding(
            UNCHECKED_GROUPS,
            "note",
            f"the {without} images have no groups, so that it is unknown whether a group is in both sets; "
            f"pass --{'calibration-' if first is None else ''}groups",
        ),
    )


def _copies(images: ImageSet) -> Iterator[Finding]:
    count, total = len(images.copies), len(images.copies) + len(images)
    if not count:
        return
    shown = [copy for copy in images.copies if not copy.private][:_NAMED]
    pairs = listed([f"{copy.name} (copy of {copy.of})" for copy in shown], count)
    yield Finding(
        COPIES,
        _severity(count, total),
        f"{count} of {total} evaluation images are byte-identical copies of others and were left out, so "
        f"that each image counts once{f': {pairs}' if shown else ''}",
        tuple(copy.name for copy in shown),
    )


def _frames(images: ImageSet) -> Iterator[Finding]:
    """Frames of one file, such as the pages of a stack, that are not in one group."""
    groups = range(len(images)) if images.groups is None else images.groups.tolist()
    groups_of: dict[str, set[int]] = {}
    files = [file_of(name) for name in images.image_names]
    for file, group in zip(files, groups, strict=True):
        groups_of.setdefault(file, set()).add(group)
    apart = [file for file in files if len(groups_of[file]) > 1]
    if apart:
        yield Finding(
            FRAMES,
            "warning",
            f"{len(apart)} evaluation images are frames of {len(set(apart))} files, and count as independent "
            f"of each other; {_WHY}: pass --groups file, or others in which a file is in one group",
        )


def _near_duplicates(images: ImageSet, known: Summaries) -> Iterator[Finding]:
    near = repeated(known.thumbnails, NEAR)
    by_image = np.arange(len(images)) if images.groups is None else images.groups
    group_of = dict(zip(images.shown_names, by_image.tolist(), strict=True))
    groups = np.array([group_of[name] for name in known.names], np.intp)
    has_contrast = known.thumbnails.std(axis=(1, 2)) > _CONTRAST
    places = np.flatnonzero((near >= 0) & (groups[near] != groups) & has_contrast)
    if not len(places):
        return
    pairs = [f"{known.names[place]} (like {known.names[near[place]]})" for place in places[:_NAMED]]
    advice = "pass --groups" if images.groups is None else "check the groups"
    which = "" if images.groups is None else " in another group"
    yield Finding(
        NEAR_DUPLICATES_IN_EVALUATION,
        _severity(len(places), len(images)),
        f"{len(places)} of {len(images)} evaluation images are near-duplicates of another one{which}; "
        f"{_WHY}: {advice}: {listed(pairs, len(places))}",
        tuple(known.names[place] for place in places[:_NAMED]),
    )


def _severity(count: int, total: int) -> str:
    return "warning" if count > MANY * total else "note"
