"""Tables and charts of the metrics of the source and every artifact, overall and by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgevision.evidence.records import Evidence, Measured
from edgevision.metrics.comparison import ClassMetrics, Metric
from edgevision.metrics.formatting import (
    METHODS,
    SOURCES,
    confidence_of,
    drop_of,
    method_of,
    metric_methods,
    unit_of_points,
    with_interval,
)
from edgevision.metrics.intervals import Interval
from edgevision.reporting.interval_charts import ChartAxis, Row, class_chart, interval_chart

#: With more classes than this, a chart by class says less than its table.
_MOST_DRAWN_CLASSES = 40


@dataclass(frozen=True)
class MetricTable:
    """One metric of all models.

    Attributes:
        name: such as ``accuracy``.
        unit: ``share`` or ``dB``.
        rows: (artifact, metric), one or more.
        chart: source and artifacts with their intervals, as SVG.
        method: method of the intervals; empty without intervals.
    """

    name: str
    unit: str
    rows: tuple[tuple[str, Metric], ...]
    chart: str
    method: str


@dataclass(frozen=True)
class ClassMetricTable:
    """One metric of all models by class.

    Attributes:
        name: such as ``F1``.
        unit: ``share`` or ``dB``.
        rows: (class, support, one metric per artifact; `None` if the artifact has none for this class); of
            the classes that have it for some artifact.
        chart: SVG; empty with too many classes to draw.
        unit_of_drops: ``percentage points`` or ``dB``.
        methods: of the intervals, as `methods_of`.
    """

    name: str
    unit: str
    rows: tuple[tuple[str, int, tuple[Metric | None, ...]], ...]
    chart: str
    unit_of_drops: str
    methods: str


def metric_tables(evidence: Evidence) -> tuple[MetricTable, ...]:
    """One table per metric, in the order of the evidence; empty without ground truth."""
    names = list(dict.fromkeys(m.name for one in evidence.results for m in one.comparison.metrics))
    return tuple(_metric_table(place, name, evidence.results) for place, name in enumerate(names))


def interval_methods(tables: Sequence[MetricTable]) -> list[tuple[list[str], str]]:
    """(names of metrics, method of their intervals), one entry per method."""
    names: dict[str, list[str]] = {}
    for table in tables:
        if table.method:
            names.setdefault(table.method, []).append(table.name)
    return [(metrics, method) for method, metrics in names.items()]


def interval_sources(evidence: Evidence) -> list[str]:
    """The publication of each method of the evidence's intervals: ``Gaffke, by image: Gaffke 2005, …``."""
    methods = dict.fromkeys(interval.method for interval in _intervals(evidence))
    return [f"{METHODS.get(method, method)}: {SOURCES.get(method, 'see the library')}" for method in methods]


def _intervals(evidence: Evidence) -> Iterator[Interval]:
    for result in evidence.results:
        comparison, point = result.comparison, result.operating_point
        metrics = [*comparison.metrics, *(one for row in comparison.by_class for one in row.metrics)]
        metrics += [] if point is None else point.point.evaluation
        found = [comparison.agreement_interval, *comparison.likeness_intervals.values()]
        found += [limits for one in metrics for limits in (one.artifact_interval, one.drop_interval)]
        yield from (interval for interval in found if interval is not None)


def cost_chart(evidence: Evidence) -> str:
    """Drop of each artifact in the main metric, or its agreement without ground truth, with the limit."""
    if all(one.comparison.metrics for one in evidence.results):
        return _drop_chart(evidence.results)
    rows = [_agreement_row(one) for one in evidence.results]
    limit = _limit(evidence.results, "agreement")
    confidence = confidence_of(one.comparison.agreement_interval for one in evidence.results)
    title = f"Agreement with the source, with intervals ({confidence})"
    return interval_chart("cost", title, ChartAxis("agreement, %", limit=limit), rows)


def class_metric_tables(evidence: Evidence) -> tuple[ClassMetricTable, ...]:
    """One table per metric by class, in the order of the evidence; empty without metrics by class."""
    by_class = [{row.label: row for row in one.comparison.by_class} for one in evidence.results]
    labels = list(dict.fromkeys(label for rows in by_class for label in rows))
    metrics: dict[str, Metric] = {}
    for metric in (one for rows in by_class for row in rows.values() for one in row.metrics):
        metrics.setdefault(metric.name, metric)
    models = [one.artifact for one in evidence.results]
    return tuple(
        _class_metric_table(place, metric, labels, by_class, models)
        for place, metric in enumerate(metrics.values())
    )


def _metric_table(place: int, name: str, results: Sequence[Measured]) -> MetricTable:
    pairs = [
        (one.artifact, metric) for one in results for metric in one.comparison.metrics if metric.name == name
    ]
    first = pairs[0][1]
    rows = [_row("source", first.source, first.source_interval, first.unit, True)]
    rows += [_row(artifact, one.artifact, one.artifact_interval, one.unit) for artifact, one in pairs]
    intervals = [interval for _, one in pairs for interval in (one.source_interval, one.artifact_interval)]
    axis, title = _axis(name, first.unit), f"{name}, with intervals ({confidence_of(intervals)})"
    chart = interval_chart(f"metric-{place}", title, axis, rows, show_values=False)
    return MetricTable(name, first.unit, tuple(pairs), chart, _method(first))


def _drop_chart(results: Sequence[Measured]) -> str:
    metrics = [(one.artifact, one.comparison.metrics[0]) for one in results]
    first = metrics[0][1]
    factor = 100.0 if first.unit == "share" else 1.0
    limit = _limit(results, f"drop in {first.name}")
    against = [] if limit is None else [limit]
    rows = [Row(artifact, one.drop, one.drop_interval, drop_of(one, against)) for artifact, one in metrics]
    axis = ChartAxis(f"drop in {first.name}, {unit_of_points(first.unit)}", factor, limit, zero=True)
    confidence = confidence_of(one.drop_interval for _, one in metrics)
    return interval_chart("cost", f"Drop in {first.name}, with intervals ({confidence})", axis, rows)


def _limit(results: Sequence[Measured], what: str) -> float | None:
    """The strictest limit among the requirements."""
    limits = [requirement for one in results for requirement in one.requirements if requirement.what == what]
    if not limits:
        return None
    values = [requirement.limit for requirement in limits]
    return max(values) if limits[0].at_least else min(values)


def _class_metric_table(
    place: int,
    metric: Metric,
    labels: Sequence[str],
    by_class: Sequence[dict[str, ClassMetrics]],
    models: Sequence[str],
) -> ClassMetricTable:
    rows = []
    for label in labels:
        found = [_metric_of(classes.get(label), metric.name) for classes in by_class]
        if not any(found):
            continue  # a class may have other metrics than the rest
        support = next(classes[label].support for classes in by_class if label in classes)
        rows.append((label, support, tuple(found)))
    chart = ""
    if len(rows) <= _MOST_DRAWN_CLASSES:
        series = [("source", [_source_row(found) for _, _, found in rows])]
        series += [
            (model, [_class_row(found[at]) for _, _, found in rows]) for at, model in enumerate(models)
        ]
        axis = _axis(metric.name, metric.unit)
        names = [label for label, _, _ in rows]
        chart = class_chart(f"class-{place}", f"{metric.name} by class", axis, names, series)
    known = [one for _, _, found in rows for one in found if one is not None]
    return ClassMetricTable(
        metric.name, metric.unit, tuple(rows), chart, unit_of_points(metric.unit), metric_methods(known)
    )


def _metric_of(row: ClassMetrics | None, name: str) -> Metric | None:
    return next((one for one in row.metrics if one.name == name), None) if row else None


def _source_row(found: Sequence[Metric | None]) -> Row | None:
    known = next((one for one in found if one is not None), None)
    return None if known is None else _row("", known.source, None, known.unit, True)


def _class_row(metric: Metric | None) -> Row | None:
    return None if metric is None else _row("", metric.artifact, None, metric.unit)


def _agreement_row(result: Measured) -> Row:
    comparison = result.comparison
    return _row(result.artifact, comparison.agreement, comparison.agreement_interval, "share")


def _row(label: str, value: float, interval: Interval | None, unit: str, of_source: bool = False) -> Row:
    return Row(label, value, interval, with_interval(value, interval, unit), of_source)


def _axis(name: str, unit: str) -> ChartAxis:
    return ChartAxis(f"{name}, %") if unit == "share" else ChartAxis(f"{name}, {unit}", 1.0)


def _method(metric: Metric) -> str:
    """Such as ``Clopper-Pearson, 95 %; of the drop: Gaffke, paired, 95 %``; empty without intervals."""
    intervals = [metric.source_interval, metric.drop_interval]
    methods = [method_of(one) for one in intervals if one is not None]
    return "; of the drop: ".join(dict.fromkeys(methods))
