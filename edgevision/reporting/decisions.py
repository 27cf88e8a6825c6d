"""What a classifier decides, before and after: what is taken for what, and how far scores can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.evidence.records import Evidence
from edgevision.metrics.changes import Confusion
from edgevision.metrics.comparison import ClassifyDetails
from edgevision.reporting.decision_charts import MOST_DRAWN_CLASSES, confusion_chart, reliability_chart

_MOST_PAIRS = 15
SOURCE = "source"


@dataclass(frozen=True)
class Decisions:
    """The decisions of all models.

    Attributes:
        models: the source first.
        confusions: (model, chart as SVG); empty where there are too many classes to draw.
        pairs: (true class, class decided for, images a model): what is confused most.
        reliabilities: (model, expected calibration error, chart as SVG).
    """

    models: tuple[str, ...]
    confusions: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str, tuple[int, ...]], ...]
    reliabilities: tuple[tuple[str, float, str], ...]


def decisions(evidence: Evidence, labels: Sequence[str]) -> Decisions | None:
    """The decisions of all models; `None` where the truth is not known, or none are taken."""
    details = [(one.artifact, one.comparison.details) for one in evidence.results]
    reliable = [(name, one) for name, one in details if isinstance(one, ClassifyDetails)]
    told = [(name, one) for name, one in reliable if one.artifact_confusion]
    reliabilities = _reliabilities(reliable)
    if not told and not reliabilities:
        return None
    confusions = [one.artifact_confusion for _, one in told if one.artifact_confusion]
    confusions = [one.source_confusion for _, one in told[:1] if one.source_confusion] + confusions
    models = (SOURCE, *(name for name, _ in told))
    names = _names(labels, confusions)
    return Decisions(models, _charts(models, confusions, names), _pairs(confusions, names), reliabilities)


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
    told: Sequence[tuple[str, ClassifyDetails]],
) -> tuple[tuple[str, float, str], ...]:
    found = [(name, one.artifact_reliability) for name, one in told]
    found = [(SOURCE, one.source_reliability) for _, one in told[:1]] + found
    return tuple(
        (name, one.ece, reliability_chart(f"reliability-{place}", f"Reliability of {name}", one))
        for place, (name, one) in enumerate(found)
        if one is not None
    )
