"""What is wrong with a calibration set, found before a conversion begins.

Each check gives a `Finding` or none. Limits are measured: see the constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgevision.calibration.duplicates import nearest, repeated
from edgevision.calibration.findings import Finding
from edgevision.calibration.thumbnails import Summaries, summarise
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError

#: Of n images seen, and one more like them, that one has the highest or the lowest activation of all with
#: a chance of 2 in n + 1: with 100 images, 1 in 50 in use goes beyond the range of any one activation.
FEW = 100
#: Root mean square difference of two thumbnails, in levels of 0…255, up to which images are nearly one.
#: Of 3,000 images of CIFAR-10 the nearest two differ by 11, of 1,797 digits by 7, of 292 microscope photos
#: by 13, but for two of one slide, by 3.
NEAR = 4.0
#: The same, up to which two are one picture: JPEG of quality 75 and above moves it by up to 1.6.
SAME = 2.0
#: … and no part of the thumbnail may differ by more, or there is an object that the other does not show.
SAME_PART = 12
#: … and images with little contrast differ by little: so the difference is held against the standard
#: deviation of the thumbnail. JPEG of quality 90 moves CIFAR-10 by up to 0.07 of it.
SAME_CONTRAST = 0.1
#: … but not below this: JPEG and WebP move a piece of sky by up to 0.82, and its neighbour differs by 0.92.
SAME_AT_LEAST = 0.85
#: Share of near-duplicates above which ranges are set by fewer scenes than the number of images says.
MANY_REPEATED = 0.05
#: Standard deviation, in levels of 0…255, below which an image shows nothing.
CONSTANT = 1.5
#: Correlation of neighbouring pixels below which there is nothing but noise: of 50,000 images of CIFAR-10
#: none is below 0.49, noise of 32 x 32 pixels and more never above 0.22, also after JPEG.
NOISE = 0.3

_NAMED = 10


def check_images(
    calibration: ImageSet, evaluation: ImageSet, left_out: int = 0
) -> tuple[tuple[Finding, ...], ImageSet]:
    """Check the images of a calibration set, one by one and against each other.

    Every image of both sets is read once, on all cores.

    Args:
        calibration: the images that ranges will be set by.
        evaluation: the images that will be measured on.
        left_out: files of the calibration set that were left out of the evaluation set before.

    Returns:
        The findings, and the evaluation set without the pictures that the calibration set has as well.

    Raises:
        InputError: the calibration set is empty, an image of either cannot be read, or both sets hold the
            very same pictures.
    """
    if not len(calibration):
        raise InputError(
            f"{calibration.name}: holds no image to calibrate on; "
            "type --calibration FOLDER with some of those in use"
        )
    own, others = _readable(calibration), _readable(evaluation)
    shared = _shared(own, others)
    digests = dict(zip(evaluation.image_names, evaluation.digests, strict=True))
    kept = evaluation.without(digests[name] for name, _ in shared)
    if not len(kept):
        raise InputError(
            f"{evaluation.name}: shows the very pictures of the calibration set; measure on others with "
            "--evaluation FOLDER"
        )
    near = repeated(own.thumbnails, NEAR)
    distinct = int((near < 0).sum())
    found = (
        few(len(own), distinct),
        near_duplicates(own, near),
        constant(own),
        noise(own),
        also_in_evaluation(own, shared, left_out),
        missing_classes(calibration, evaluation),
    )
    return tuple(finding for finding in found if finding is not None), kept


def refuse_warnings(findings: Iterable[Finding]) -> None:
    """What ``--strict`` does.

    Raises:
        InputError: there are warnings; tells all of them.
    """
    told = [f"{finding.check}: {finding.text}" for finding in findings if finding.severity == "warning"]
    if told:
        raise InputError(
            f"the calibration set is refused, for --strict was asked for: {'; '.join(told)}; "
            "mend the set, or leave out --strict to convert with these warnings in the evidence"
        )


def few(images: int, distinct: int) -> Finding | None:
    """Too few images that differ from each other."""
    if distinct >= FEW:
        return None
    told = f"{images} images" if distinct == images else f"{images} images, {distinct} of them distinct,"
    chance = 2 / (distinct + 1)
    return Finding(
        "few-images",
        "warning",
        f"{told} are few: about {chance:.0%} of images in use will go beyond the range of any one "
        f"activation; give {FEW} or more",
    )


def near_duplicates(images: Summaries, near: Sequence[int] | np.ndarray) -> Finding | None:
    """Images that nearly repeat another of the set, such as frames of one video."""
    places = np.flatnonzero(np.asarray(near) >= 0)
    if not len(places):
        return None
    many = len(places) > MANY_REPEATED * len(images)
    pairs = [f"{images.names[place]} (as {images.names[near[place]]})" for place in places[:_NAMED]]
    return Finding(
        "near-duplicates",
        "warning" if many else "note",
        f"{len(places)} of {len(images)} images nearly repeat another, and add nothing to the ranges: "
        f"{_listed(pairs, len(places))}",
        tuple(images.names[place] for place in places[:_NAMED]),
    )


def constant(images: Summaries) -> Finding | None:
    """Images of one colour."""
    return _about(
        "constant-images", images, images.deviations < CONSTANT, "show nothing but one colour; leave them out"
    )


def noise(images: Summaries) -> Finding | None:
    """Images whose neighbouring pixels have nothing to do with each other: no photo is like that."""
    nothing = (images.deviations >= CONSTANT) & (images.correlations < NOISE)
    return _about(
        "noise-images",
        images,
        nothing,
        "are noise, for which ranges are others than for photos; leave them out",
    )


def also_in_evaluation(
    images: Summaries, shared: Sequence[tuple[str, str]], left_out: int = 0
) -> Finding | None:
    """Pictures that both sets have, under whatever name and in whatever format.

    Args:
        images: of the calibration set.
        shared: (name in the evaluation set, name in the calibration set).
        left_out: files that both had, byte for byte.
    """
    if not shared and not left_out:
        return None
    parts = [f"{left_out} files of the calibration set were in the evaluation set too"] if left_out else []
    if shared:
        pairs = [f"{name} (as {own})" for name, own in shared[:_NAMED]]
        parts.append(
            f"{len(shared)} pictures of the evaluation set are in the calibration set: "
            f"{_listed(pairs, len(shared))}"
        )
    names = tuple(name for name, _ in shared[:_NAMED])
    return Finding(
        "also-in-evaluation", "warning", f"{' and '.join(parts)}; they were left out of the evaluation", names
    )


def missing_classes(calibration: ImageSet, evaluation: ImageSet) -> Finding | None:
    """Classes of the evaluation set that the calibration set does not show, where folders tell both."""
    if evaluation.labels is None:
        return None
    if calibration.labels is None:
        return Finding(
            "missing-classes",
            "note",
            "the calibration images lie in one folder, so nothing tells whether they show every class of the "
            "evaluation set",
        )
    shown = {calibration.class_names[label] for label in np.unique(calibration.labels)}
    wanted = [evaluation.class_names[label] for label in np.unique(evaluation.labels)]
    missing = [name for name in wanted if name not in shown]
    if not missing:
        return None
    return Finding(
        "missing-classes",
        "warning",
        f"{len(missing)} of the evaluation set's {len(wanted)} classes have no image to calibrate on: "
        f"{_listed(missing[:_NAMED], len(missing))}; add some of each",
    )


def _readable(images: ImageSet) -> Summaries:
    summaries = summarise(images)
    broken = summaries.broken
    if broken:
        raise InputError(
            f"{images.name}: {len(broken)} of {len(images)} images cannot be read: "
            f"{_listed(broken[:_NAMED], len(broken), '; ')}: mend them or take them out"
        )
    return summaries


def _shared(own: Summaries, others: Summaries) -> list[tuple[str, str]]:
    """(name in `others`, name in `own`) of each picture that both have."""
    found = nearest(others.thumbnails, own.thumbnails, SAME)
    places = np.flatnonzero(found >= 0)
    thumbnails = others.thumbnails[places].astype(np.float32)
    apart = np.abs(thumbnails - own.thumbnails[found[places]])
    allowed = np.maximum(SAME_AT_LEAST, SAME_CONTRAST * thumbnails.std(axis=(1, 2)))
    alike = np.sqrt((apart**2).mean(axis=(1, 2))) <= allowed
    same = places[alike & (apart.max(axis=(1, 2), initial=0) <= SAME_PART)]
    return [(others.names[place], own.names[found[place]]) for place in same]


def _about(check: str, images: Summaries, which: np.ndarray, told: str) -> Finding | None:
    names = [images.names[place] for place in np.flatnonzero(which)[:_NAMED]]
    count = int(which.sum())
    if not count:
        return None
    text = f"{count} of {len(images)} images {told}: {_listed(names, count)}"
    return Finding(check, "warning", text, tuple(names))


def _listed(names: Sequence[str], count: int, separator: str = ", ") -> str:
    more = f"{separator}and {count - len(names)} more" if count > len(names) else ""
    return separator.join(names) + more
