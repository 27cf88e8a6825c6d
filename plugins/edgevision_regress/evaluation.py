"""Evaluation of regressions: agreement of values, MAE, RMSE and R², and limits of agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    ClassMetricValues,
    Comparison,
    ImageEvaluator,
    ImageSet,
    ImageTaskEvaluation,
    InputError,
    Measures,
    MetricValue,
    NetworkFacts,
    Pixels,
    SourceModel,
    mean_error,
    mean_of,
    share_of,
)
from edgevision_regress.description import RegressTask
from edgevision_regress.model import Regression, class_labels
from edgevision_regress.recognition import described
from edgevision_regress.root_mean_square import root_mean_square
from edgevision_regress.truth import Table, read_values

Floats = NDArray[np.float64]
#: Standard deviations around the mean difference that 95 % of normal differences lie within.
_NORMAL_95 = 1.96


class RegressionEvaluator(ImageEvaluator):
    """Compares regressions with their source; see `edgevision.tasks.api.Evaluator`.

    The arguments are those of `ImageEvaluator`, with float64 ``(images, values)`` as the ground truth.
    """

    @cached_property
    def _widths(self) -> Floats:
        return np.array([high - low for low, high in self.task.ranges])

    def compare(self, source: Sequence[Regression], artifact: Sequence[Regression]) -> Comparison:
        """As `Evaluator.compare`; differences are shares of the values' ranges."""
        shares = np.abs(_table(artifact) - _table(source)) / self._widths
        if self.task.classes:
            shares = np.column_stack([shares, _classes(artifact) != _classes(source)])
        alike = 1 - np.minimum(shares, 1).mean(axis=1)
        texts = [f"{a.lines()[0]} instead of {b.lines()[0]}" for a, b in zip(artifact, source, strict=True)]
        return self.compared(source, artifact, alike, shares.max(axis=1), texts)

    def representative(self, source: Sequence[Regression], count: int) -> list[int]:
        """The images whose values are spread most evenly, from the least to the greatest."""
        order = np.argsort((_table(source) / self._widths).sum(axis=1), kind="stable")
        places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
        return sorted(set(order[places].tolist()))

    def picture(self, image: Pixels, answer: Regression) -> Pixels:
        """As `PicturingEvaluator.picture`."""
        return answer.draw(image)

    def truth_picture(self, image: Pixels, place: int) -> Pixels | None:
        """As `PicturingEvaluator.truth_picture`."""
        if self.truth is None:
            return None
        values = self.truth[place].astype(np.float32)
        count = len(self.task.names)
        scores = (
            np.eye(len(self.labels), dtype=np.float32)[int(values[-1])] if self.task.classes else values[:0]
        )
        found = Regression(values[:count], self.task.names, self.task.units, self.labels, scores)
        return found.draw(image)

    def measured(self, answers: Sequence[Regression]) -> Measures:
        """As `ImageEvaluator.measured`; the error of an image is its mean, as a share of the ranges."""
        found, truth = _table(answers), self.truth[:, : len(self.task.names)]
        errors = np.abs(found - truth)
        metrics: list[MetricValue] = []
        if len(set(self.task.units)) == 1:
            largest = float(self._widths.max())
            metrics += self._errors(errors, self.task.units[0], largest)
        metrics.append(self._r_squared(truth, errors))
        by_value, notes = [], []
        for number, (name, unit) in enumerate(zip(self.task.names, self.task.units, strict=True)):
            column = slice(number, number + 1)
            one = self._errors(errors[:, column], unit, float(self._widths[number]))
            ratio = self._r_squared(truth[:, column], errors[:, column])
            by_value.append(ClassMetricValues(name, len(truth), (*one, ratio)))
            notes.append(f"{name}: {bland_altman(found[:, number] - truth[:, number]).text(unit)}")
        shares = (errors / self._widths).mean(axis=1)
        if self.task.classes:
            right = _classes(answers) == self.truth[:, -1]
            metrics.append(share_of("accuracy", right, groups=self.groups))
            shares = shares + ~right
        several = tuple(by_value) if len(by_value) > 1 else ()
        return Measures(tuple(metrics), several, shares, notes=tuple(notes))

    def _errors(self, errors: Floats, unit: str, largest: float) -> tuple[MetricValue, MetricValue]:
        unit = unit or "(no unit)"
        return (
            mean_error("MAE", errors.mean(axis=1), unit, largest=largest, groups=self.groups),
            root_mean_square((errors**2).mean(axis=1), largest, unit, self.groups),
        )

    def _r_squared(self, truth: Table, errors: Floats) -> MetricValue:
        variances = truth.var(axis=0)
        if not (variances > 0).all():
            raise InputError("a value is the same in all images of the ground truth, so R² is not defined")
        parts = 1 - (errors**2 / variances).mean(axis=1)
        # As far off as the whole range is the worst that an image can be.
        worst = 1 - float((self._widths.max() ** 2 / variances).mean())
        return mean_of("R²", parts, lowest=min(worst, float(parts.min())), groups=self.groups)


class RegressEvaluation(ImageTaskEvaluation):
    """As `edgevision.tasks.api.TaskEvaluation`."""

    evaluator = RegressionEvaluator
    truth_help = "FILE.csv, with the columns image and one for each value"

    def described(self, network: NetworkFacts) -> RegressTask:
        """As `ImageTaskEvaluation.described`."""
        return described(network)

    def labels(self, task: RegressTask, stated: tuple[str, ...], model: SourceModel) -> tuple[str, ...]:
        """The names of the classes beside the values, which have names of their own."""
        return class_labels(model.source.outputs, task, stated)

    def read_truth(self, path: Path, images: ImageSet, task: RegressTask, labels: tuple[str, ...]) -> Table:
        """As `ImageTaskEvaluation.read_truth`."""
        return read_values(path, images, task.names, labels)


@dataclass(frozen=True)
class BlandAltman:
    """The agreement of two methods of measurement (Bland and Altman 1986, The Lancet 327:307).

    Attributes:
        bias: mean difference.
        low, high: the limits of agreement, 1.96 standard deviations around it.
        bias_error, limit_error: half of the 95 % interval of the bias and of each limit (Bland and Altman
            1999, Statistical Methods in Medical Research 8:135): for differences that are about normal.
    """

    bias: float
    low: float
    high: float
    bias_error: float
    limit_error: float

    def text(self, unit: str) -> str:
        """One line, with the unit of the values."""
        return (
            f"bias {self.bias:.4g} ± {self.bias_error:.2g} {unit}".rstrip()
            + f", limits of agreement {self.low:.4g} and {self.high:.4g}, each ± {self.limit_error:.2g} "
            f"{unit}".rstrip()
            + " (95 % CI, normal)"
        )


def bland_altman(differences: Floats) -> BlandAltman:
    """Bias and limits of agreement of differences ``(n,)``, two or more."""
    count = max(2, len(differences))
    bias = float(differences.mean())
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    spread = _NORMAL_95 * deviation
    error = _NORMAL_95 * deviation / math.sqrt(count)
    return BlandAltman(bias, bias - spread, bias + spread, error, error * math.sqrt(3))


def _table(answers: Sequence[Regression]) -> Floats:
    return np.stack([one.values for one in answers]).astype(np.float64)


def _classes(answers: Sequence[Regression]) -> NDArray[np.int64]:
    return np.array([one.class_id for one in answers], np.int64)
