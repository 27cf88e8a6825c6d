"""Confusion and reliability of a classifier's predictions, for the source and every artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.evidence.records import Evidence
from edgevision.metrics.changes import Confusion
from edgevision.metrics.comparison import ClassifyDetails, LabelAgreement
from edgevision.metrics.reliability import Reliability
from edgevision.reporting.prediction_charts import MOST_DRAWN_CLASSES, confusion_chart, reliability_chart

_MOST_PAIRS = 15
SOURCE = "source"


@dataclass(frozen=True)
class Predictions:
    """Confusion and reliability of all models.

    Attributes:
        models: the source first.
        confusions: (model, chart as SVG); empty with too many classes to draw.
        pairs: (true class, predicted class, images per model): the most frequent confusions.
        reliabilities: (model, reliability, chart as SVG).
    """

    models: tuple[str, ...]
    confusions: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str, tuple[int, ...]], ...]
    reliabilities: tuple[tuple[str, Reliability, str], ...]


def predictions(evidence: Evidence, labels: Sequence[str]) -> Predictions | None:
    """Confusion and reliability of all models; `None` without ground truth, or for another task."""
    details = [(result.artifact, result.comparison.details) for result in evidence.results]
    classified = [(name, one) for name, one in details if isinstance(one, ClassifyDetails)]
    confused = [(name, one) for name, one in classified if one.artifact_confusion]
    reliabilities = _reliabilities(classified)
    if not confused and not reliabilities:
        return None
    confusions = [one.artifact_confusion for _, one in confused if one.artifact_confusion]
    confusions = [one.source_confusion for _, one in confused[:1] if one.source_confusion] + confusions
    models = (SOURCE, *(name for name, _ in confused))
    names = _names(labels, confusions)
    return Predictions(models, _charts(models, confusions, names), _pairs(confusions, names), reliabilities)


def label_agreements(evidence: Evidence) -> list[tuple[str, tuple[LabelAgreement, ...]]]:
    """(artifact, agreement on each label) of the artifacts with independent scores."""
    details = [(result.artifact, result.comparison.details) for result in evidence.results]
    found = [(name, one.by_label) for name, one in details if isinstance(one, ClassifyDetails)]
    return [(name, rows) for name, rows in found if rows]


def _names(labels: Sequence[str], confusions: Sequence[Confusion]) -> list[str]:
    classes = max((1 + max(row, column) for one in confusions for row, column, _ in one.cells), default=0)
    return [*labels, *(f"class {number}" for number in range(len(labels), classes))]


def _charts(
    models: Sequence[str], confusions: Sequence[Confusion], names: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    if not confusions or len(names) > MOST_DRAWN_CLASSES:
        return ()
    before, *after = (one.matrix(len(names)) for one in confusions)
    charts = [confusion_chart("confusion-0", f"Confusion matrix of the {models[0]}", before, names)]
    charts += [
        confusion_chart(f"confusion-{place}", f"Confusion matrix of {models[place]}", matrix, names, before)
        for place, matrix in enumerate(after, 1)
    ]
    return tuple(zip(models, charts, strict=True))


def _pairs(
    confusions: Sequence[Confusion], names: Sequence[str]
) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    counts = [{(row, column): count for row, column, count in one.cells} for one in confusions]
    wrong = {pair for one in counts for pair in one if pair[0] != pair[1]}
    most = sorted(wrong, key=lambda pair: (-max(one.get(pair, 0) for one in counts), pair))[:_MOST_PAIRS]
    return tuple(
        (names[row], names[column], tuple(one.get((row, column), 0) for one in counts))
        for row, column in most
    )


def _reliabilities(
    details: Sequence[tuple[str, ClassifyDetails]],
) -> tuple[tuple[str, Reliability, str], ...]:
    rows = [(name, one.artifact_reliability) for name, one in details]
    rows = [(SOURCE, one.source_reliability) for _, one in details[:1]] + rows
    return tuple(
        (name, one, reliability_chart(f"reliability-{place}", f"Reliability of {name}", one))
        for place, (name, one) in enumerate(rows)
        if one is not None
    )
