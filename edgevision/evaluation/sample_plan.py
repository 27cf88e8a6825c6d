"""plan_evaluation(): how many images, positives and groups an evaluation set needs to show a requirement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from edgevision.errors import OptionError
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.requirements import CONFIDENCE
from edgevision.metrics.power import (
    GroupSizes,
    images_in_groups_with_power,
    images_with_power,
    power_of_paired_drop,
    power_of_share,
)
from edgevision.metrics.sample_size import images_for_paired_drop, images_for_share
from edgevision.system.arguments import real_number

#: Power of a plan unless another is stated, as is usual in studies (Cohen 1988).
POWER = 0.8


@dataclass(frozen=True)
class PlannedRequirement:
    """One limit, and the images that it takes to show that it is kept.

    Attributes:
        what: the limited quantity, such as ``drop in accuracy``.
        at_least: whether `limit` is a lower limit; otherwise it is an upper one.
        limit: required share or drop, 0…1.
        expected: the share or drop that is expected, 0…1.
        of: the images that are counted: ``images``, or ``positives``: those of the class of interest.
        needed: images that it takes, in the groups of the plan; `None` if no number of them is enough.
        independent: images that it would take if all were independent; equal to `needed` without groups.
        groups: groups of these images; `None` without groups.
        images: images of all classes among which these are; `None` for positives whose share is not stated.
    """

    what: str
    at_least: bool
    limit: float
    expected: float
    of: str
    needed: int | None
    independent: int | None
    groups: int | None
    images: int | None


@dataclass(frozen=True)
class EvaluationPlan:
    """The size of an evaluation set.

    Attributes:
        requirements: one entry per limit.
        power: probability that a set of this size shows each of them, if the expectations are true.
        confidence: of the intervals that they are judged by.
        images_per_group: mean number of images that belong together; 1 without groups.
        correlation: of the images of a group in what is measured.
        images: images that are enough for all requirements, as far as they are not counted in positives
            alone; `None` if all are, or if no number is enough.
        groups: groups of these images; `None` without groups.
        calibration_positives: images of the class of interest without which no threshold of the calibration
            set guarantees the sensitivity; `None` where none is required.
    """

    requirements: tuple[PlannedRequirement, ...]
    power: float
    confidence: float
    images_per_group: float
    correlation: float
    images: int | None
    groups: int | None
    calibration_positives: int | None

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)


def plan_evaluation(  # noqa: PLR0913 - one keyword per limit and per expectation
    *,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    sensitivity: float | None = None,
    expected_flips: float | None = None,
    expected_drop: float = 0.0,
    expected_sensitivity: float | None = None,
    positive_share: float | None = None,
    images_per_group: float = 1.0,
    correlation: float = 1.0,
    confidence: float = CONFIDENCE,
    power: float = POWER,
) -> EvaluationPlan:
    """The number of images with which a conversion can show its requirements, before they are collected.

    It is computed with the formulas that the verdict of a conversion is made with. A set of the planned size
    shows each requirement with the probability `power`, if the expectations are true; all of them together,
    less often.

    Args:
        max_drop: largest drop of accuracy, in percentage points, as in `Budget`.
        min_agreement: smallest agreement with the source, 0…1, as in `Budget`.
        sensitivity: required sensitivity for the class of interest, 0…1, as in `OperatingPointSpecification`.
        expected_flips: share of the images that artifact and source are expected to answer differently, 0…1.
            A trial conversion on the images at hand measures it.
        expected_drop: expected drop of accuracy in percentage points: the images that only the source gets
            right, less those that only the artifact does.
        expected_sensitivity: true sensitivity at the threshold; default midway between the required one
            and 1.
        positive_share: share of the images that are of the class of interest; `None` counts these alone.
        images_per_group: mean number of images that belong together, such as those of one patient.
        correlation: of these images in what is measured, 0…1; the default takes them as alike.
        confidence: of the two-sided intervals of drop and agreement, 0.95 for an artifact that is not one of
            several candidates; of the sensitivity's lower limit alone.
        power: probability with which the set shows each requirement, 0…1.

    Raises:
        OptionError: nothing is required, an expectation is missing or out of range, or an expectation misses
            its requirement, so that no set can show it.
    """
    limits = _Limits(
        None if max_drop is None else _points(max_drop, "max_drop", 0.0),
        _share(min_agreement, "min_agreement"),
        _share(sensitivity, "sensitivity"),
    )
    flips, drop = _share(expected_flips, "expected_flips"), _points(expected_drop, "expected_drop", -100.0)
    checked = {
        "confidence": _inside(confidence, "confidence"),
        "power": _inside(power, "power"),
    }
    groups = GroupSizes(_at_least_1(images_per_group), _share(correlation, "correlation") or 0.0)
    rows = [
        *_drop_and_agreement(limits, flips, drop),
        *_sensitivity(limits.sensitivity, _share(expected_sensitivity, "expected_sensitivity")),
    ]
    if not rows:
        raise OptionError("nothing is required; pass --max-drop, --min-agreement or --sensitivity")
    planned = tuple(
        _planned(row, groups, _share(positive_share, "positive_share"), **checked) for row in rows
    )
    totals = [one.images for one in planned if one.images is not None]
    possible = all(one.needed is not None for one in planned)
    images = max(totals, default=None) if possible else None
    calibration = None
    if limits.sensitivity is not None:
        stated = OperatingPointSpecification("", "sensitivity", limits.sensitivity, checked["confidence"])
        calibration = _as_copies(stated.least_images, groups)
    return EvaluationPlan(
        planned,
        checked["power"],
        checked["confidence"],
        groups.images_per_group,
        groups.correlation,
        images,
        _groups_of(images, groups),
        calibration,
    )


@dataclass(frozen=True)
class _Limits:
    max_drop: float | None
    min_agreement: float | None
    sensitivity: float | None


@dataclass(frozen=True)
class _Row:
    """A requirement, what is expected of it, and the shares of images of each kind with their values."""

    what: str
    at_least: bool
    limit: float
    expected: float
    of: str
    shares: tuple[float, ...]
    values: tuple[float, ...]
    one_sided: bool = False

    def median(self, confidence: float) -> int | None:
        """Images that show it if exactly what is expected is measured, and so about half of the time."""
        if self.at_least:
            return images_for_share(self.expected, self.limit, confidence=confidence)
        lost, gained = self.shares[:2]
        return images_for_paired_drop(lost, gained, self.limit, confidence=confidence)

    def power(self, images: int, confidence: float) -> float:
        """The probability that so many independent images show it."""
        if self.at_least:
            return power_of_share(images, self.expected, self.limit, confidence=confidence)
        lost, gained = self.shares[:2]
        return power_of_paired_drop(images, lost, gained, self.limit, confidence=confidence)


def _drop_and_agreement(limits: _Limits, flips: float | None, drop: float) -> Iterator[_Row]:
    if limits.max_drop is None and limits.min_agreement is None:
        return
    if flips is None:
        raise OptionError(
            "the number of images depends on the share of them that artifact and source answer differently; "
            "pass --expected-flips, such as 0.01: a trial conversion on a few hundred images measures it as "
            "1 less the agreement"
        )
    if abs(drop) > flips:
        raise OptionError(
            f"expected_drop: {100 * drop:g} percentage points cannot come from {100 * flips:g} % of the "
            "images; pass a larger --expected-flips"
        )
    if limits.max_drop is not None:
        _check(
            drop < limits.max_drop,
            f"expected_drop: a drop of {100 * drop:g} percentage points is not below the limit of "
            f"{100 * limits.max_drop:g}",
            "pass a smaller --expected-drop or a larger --max-drop",
        )
        lost, gained = (flips + drop) / 2, (flips - drop) / 2
        shares, values = (lost, gained, 1 - flips), (1.0, -1.0, 0.0)
        yield _Row("drop in accuracy", False, limits.max_drop, drop, "images", shares, values)
    if limits.min_agreement is not None:
        _check(
            1 - flips > limits.min_agreement,
            f"expected_flips: of {100 * flips:g} % of the images an agreement of {100 * (1 - flips):g} % "
            f"follows, which is not above the limit of {100 * limits.min_agreement:g} %",
            "pass a smaller --expected-flips or a lower --min-agreement",
        )
        expected = 1 - flips
        kinds = (flips, expected), (0.0, 1.0)
        yield _Row("agreement", True, limits.min_agreement, expected, "images", *kinds)


def _sensitivity(limit: float | None, expected: float | None) -> Iterator[_Row]:
    if limit is None:
        return
    expected = (1 + limit) / 2 if expected is None else expected
    _check(
        expected > limit,
        f"expected_sensitivity: {expected:g} is not above the limit of {limit:g}",
        "pass a larger --expected-sensitivity or a lower --sensitivity",
    )
    kinds = (1 - expected, expected), (0.0, 1.0)
    yield _Row("sensitivity", True, limit, expected, "positives", *kinds, one_sided=True)


def _planned(
    row: _Row, groups: GroupSizes, positive_share: float | None, *, confidence: float, power: float
) -> PlannedRequirement:
    two_sided = 2 * confidence - 1 if row.one_sided else confidence
    near = row.median(two_sided) or 1
    independent = images_with_power(lambda images: row.power(images, two_sided), power, near)
    needed = independent
    if independent is not None and row.one_sided:
        needed = _as_copies(independent, groups)
    elif independent is not None and not groups.single:
        needed = images_in_groups_with_power(
            *(groups, row.shares, row.values, row.limit, power, independent), confidence=two_sided
        )
    share = positive_share if row.of == "positives" else 1.0
    images = math.ceil(needed / share) if needed is not None and share else None
    return PlannedRequirement(
        *(row.what, row.at_least, row.limit, row.expected, row.of),
        *(needed, independent, _groups_of(needed, groups), images),
    )


def _as_copies(independent: int, groups: GroupSizes) -> int:
    """Images at an operating point, where those of a group count as copies of each other (Kish 1965)."""
    return math.ceil(independent * groups.images_per_group)


def _groups_of(images: int | None, groups: GroupSizes) -> int | None:
    return None if images is None or groups.single else groups.groups_of(images)


def _check(possible: bool, reason: str, advice: str) -> None:
    if not possible:
        raise OptionError(f"{reason}, so that no number of images shows it; {advice}")


def _share(value: float | None, name: str) -> float | None:
    if value is None:
        return None
    share = real_number(value, name)
    if not 0.0 <= share <= 1.0:
        raise OptionError(f"{name}: expected a share of 0 to 1, got {share:g}")
    return share


def _inside(value: float, name: str) -> float:
    share = real_number(value, name)
    if not 0.5 < share < 1.0:
        raise OptionError(f"{name}: expected above 0.5 and below 1, got {share:g}")
    return share


def _points(value: float, name: str, above: float) -> float:
    """A drop as a share, of percentage points."""
    points = real_number(value, name)
    if not above < points <= 100.0:
        raise OptionError(f"{name}: expected above {above:g} and up to 100 percentage points, got {points:g}")
    return points / 100


def _at_least_1(value: float) -> float:
    number = real_number(value, "images_per_group")
    if number < 1:
        raise OptionError(f"images_per_group: expected 1 or more, got {number:g}")
    return number
