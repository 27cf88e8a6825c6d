"""Prediction sets: fitted on the calibration images of an artifact, measured on its evaluation images.

The images that set the quantile are never those on which the coverage is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError
from edgevision.metrics.classification import Members
from edgevision.metrics.intervals import Groups, Interval, clopper_pearson, proportion
from edgevision.system.arguments import flag, one_of, whole_number
from edgevision.tasks.classify import Scores
from edgevision.tasks.prediction_sets import (
    LAC,
    METHODS,
    RAPS,
    PredictionSets,
    checked_coverage,
    raps_nonconformity,
)

#: Penalties that are tried for RAPS, as its authors do, and the share of the images that choose one.
_PENALTIES = (0.001, 0.01, 0.1, 0.2, 0.5)
_TUNING_SHARE = 0.2
#: With fewer images none are spent on that choice: these are taken.
_LEAST_TO_TUNE, _PENALTY, _FREE_RANKS = 100, 0.1, 1
_MOST_CLASSES = 200


@dataclass(frozen=True)
class PredictionSetSpecification:
    """The prediction sets that a classifier must have.

    Attributes:
        coverage: share of images whose class must be in the set, above 0 and below 1.
        method: ``lac``, the smallest sets on average, or ``raps``, sets of a more even size; see
            `edgevision.PredictionSets`.
        abstain: whether streams and `edgevision predict` abstain where the set is not a single class.
        seed: of all draws.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    coverage: float = 0.9
    method: str = LAC
    abstain: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "coverage", checked_coverage(self.coverage))
        one_of(self.method, METHODS, "method")
        object.__setattr__(self, "abstain", flag(self.abstain, "abstain"))
        object.__setattr__(self, "seed", whole_number(self.seed, "seed", least=0))

    @property
    def least_images(self) -> int:
        """The fewest calibration images with which a set is ever less than all classes."""
        return math.ceil(round(1 / (1 - self.coverage), 9)) - 1


@dataclass(frozen=True)
class ClassCoverage:
    """Coverage of the images of one class.

    Attributes:
        label: the class.
        covered, images: how many images have it in their set, of how many.
        interval: of the share.
    """

    label: str
    covered: int
    images: int
    interval: Interval


@dataclass(frozen=True)
class SetMeasures:
    """Prediction sets of one model on the evaluation set.

    Attributes:
        covered, images: how many images have their class in the set, of how many.
        interval: of the share.
        mean_size: mean number of classes in a set.
        single, empty: how many sets have one class, and none.
    """

    covered: int
    images: int
    interval: Interval
    mean_size: float
    single: int
    empty: int

    @property
    def coverage(self) -> float:
        """The share of images whose class is in the set."""
        return self.covered / self.images


@dataclass(frozen=True)
class PredictionSetEvidence:
    """Prediction sets of an artifact, beside those of its source.

    Attributes:
        rule: how the sets of the artifact are formed.
        expected: (low, high): the range in which the true coverage of 95 % of all calibration sets of this
            size lies, a beta distribution (Vovk 2012): with few images it is wide, and it says how far the
            coverage of this one may be from the stated.
        artifact, source: on the evaluation set, each by its own quantile.
        by_class: coverage of the images of each class by the artifact, the lowest first.
        warnings: shown to the reader beside the numbers.
    """

    rule: PredictionSets
    expected: tuple[float, float]
    artifact: SetMeasures
    source: SetMeasures
    by_class: tuple[ClassCoverage, ...]
    warnings: tuple[str, ...] = ()


def fit_prediction_sets(
    specification: PredictionSetSpecification,
    scores: Scores,
    truth: Members,
    groups: Groups | None = None,
    name: str = "the calibration set",
) -> PredictionSets:
    """The prediction sets of one model, by split conformal prediction.

    Args:
        specification: coverage and method.
        scores: float32 ``(images, classes)`` of 0…1, of that model.
        truth: bool ``(images, classes)``, one class per image.
        groups: the group of each image; one image of each is drawn, since only independent images count.
        name: of the images, for errors.

    Raises:
        InputError: there are too few independent images for this coverage; says how many it takes.
    """
    random = np.random.default_rng(specification.seed)
    order = random.permutation(len(scores))
    if groups is not None:
        _, first = np.unique(groups[order], return_index=True)
        order = order[np.sort(first)]
    scores, classes = scores[order], truth[order].argmax(axis=1)
    penalty, free_ranks = 0.0, 0
    if specification.method == RAPS:
        penalty, free_ranks = _PENALTY, _FREE_RANKS
        if len(scores) >= _LEAST_TO_TUNE:
            count = int(_TUNING_SHARE * len(scores))
            penalty, free_ranks = _tuned(specification.coverage, scores[:count], classes[:count])
            scores, classes = scores[count:], classes[count:]
    if len(scores) < specification.least_images:
        of = "images" if groups is None else "independent groups of images"
        raise InputError(
            f"{name}: {len(scores)} {of} cannot show a coverage of {specification.coverage:g}; calibrate on "
            f"{specification.least_images} or more, or ask for a lower coverage"
        )
    rule = PredictionSets(
        *(specification.method, specification.coverage, 0.0, len(scores), penalty, free_ranks),
        *(specification.seed, specification.abstain),
    )
    of_truth = np.take_along_axis(rule.nonconformity(scores), classes[:, None], axis=1)[:, 0]
    quantile = conformal_quantile(of_truth, specification.coverage)
    return PredictionSets(
        *(rule.method, rule.coverage, quantile, rule.images, penalty, free_ranks, rule.seed, rule.abstain)
    )


def conformal_quantile(nonconformity: NDArray[np.float64], coverage: float) -> float:
    """The ``ceil((n + 1) * coverage)``-th smallest of n values, the last one at most."""
    count = len(nonconformity)
    rank = min(count, math.ceil(round((count + 1) * coverage, 9)))
    return float(np.sort(nonconformity)[rank - 1])


def prediction_set_evidence(
    rules: tuple[PredictionSets, PredictionSets],
    scores: tuple[Scores, Scores],
    truth: Members,
    labels: Sequence[str],
    groups: Groups | None = None,
) -> PredictionSetEvidence:
    """Measure the prediction sets of source and artifact on images that set neither quantile.

    Args:
        rules: of source and artifact.
        scores: of source and artifact, float32 ``(images, classes)``.
        truth: bool ``(images, classes)``, one class per image.
        labels: one name per class.
        groups: the group of each image, `None` if every image is its own.
    """
    source, artifact = (
        _measured(rule.contains(of), truth, groups) for rule, of in zip(rules, scores, strict=True)
    )
    rule = rules[1]
    covered = _covered(rule.contains(scores[1]), truth)
    evidence = PredictionSetEvidence(
        rule, expected_coverage(rule), artifact, source, _by_class(covered, truth, labels, groups)
    )
    warnings = _warnings(evidence)
    return PredictionSetEvidence(
        rule, evidence.expected, artifact, source, evidence.by_class, tuple(warnings)
    )


def expected_coverage(rule: PredictionSets) -> tuple[float, float]:
    """As `PredictionSetEvidence.expected`."""
    above = math.floor(round((rule.images + 1) * (1 - rule.coverage), 9))
    rank = rule.images + 1 - above  # coverage is Beta(rank, above)
    low = clopper_pearson(rank, rule.images).low
    high = clopper_pearson(rank - 1, rule.images).high
    return low, high


def _tuned(coverage: float, scores: Scores, classes: NDArray[np.int64]) -> tuple[float, int]:
    """Penalty and free ranks with the smallest sets, as the authors of RAPS choose them (appendix E)."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = (order == classes[:, None]).argmax(axis=1) + 1
    free_ranks = int(conformal_quantile(ranks.astype(np.float64), coverage))
    sizes = []
    for penalty in _PENALTIES:
        found = raps_nonconformity(scores, penalty, free_ranks)
        of_truth = np.take_along_axis(found, classes[:, None], axis=1)[:, 0]
        sizes.append((found <= conformal_quantile(of_truth, coverage)).sum(axis=1).mean())
    return _PENALTIES[int(np.argmin(sizes))], free_ranks


def _measured(sets: Members, truth: Members, groups: Groups | None) -> SetMeasures:
    covered, sizes = _covered(sets, truth), sets.sum(axis=1)
    return SetMeasures(
        int(covered.sum()),
        len(covered),
        proportion(covered, groups=groups),
        round(float(sizes.mean()), 4),
        int((sizes == 1).sum()),
        int((sizes == 0).sum()),
    )


def _covered(sets: Members, truth: Members) -> NDArray[np.bool_]:
    return np.asarray((sets & truth).any(axis=1))


def _by_class(
    covered: NDArray[np.bool_], truth: Members, labels: Sequence[str], groups: Groups | None
) -> tuple[ClassCoverage, ...]:
    rows = []
    for place, label in enumerate(labels):
        of_class = truth[:, place]
        if of_class.any():
            hits = covered[of_class]
            interval = proportion(hits, groups=None if groups is None else groups[of_class])
            rows.append(ClassCoverage(label, int(hits.sum()), int(of_class.sum()), interval))
    return tuple(sorted(rows, key=lambda row: row.covered / row.images)[:_MOST_CLASSES])


def _warnings(evidence: PredictionSetEvidence) -> list[str]:
    warnings = []
    required, low = evidence.rule.coverage, evidence.expected[0]
    if evidence.artifact.interval.high < low:
        warnings.append(
            f"the coverage on the evaluation set is below {low:.1%}, less than calibration sets of this size "
            "explain: the two sets are not of one kind"
        )
    below = [row.label for row in evidence.by_class if row.interval.high < required]
    if below:
        warnings.append(
            f"the coverage is of all images together; of class {', '.join(below[:5])} it is lower than "
            f"{required:.1%}"
        )
    return warnings
