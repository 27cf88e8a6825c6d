"""Checks of a calibration set before a conversion begins.

Each check returns a `Finding` or `None`. The limits are measured: see the constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgevision.calibration.dependent_images import dependence_findings
from edgevision.calibration.duplicates import NEAR, nearest, repeated
from edgevision.calibration.findings import Finding, listed
from edgevision.calibration.thumbnails import Summaries, summarise
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision.imaging.levels import ValueMapping
from edgevision.system.decimals import percent

#: A new image has the highest or lowest activation among n calibration images and itself with a probability
#: of 2 / (n + 1): with 100 images, 1 in 50 in use exceeds the range of any given activation.
FEW = 100
#: Root mean square difference, as `NEAR`, up to which two images show the same picture: JPEG of quality 75 or
#: above changes it by up to 1.6.
SAME = 2.0
#: Largest difference of any pixel of the thumbnails of one picture; more means an object that only one shows.
SAME_PART = 12
#: Images with little contrast differ by little, so the difference is also compared with the standard
#: deviation of the thumbnail. JPEG of quality 90 changes CIFAR-10 images by up to 0.07 of it.
SAME_CONTRAST = 0.1
#: Lower bound of that limit: JPEG and WebP change a patch of sky by up to 0.82, and its neighbour differs by
#: 0.92.
SAME_AT_LEAST = 0.85
#: Share of near-duplicates above which the set has far fewer scenes than images.
MANY_REPEATED = 0.05
#: Standard deviation, in levels of 0…255, below which an image is constant.
CONSTANT = 1.5
#: Correlation of adjacent pixels below which an image is noise: none of 50,000 CIFAR-10 images is below 0.49,
#: and noise of at least 32 x 32 pixels is never above 0.22, not even after JPEG.
NOISE = 0.3

_NAMED = 10
_PLAIN = ValueMapping()


def check_images(
    calibration: ImageSet, evaluation: ImageSet, left_out: int = 0, mapping: ValueMapping = _PLAIN
) -> tuple[tuple[Finding, ...], ImageSet]:
    """Check the images of a calibration set, individually and for duplicates, and those of an evaluation set.

    Every image of both sets is read once, on all cores.

    Args:
        calibration: calibration set.
        evaluation: evaluation set.
        left_out: number of files that were already left out of the evaluation set because the calibration set
            contains them.
        mapping: how values of more than 8 bits become black and white.

    Returns:
        The findings, and the evaluation set without the images that are also in the calibration set.

    Raises:
        InputError: the calibration set is empty, an image cannot be read, or both sets have the same images.
    """
    if not len(calibration):
        raise InputError(
            f"{calibration.name}: the calibration set is empty; "
            "pass --calibration FOLDER with images like those in use"
        )
    own, others = _readable(calibration, mapping), _readable(evaluation, mapping)
    shared = _shared(own, others)
    digests = dict(zip(evaluation.shown_names, evaluation.digests, strict=True))
    same = {digests[name] for name, _ in shared}
    kept = evaluation.without(same)
    if not len(kept):
        raise InputError(
            f"{evaluation.name}: every image is also in the calibration set {calibration.name}; pass "
            "--evaluation FOLDER with other images"
        )
    near = repeated(own.thumbnails, NEAR)
    distinct = int((near < 0).sum())
    findings = (
        few(len(own), distinct),
        near_duplicates(own, near),
        constant(own),
        noise(own),
        also_in_evaluation(own, shared, left_out),
        missing_classes(calibration, evaluation),
        *dependence_findings(kept, mapping, others.at([digests[name] not in same for name in others.names])),
    )
    return tuple(finding for finding in findings if finding is not None), kept


def check_evaluation_images(images: ImageSet, mapping: ValueMapping = _PLAIN) -> tuple[Finding, ...]:
    """Check how the images of an evaluation set depend on each other: as `dependence_findings`.

    Raises:
        InputError: an image cannot be read.
    """
    return dependence_findings(images, mapping, _readable(images, mapping))


def refuse_warnings(findings: Iterable[Finding]) -> None:
    """Refuse a calibration set with warnings, for ``--strict``.

    Raises:
        InputError: there are warnings; the message has all of them.
    """
    warnings = [f"{finding.check}: {finding.text}" for finding in findings if finding.severity == "warning"]
    if warnings:
        raise InputError(
            f"--strict refuses the calibration set: {'; '.join(warnings)}; "
            "correct the set, or remove --strict to record these warnings in the evidence"
        )


def few(images: int, distinct: int) -> Finding | None:
    """Too few distinct images."""
    if distinct >= FEW:
        return None
    size = f"{images} images" if distinct == images else f"{images} images, {distinct} of them distinct"
    probability = 2 / (distinct + 1)
    return Finding(
        "few-images",
        "warning",
        f"the calibration set is small ({size}): about {percent(probability, 0)} of the images in use will "
        f"exceed the range of any given activation; calibrate on {FEW} images or more",
    )


def near_duplicates(images: Summaries, near: Sequence[int] | np.ndarray) -> Finding | None:
    """Images that are nearly identical to another one, such as frames of one video."""
    places = np.flatnonzero(np.asarray(near) >= 0)
    if not len(places):
        return None
    many = len(places) > MANY_REPEATED * len(images)
    pairs = [f"{images.names[place]} (like {images.names[near[place]]})" for place in places[:_NAMED]]
    return Finding(
        "near-duplicates",
        "warning" if many else "note",
        f"{len(places)} of {len(images)} calibration images are near-duplicates of another one and add "
        f"nothing to the activation ranges: {listed(pairs, len(places))}",
        tuple(images.names[place] for place in places[:_NAMED]),
    )


def constant(images: Summaries) -> Finding | None:
    """Images of a single colour."""
    return _about(
        "constant-images", images, images.deviations < CONSTANT, "have a single colour; remove them"
    )


def noise(images: Summaries) -> Finding | None:
    """Images whose adjacent pixels are uncorrelated, which no photo is."""
    uncorrelated = (images.deviations >= CONSTANT) & (images.correlations < NOISE)
    return _about(
        "noise-images",
        images,
        uncorrelated,
        "are noise, whose activation ranges differ from those of photos; remove them",
    )


def also_in_evaluation(
    images: Summaries, shared: Sequence[tuple[str, str]], left_out: int = 0
) -> Finding | None:
    """Images in both sets, regardless of their names and formats.

    Args:
        images: the calibration set.
        shared: (name in the evaluation set, name in the calibration set).
        left_out: number of byte-identical files that were already left out.
    """
    if not shared and not left_out:
        return None
    parts = [f"{left_out} evaluation files are also in the calibration set"] if left_out else []
    if shared:
        pairs = [f"{name} (as {own})" for name, own in shared[:_NAMED]]
        parts.append(
            f"{len(shared)} evaluation images show the same picture as a calibration image: "
            f"{listed(pairs, len(shared))}"
        )
    names = tuple(name for name, _ in shared[:_NAMED])
    return Finding(
        "also-in-evaluation", "warning", f"{' and '.join(parts)}; they were left out of the evaluation", names
    )


def missing_classes(calibration: ImageSet, evaluation: ImageSet) -> Finding | None:
    """Classes of the evaluation set without calibration images, if both sets have one folder per class."""
    if evaluation.labels is None:
        return None
    if calibration.labels is None:
        return Finding(
            "missing-classes",
            "note",
            "cannot check whether the calibration set covers every class: its images are not in one folder "
            "per class",
        )
    shown = {calibration.class_names[label] for label in np.unique(calibration.labels)}
    wanted = [evaluation.class_names[label] for label in np.unique(evaluation.labels)]
    missing = [name for name in wanted if name not in shown]
    if not missing:
        return None
    return Finding(
        "missing-classes",
        "warning",
        f"the calibration set has no image of {len(missing)} of the evaluation set's {len(wanted)} classes: "
        f"{listed(missing[:_NAMED], len(missing))}; add images of each",
    )


def _readable(images: ImageSet, mapping: ValueMapping) -> Summaries:
    summaries = summarise(images, mapping)
    broken = summaries.broken
    if broken:
        raise InputError(
            f"{images.name}: {len(broken)} of {len(images)} images cannot be used: "
            f"{'; '.join(_by_reason(broken))}; repair or remove them"
        )
    return summaries


def _by_reason(errors: Sequence[str]) -> list[str]:
    """The errors ``NAME: REASON``, each reason once, after the names that it holds for."""
    names: dict[str, list[str]] = {}
    for error in errors:
        name, _, reason = error.partition(": ")
        names.setdefault(reason, []).append(name)
    groups = [(listed(some[:_NAMED], len(some)), reason) for reason, some in names.items()]
    shown = [f"{some}: {reason}" for some, reason in groups[:_NAMED]]
    return shown if len(groups) <= _NAMED else [*shown, f"and {len(groups) - _NAMED} more reasons"]


def _shared(own: Summaries, others: Summaries) -> list[tuple[str, str]]:
    """(name in `others`, name in `own`) of each picture in both sets."""
    matches = nearest(others.thumbnails, own.thumbnails, SAME)
    places = np.flatnonzero(matches >= 0)
    thumbnails = others.thumbnails[places].astype(np.float32)
    apart = np.abs(thumbnails - own.thumbnails[matches[places]])
    allowed = np.maximum(SAME_AT_LEAST, SAME_CONTRAST * thumbnails.std(axis=(1, 2)))
    alike = np.sqrt((apart**2).mean(axis=(1, 2))) <= allowed
    same = places[alike & (apart.max(axis=(1, 2), initial=0) <= SAME_PART)]
    return [(others.names[place], own.names[matches[place]]) for place in same]


def _about(check: str, images: Summaries, which: np.ndarray, problem: str) -> Finding | None:
    names = [images.names[place] for place in np.flatnonzero(which)[:_NAMED]]
    count = int(which.sum())
    if not count:
        return None
    text = f"{count} of {len(images)} calibration images {problem}: {listed(names, count)}"
    return Finding(check, "warning", text, tuple(names))
