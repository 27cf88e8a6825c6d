"""Coverage of every interval that EdgeVision prints, simulated.

Sets of images are drawn from a population whose metrics are known. A row says how often the interval contains
the true value, and how often this is beyond the end that a verdict is judged by: above the upper limit of a
drop, or below the lower limit of an agreement or a metric.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgevision.evidence.temperatures import change_interval, log_losses
from edgevision.metrics.bounded_means import WeightedMean, limits_of_means
from edgevision.metrics.class_ratios import ClassCounts, RatioAverage, class_metrics
from edgevision.metrics.classification import members
from edgevision.metrics.coco import _average, _ClassMatches, _contributions
from edgevision.metrics.intervals import Groups, Interval, clopper_pearson, paired_drop, share_mean
from edgevision.metrics.measures import Contributions, Hits, Values
from edgevision.metrics.reliability import Reliability

SIZES = (50, 200, 1000, 5000)
#: Images of the sets that are solved together, which limits the memory.
_MOST_IMAGES = 100_000
#: Coverage of 95 % intervals that is required, and the most often that an unfavourable end may be wrong.
LEAST_COVERAGE, MOST_BEYOND = 0.94, 0.025

Floats = NDArray[np.float64]
Limits = tuple[float, float] | None


@dataclass(frozen=True)
class Drawn:
    """One metric on one set: what its interval is computed from, and the true value.

    Attributes:
        metric: name of the row.
        truth: value in the population.
        is_drop: whether the upper limit is the unfavourable end; otherwise the lower one.
        mean: solved together with those of other sets; `None` if `limits` are known.
        limits: from the limits of `mean`, or of None, to the interval.
    """

    metric: str
    truth: float
    is_drop: bool
    mean: WeightedMean | None
    limits: Callable[[Limits], Limits] = lambda limits: limits


@dataclass(frozen=True)
class Row:
    """Coverage of one interval.

    Attributes:
        metric, scenario: names.
        size: images, or groups where the scenario says so.
        sets: number of simulated sets.
        covered: share of the intervals that contain the true value.
        beyond: share of the sets where the true value is beyond the unfavourable end.
        width: mean width of the intervals.

        Coverage and width are those of the sets that have an interval.
    """

    metric: str
    scenario: str
    size: int
    sets: int
    covered: float
    beyond: float
    width: float

    @property
    def passed(self) -> bool:
        """True if the row is within both limits, up to three standard errors of the simulation."""
        errors = [3 * math.sqrt(p * (1 - p) / self.sets) for p in (LEAST_COVERAGE, MOST_BEYOND)]
        judged = "drop" in self.metric or "agreement" in self.metric
        beyond = self.beyond if judged else 0.0
        return self.covered >= LEAST_COVERAGE - errors[0] and beyond <= MOST_BEYOND + errors[1]


_INTRODUCTION = """# Coverage of the intervals

The evidence judges every limit by an end of a 95 % interval, so an interval must contain the true value as
often as it says: on small sets, with rare changes, and with none. Here sets are drawn from populations whose
true values are known. Required are a coverage of 94 %, and that the true value is beyond the end that a
verdict is judged by (above the upper limit of a drop, below the lower limit of an agreement) in at most 2.5 %
of the sets, both up to three standard errors of the simulation. {inside} of {rows} rows are inside.

`size` is the number of images, or of groups where the population has groups; `sets` of this size were drawn.
The methods are in `edgevision/metrics/bounded_means.py`; a share of images has Clopper and Pearson's exact
interval. Coverage above 95 % is the price of limits that hold on every set: what no image has shown is not
taken for impossible. Macro averages are over the classes that the set has. A set without an interval, such as
one in which neither model predicts the class whose precision is measured, is left out of coverage and width.

This page is the output of one command:

```bash
python benchmarks/coverage.py > docs/intervals.md
```
"""

Scenario = Callable[[np.random.Generator, int], Iterator[Drawn]]


def simulate(name: str, scenario: Scenario, size: int, sets: int, seed: int = 0) -> list[Row]:
    """The rows of one scenario at one size."""
    random = np.random.default_rng([seed, size, *name.encode()])
    counts: dict[str, _Counts] = {}
    at_once = max(1, _MOST_IMAGES // size)
    for start in range(0, sets, at_once):
        _add_sets(counts, [one for _ in range(min(at_once, sets - start)) for one in scenario(random, size)])
    return [count.row(metric, name, size) for metric, count in counts.items()]


def _add_sets(counts: dict[str, _Counts], drawn: Sequence[Drawn]) -> None:
    """Count the intervals of some sets, whose limits are solved together."""
    solved = iter(limits_of_means([one.mean for one in drawn if one.mean is not None]))
    for one in drawn:
        count = counts.setdefault(one.metric, _Counts())
        count.sets += 1
        limits = one.limits(None if one.mean is None else next(solved))
        if limits is None:
            continue
        count.known += 1
        count.covered += limits[0] <= one.truth <= limits[1]
        count.beyond += limits[1] < one.truth if one.is_drop else limits[0] > one.truth
        count.width += limits[1] - limits[0]


@dataclass
class _Counts:
    """Of one metric: sets, those with an interval, and sums over these; see `Row`."""

    sets: int = 0
    known: int = 0
    covered: int = 0
    beyond: int = 0
    width: float = 0.0

    def row(self, metric: str, scenario: str, size: int) -> Row:
        known = max(1, self.known)
        shares = self.covered / known, self.beyond / self.sets, self.width / known
        return Row(metric, scenario, size, self.sets, *shares)


def _interval(metric: str, truth: float, interval: Interval, is_drop: bool = False) -> Drawn:
    return Drawn(metric, truth, is_drop, None, lambda _: (interval.low, interval.high))


@dataclass(frozen=True)
class Proportion:
    """Accuracy, agreement, sensitivity: the share of images that are hit.

    Attributes:
        share: in the population.
    """

    share: float

    def __call__(self, random: np.random.Generator, size: int) -> Iterator[Drawn]:
        """One set."""
        hits = int(random.binomial(size, self.share))
        yield _interval("accuracy, agreement", self.share, clopper_pearson(hits, size))


@dataclass(frozen=True)
class HitDrop:
    """The drop of accuracy.

    Attributes:
        lost, gained: share of the images that only the source, or only the artifact, hits.
    """

    lost: float
    gained: float

    def __call__(self, random: np.random.Generator, size: int) -> Iterator[Drawn]:
        """One set."""
        shares = self.lost, self.gained, 1 - self.lost - self.gained
        only_source, only_artifact, _ = random.multinomial(size, shares)
        interval = paired_drop(only_source, only_artifact, size)
        yield _interval("drop in accuracy", self.lost - self.gained, interval, is_drop=True)


@dataclass(frozen=True)
class Classifiers:
    """A population of images with the answers of a source and of an artifact.

    Attributes:
        prior: ``(classes,)``, share of each class.
        source: ``(classes, classes)``, answers of the source by true class.
        flips: ``(classes,)``, share of the answers that the artifact changes, by true class.
        single_class: class whose own metrics are rows too.
    """

    prior: Floats
    source: Floats
    flips: Floats
    single_class: int

    def __call__(self, random: np.random.Generator, size: int) -> Iterator[Drawn]:
        """One set."""
        classes = len(self.prior)
        true = random.choice(classes, size, p=self.prior)
        found = _chosen(random, self.source[true])
        other = (found + random.integers(1, classes, size)) % classes
        kept = np.where(random.random(size) < self.flips[true], other, found)
        of_classes = [members(one, classes) for one in (true, found, kept)]
        artifact = (1 - self.flips)[:, None] * self.source + self.flips[:, None] * (
            (1 - self.source) / (classes - 1)
        )
        populations = [self.prior[:, None] * answers for answers in (self.source, artifact)]
        yield from class_rows(*of_classes, populations, None)
        one = self.single_class
        columns = [np.stack([member[:, one], ~member[:, one]], axis=1) for member in of_classes]
        folded = [_folded(population, one) for population in populations]
        yield from _single_class_rows(*columns, folded)


def class_rows(
    true: NDArray[np.bool_],
    found: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    populations: Sequence[Floats],
    groups: Groups | None,
) -> Iterator[Drawn]:
    """Macro metrics of the source, and their drops; averaged over the classes that the set has.

    Args:
        true, found, kept: ground truth, answers of the source and of the artifact, ``(images, classes)``.
        populations: joint probability of true class and answer, of source and artifact.
        groups: group of each image.
    """
    counts = [ClassCounts.of(answers, true) for answers in (found, kept)]
    union = counts[0].union | counts[1].union
    for name in ("precision", "recall", "F1"):
        truths = [_ratios(name, population) for population in populations]
        source, artifact = (
            RatioAverage(name, answers, true, count, count.union, groups)
            for answers, count in zip((found, kept), counts, strict=True)
        )
        value = float(truths[0][counts[0].union].mean())
        lost = float((truths[0] - truths[1])[union].mean())
        yield Drawn(f"macro {name}", value, False, source.mean, _from(source))
        yield Drawn(f"drop in macro {name}", lost, True, source.minus(artifact))


def _single_class_rows(
    true: NDArray[np.bool_], found: NDArray[np.bool_], kept: NDArray[np.bool_], populations: Sequence[Floats]
) -> Iterator[Drawn]:
    if not true[:, 0].any():
        return  # a class without images has no row
    metrics = [
        class_metrics(answers, true, ClassCounts.of(answers, true), None)[0] for answers in (found, kept)
    ]
    for place, name in enumerate(("precision", "recall", "F1")):
        truths = [float(_ratios(name, population)[0]) for population in populations]
        source, artifact = metrics[0][place], metrics[1][place]
        if source.interval is not None:
            yield _interval(f"{name} of a class", truths[0], source.interval)
        drop = source.observations.minus(artifact.observations)
        yield Drawn(f"drop in {name} of a class", truths[0] - truths[1], True, drop)


def _from(average: RatioAverage | Contributions) -> Callable[[Limits], Limits]:
    def limits(of_mean: Limits) -> Limits:
        interval: Interval | None = average.interval_from(of_mean)
        return None if interval is None else (interval.low, interval.high)

    return limits


def _chosen(random: np.random.Generator, probabilities: Floats) -> NDArray[np.intp]:
    sums = probabilities.cumsum(axis=1)
    return np.asarray((random.random(len(sums))[:, None] > sums).sum(axis=1).clip(max=sums.shape[1] - 1))


def _folded(population: Floats, one: int) -> Floats:
    """The class and all others."""
    own, row, column = population[one, one], population[one].sum(), population[:, one].sum()
    return np.array([[own, row - own], [column - own, 1 - row - column + own]])


def _ratios(name: str, population: Floats) -> Floats:
    correct, predicted, true = np.diag(population), population.sum(axis=0), population.sum(axis=1)
    return np.asarray(
        {"precision": correct / predicted, "recall": correct / true, "F1": 2 * correct / (predicted + true)}[
            name
        ]
    )


def _answers(classes: int, hits: float | Sequence[float], seed: int = 1) -> Floats:
    """Answers by true class: right with the probability `hits`, else unevenly among the others."""
    answers = np.random.default_rng(seed).gamma(0.5, size=(classes, classes)) + 0.01
    np.fill_diagonal(answers, 0.0)
    right = np.broadcast_to(np.asarray(hits, np.float64), classes)
    answers *= ((1 - right) / answers.sum(axis=1))[:, None]
    return np.asarray(answers + np.diag(right))


def many_labels(flips: float) -> Scenario:
    """Five labels, in 2 % to 50 % of the images; flips of one image depend on each other."""
    prior = np.array([0.5, 0.3, 0.1, 0.05, 0.02])
    hit, false = 0.85, 0.03

    def scenario(random: np.random.Generator, size: int) -> Iterator[Drawn]:
        true = random.random((size, 5)) < prior
        found = np.where(true, random.random((size, 5)) < hit, random.random((size, 5)) < false)
        # Half of the images can flip, twice as often.
        flipped = (random.random((size, 5)) < 2 * flips) & (random.random(size) < 0.5)[:, None]
        kept = found ^ flipped
        counts = [ClassCounts.of(answers, true) for answers in (found, kept)]
        after = hit + flips * (1 - 2 * hit), false + flips * (1 - 2 * false)
        f1 = [
            2 * prior * sure / (prior * (1 + sure) + (1 - prior) * wrong)
            for sure, wrong in ((hit, false), after)
        ]
        source, artifact = (
            RatioAverage("F1", answers, true, count, np.ones(5, bool))
            for answers, count in zip((found, kept), counts, strict=True)
        )
        yield Drawn("macro F1, many labels", float(f1[0].mean()), False, source.mean, _from(source))
        yield Drawn(
            "drop in macro F1, many labels",
            float((f1[0] - f1[1]).mean()),
            True,
            source.minus(artifact),
        )
        alike, ones = (~flipped).mean(axis=1), np.ones(size)
        yield Drawn("agreement, many labels", 1 - flips, False, share_mean(alike, ones))
        both, either = 2.0 * (found & kept).sum(axis=1), 1.0 * found.sum(axis=1) + kept.sum(axis=1)
        present = prior * hit + (1 - prior) * false
        expected = (
            2
            * (present * (1 - flips)).sum()
            / (present + present * (1 - flips) + (1 - present) * flips).sum()
        )
        yield Drawn("agreement on present labels", float(expected), False, share_mean(both, either))

    return scenario


@dataclass(frozen=True)
class Detectors:
    """A population of images with objects of three classes, one of them rare.

    Attributes:
        flips: share of the source's boxes that the artifact loses; it gains half as many false ones.
        images: size of the set whose metrics stand for those of the population.
    """

    flips: float
    images: int = 200_000
    objects = (1.0, 0.5, 0.15)

    @cached_property
    def truth(self) -> dict[str, float]:
        """Metric -> value in the population."""
        drawn = self._metrics(np.random.default_rng(99), self.images)
        return {
            name: source.mean.value - (other.mean.value if is_drop else 0.0)
            for name, is_drop, source, other in drawn
        }

    def __call__(self, random: np.random.Generator, size: int) -> Iterator[Drawn]:
        """One set."""
        for name, is_drop, source, artifact in self._metrics(random, size):
            if is_drop:
                yield Drawn(name, self.truth[name], True, source.minus(artifact))
            else:
                yield Drawn(name, self.truth[name], False, source.mean, _from(source))

    def _metrics(
        self, random: np.random.Generator, size: int
    ) -> list[tuple[str, bool, Contributions, Contributions]]:
        pairs = [self._of_class(random, size, rate, number) for number, rate in enumerate(self.objects)]
        rows = []
        for name, levels, kind in (
            ("mAP@0.50", slice(0, 1), "precision"),
            ("mAP@0.50:0.95", slice(None), "precision"),
            ("recall of boxes", slice(None), "recall"),
        ):
            shown = [pair for pair in pairs if pair[0].objects.any()]
            sides = [
                _contributions([getattr(_average(pair[side], levels), kind) for pair in shown], size, None)
                for side in (0, 1)
            ]
            rows += [(name, False, *sides), (f"drop in {name}", True, *sides)]
            if kind == "precision" and pairs[-1][0].objects.any():
                rare = [_contributions([_average(one, levels).precision], size, None) for one in pairs[-1]]
                of_class = f"{name.removeprefix('m')} of a rare class"
                rows += [
                    (of_class, False, *rare),
                    (f"drop in {of_class}", True, *rare),
                ]
        return rows

    def _of_class(
        self, random: np.random.Generator, size: int, rate: float, number: int
    ) -> tuple[_ClassMatches, _ClassMatches]:
        objects = random.poisson(rate, size)
        places = np.repeat(np.arange(size), objects)
        difficulty = np.repeat(random.beta(4, 1, size), objects)  # objects of one image are alike
        found = random.random(len(places)) < difficulty
        false = np.repeat(np.arange(size), random.poisson(0.4 * rate, size))
        images = np.concatenate([places[found], false])
        scores = np.concatenate([random.beta(4, 2, found.sum()), random.beta(2, 4, len(false))])
        overlap = np.concatenate([random.beta(6, 2, found.sum()), np.zeros(len(false))])
        kept = random.random(len(images)) >= self.flips
        new = np.flatnonzero(random.random(size) < self.flips * rate / 2)
        moved = random.normal(0, 0.02 * (self.flips > 0), len(images))
        source = images, scores, overlap
        artifact = (
            np.concatenate([images[kept], new]),
            np.concatenate([(scores + moved)[kept], random.beta(2, 4, len(new))]),
            np.concatenate([overlap[kept], np.zeros(len(new))]),
        )
        return tuple(_matches(number, objects, *one) for one in (source, artifact))  # type: ignore[return-value]


def _matches(
    number: int, objects: NDArray[np.int64], images: NDArray[np.intp], scores: Floats, overlap: Floats
) -> _ClassMatches:
    order = np.argsort(-scores, kind="stable")
    right = overlap[order] >= np.linspace(0.5, 0.95, 10)[:, None]
    return _ClassMatches(number, objects, images[order], scores[order], right, np.zeros_like(right))


def boxes(alike: float) -> Scenario:
    """Agreement of the boxes of two detectors; images with many boxes agree less."""

    def scenario(random: np.random.Generator, size: int) -> Iterator[Drawn]:
        busy = random.random(size) < 0.2
        count = random.poisson(np.where(busy, 20.0, 2.0))
        share = random.beta(20 * alike, 20 * (1 - alike) + 1e-9, size)
        share = np.where(busy, 2 * alike - 1 + (1 - alike) * 2 * random.random(size), share)
        matched = random.binomial(count, share).astype(np.float64)
        # All images have the mean share `alike`, whatever their number of boxes.
        yield Drawn("agreement of boxes", alike, False, share_mean(matched, count.astype(np.float64)))

    return scenario


def decibels(rare: float, loss: float) -> Scenario:
    """PSNR of a source, skewed, and of an artifact that loses `loss` dB on a few images and 0.05 on all."""

    def scenario(random: np.random.Generator, size: int) -> Iterator[Drawn]:
        source = 22 + random.gamma(2.0, 4.0, size)
        lost = random.normal(0.05, 0.1, size) + np.where(random.random(size) < rare, loss, 0.0)
        first, second = (Values(one, 0.0, 100.0) for one in (source, source - lost))
        yield Drawn("mean PSNR", 30.0, False, first.mean)
        yield Drawn("drop in mean PSNR", 0.05 + rare * loss, True, first.minus(second))

    return scenario


def similarities(rare: float) -> Scenario:
    """SSIM near 1, with a few images far below; the artifact loses on these."""

    def scenario(random: np.random.Generator, size: int) -> Iterator[Drawn]:
        bad = random.random(size) < rare
        source = np.where(bad, random.beta(5, 5, size), random.beta(60, 1.5, size))
        artifact = source * np.where(random.random(size) < rare, 0.5, 0.999)
        first, second = (Values(one, 0.0, 1.0) for one in (source, artifact))
        value = rare * 0.5 + (1 - rare) * 60 / 61.5
        yield Drawn("mean SSIM, agreement", value, False, first.mean)
        yield Drawn(
            "drop in mean SSIM", value * (1 - rare * 0.5 - (1 - rare) * 0.999), True, first.minus(second)
        )

    return scenario


def grouped(images: int, correlation: float, flips: float) -> Scenario:
    """Groups of `images` images, whose flips, and errors of the source, have a correlation within a group."""

    def scenario(random: np.random.Generator, size: int) -> Iterator[Drawn]:
        groups = np.repeat(np.arange(size), images)
        scale = 1 / correlation - 1
        hits = random.random(len(groups)) < np.repeat(random.beta(0.85 * scale, 0.15 * scale, size), images)
        flip = random.random(len(groups)) < np.repeat(
            random.beta(flips * scale, (1 - flips) * scale, size), images
        )
        source, artifact = Hits(hits, groups), Hits(hits & ~flip, groups)
        yield Drawn("accuracy", 0.85, False, share_mean(hits.astype(np.float64), np.ones(len(hits)), groups))
        yield Drawn("drop in accuracy", 0.85 * flips, True, source.minus(artifact))
        true = random.integers(0, 4, len(groups))
        found = np.where(hits, true, (true + random.integers(1, 4, len(groups))) % 4)
        kept = np.where(flip, (found + random.integers(1, 4, len(groups))) % 4, found)
        answers = 0.05 + 0.8 * np.eye(4)
        changed = (1 - flips) * answers + flips * (1 - answers) / 3
        of_classes = [members(one, 4) for one in (true, found, kept)]
        yield from class_rows(*of_classes, [answers / 4, changed / 4], groups)
        noise = 30 + np.repeat(random.normal(0, 2, size), images) + random.normal(0, 2, len(groups))
        lost = 0.05 + np.repeat(random.normal(0, 0.1, size), images) + 3.0 * flip
        first, second = (Values(one, 0.0, 100.0, groups) for one in (noise, noise - lost))
        yield Drawn("mean PSNR", 30.0, False, first.mean)
        yield Drawn("drop in mean PSNR", 0.05 + 3 * flips, True, first.minus(second))

    return scenario


@dataclass(frozen=True)
class Scores:
    """A population of images with the scores of a classifier of ten classes.

    Attributes:
        sharpness: temperature by which its logits would have to be divided: 1 is calibrated, above 1 is sure
            too often.
        images: size of the set whose values stand for those of the population.
    """

    sharpness: float
    images: int = 200_000

    @cached_property
    def truth(self) -> tuple[float, float]:
        """Calibration error, and change of the log loss, of the population: expected over the labels."""
        scores, scaled, likely = self._scores(np.random.default_rng(99), self.images)
        best = scores.argmax(axis=1)
        confidence, right = (one[np.arange(len(one)), best] for one in (scores, likely))
        places = np.ceil(confidence * 15).astype(np.intp) - 1
        error = np.abs(np.bincount(places, confidence - right, 15)).sum() / self.images
        change = (likely * (np.log(scores) - np.log(scaled))).sum(axis=1).mean()
        return float(error), float(change)

    def __call__(self, random: np.random.Generator, size: int) -> Iterator[Drawn]:
        """One set."""
        scores, scaled, likely = self._scores(random, size)
        labels = _chosen(random, likely)
        best = scores.argmax(axis=1)
        confidence = scores[np.arange(size), best].astype(np.float32)
        error = Reliability.of(confidence, labels == best).interval
        if error is not None:
            yield _interval("calibration error", self.truth[0], error)
        true = members(labels, scores.shape[1])
        before, after = (
            log_losses(one.astype(np.float32), true, 1e-7, multi_label=False) for one in (scores, scaled)
        )
        change = change_interval(before, after)
        if change is not None:
            yield _interval("change of the log loss", self.truth[1], change)

    def _scores(self, random: np.random.Generator, size: int) -> tuple[Floats, Floats, Floats]:
        """The scores, those after a temperature of 1.25, and the probabilities of the labels."""
        logits = random.normal(0, 2, (size, 10)) * random.gamma(2.0, 0.75, (size, 1))
        return tuple(  # type: ignore[return-value]
            _softmax(logits / temperature) for temperature in (1.0, 1.25, self.sharpness)
        )


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def scenarios() -> dict[str, Scenario]:
    """Name -> scenario, of independent images."""
    ten, two = np.full(10, 0.1), np.array([0.95, 0.05])
    return {
        **{f"{100 * share:g} % of the images": Proportion(share) for share in (0.75, 0.95, 0.99, 0.999)},
        **{
            f"{100 * lost:g} % lost, {100 * gained:g} % gained": HitDrop(lost, gained)
            for lost, gained in ((0, 0), (0.002, 0), (0.005, 0.005), (0.01, 0.002), (0.03, 0.01), (0.1, 0.1))
        },
        **{
            f"10 classes, {100 * flips:g} % flip": Classifiers(ten, _answers(10, 0.85), np.full(10, flips), 0)
            for flips in (0.0, 0.002, 0.01, 0.05)
        },
        **{
            f"95:5, {100 * flips[0]:g} and {100 * flips[1]:g} % flip": Classifiers(
                two, np.array([[0.97, 0.03], [0.2, 0.8]]), np.array(flips), 1
            )
            for flips in ((0.0, 0.0), (0.002, 0.002), (0.01, 0.01), (0.01, 0.1), (0.05, 0.05))
        },
        **{f"five labels, {100 * flips:g} % flip": many_labels(flips) for flips in (0.0, 0.002, 0.01)},
        **{
            f"three classes of objects, {100 * flips:g} % flip": Detectors(flips)
            for flips in (0.0, 0.01, 0.05)
        },
        **{f"boxes, {100 * alike:g} % alike": boxes(alike) for alike in (0.9, 0.97)},
        **{
            f"{100 * rare:g} % of the images lose {loss:g} dB": decibels(rare, loss)
            for rare, loss in ((0.0, 0.0), (0.01, 6.0), (0.05, 3.0))
        },
        **{f"{100 * rare:g} % of the images are unlike": similarities(rare) for rare in (0.002, 0.01, 0.05)},
        **{
            f"scores that need a temperature of {sharpness:g}": Scores(sharpness)
            for sharpness in (1.0, 1.25, 2.0)
        },
    }


def group_scenarios() -> dict[str, Scenario]:
    """Name -> scenario, of images that belong together; the size is the number of groups."""
    return {
        f"groups of {images}, correlation {correlation:g}, {100 * flips:g} % flip": grouped(
            images, correlation, flips
        )
        for images, correlation, flips in ((20, 0.1, 0.01), (20, 0.5, 0.01), (5, 0.1, 0.05), (20, 0.1, 0.001))
    }


def main() -> None:
    """Simulate, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000, help="simulated sets per row; see sets_of")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="images per set")
    options = parser.parse_args()
    rows: list[Row] = []
    for named, sizes in ((scenarios(), options.sizes), (group_scenarios(), (20, 100))):
        for name, scenario in named.items():
            if options.only not in name:
                continue
            started = time.monotonic()
            for size in sizes:
                rows += simulate(name, scenario, size, sets_of(scenario, options.sets))
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    inside = sum(row.passed for row in rows)
    print(_INTRODUCTION.format(rows=len(rows), inside=inside))
    print(table(rows))
    sys.exit(0 if all(row.passed for row in rows) else 1)


def sets_of(scenario: Scenario, sets: int) -> int:
    """Twice as many sets of cheap scenarios, and fewer of expensive ones."""
    if isinstance(scenario, (Proportion, HitDrop)):
        return 2 * sets
    return max(1, round(sets * 0.4)) if isinstance(scenario, Detectors) else sets


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown, by metric."""
    lines = [
        "| interval | population | size | sets | coverage | beyond | mean width |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    by_metric = sorted(rows, key=lambda row: (row.metric.removeprefix("drop in "), row.metric))
    for row in by_metric:
        outside = "" if row.passed else " **outside**"
        shares = f"{row.covered:.3f}{outside} | {row.beyond:.3f} | {row.width:.4f}"
        lines.append(f"| {row.metric} | {row.scenario} | {row.size} | {row.sets} | {shares} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
