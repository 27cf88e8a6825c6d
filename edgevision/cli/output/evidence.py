"""Evidence as tables, printed by `convert` and `inspect`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from edgevision.calibration.findings import Coverage
from edgevision.cli.lines import echo_line
from edgevision.cli.output.sets import describe_set, echo_findings
from edgevision.cli.output.tables import echo_table
from edgevision.evidence.attention import AttentionDrift, drift_verdict
from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.evidence.operating_texts import operating_cost
from edgevision.evidence.records import Attempt, Evidence, Measured
from edgevision.evidence.requirements import Requirement
from edgevision.evidence.sample_texts import images_text
from edgevision.evidence.temperatures import log_loss_change
from edgevision.metrics.calibration_texts import calibrated_error, calibration_error
from edgevision.metrics.comparison import ClassifyDetails, Metric
from edgevision.metrics.formatting import (
    comparison_methods,
    confidence_of,
    drop_column,
    drop_of,
    in_unit,
    level,
    method_of,
    methods_of,
    size,
    threshold_text,
    with_interval,
)
from edgevision.system.decimals import decimals, significant


def echo_evidence(evidence: Evidence) -> None:
    """Print one row per artifact, then its other metrics, notes, warnings and calibration findings."""
    facts = evidence.evaluation
    labels = "with ground truth" if facts.labelled else "without ground truth: agreement only"
    echo_line(f"measured on {describe_set(facts)}, {labels}")
    comparisons = [result.comparison for result in evidence.results]
    first = comparisons[0]
    shown = [metric for one in comparisons for metric in one.metrics[:1]]
    metric = (first.metrics[0].name, "source", drop_column(shown)) if shown else ()
    header = (
        "artifact",
        "runs on",
        "size",
        f"agreement ({confidence_of(one.agreement_interval for one in comparisons)})",
        *first.likeness,
        *metric,
        "max. difference",
        "latency (CPU)",
        "result",
    )
    echo_table(header, [_row(result) for result in evidence.results])
    _echo_methods(comparison_methods(comparisons))
    _echo_requirements(evidence)
    _echo_attempts(evidence)
    others = [
        (result.artifact, metric) for result in evidence.results for metric in result.comparison.metrics[1:]
    ]
    if others:
        metrics = [metric for _, metric in others]
        click.echo()
        echo_table(
            ("artifact", "metric", "value", "source", drop_column(metrics)),
            [(artifact, metric.name, *_metric_cells(metric)) for artifact, metric in others],
        )
        _echo_methods(methods_of((f"drop in {metric.name}", metric.drop_interval) for metric in metrics))
    _echo_training_input(evidence)
    _echo_attention(evidence)
    _echo_operating_points(evidence)
    _echo_temperatures(evidence)
    _echo_prediction_sets(evidence)
    for missing in evidence.missing:
        echo_line(f"missing: {missing.artifact} for {', '.join(missing.targets)}: {missing.reason}")
    for result in evidence.results:
        if result.quantization is not None:
            for note in result.quantization.notes:
                echo_line(f"{result.artifact}: {note}")
    _echo_worst_labels(evidence)
    notes = (note for result in evidence.results for note in result.comparison.notes)
    for note in dict.fromkeys([*evidence.notes, *notes]):
        echo_line(f"note: {note}")
    echo_findings(evidence.calibration_findings)
    if evidence.calibration_coverage is not None:
        echo_line(f"calibration: {_coverage(evidence.calibration_coverage)}")


def _echo_requirements(evidence: Evidence) -> None:
    """Print each limit with the measured value, and the unfavourable end of its interval, which is judged."""
    rows = [
        (
            result.artifact,
            requirement.what,
            requirement.required_text,
            requirement.measured_text,
            requirement.bound_text + (f" ({requirement.basis})" if requirement.basis else ""),
            requirement.status,
            images_text(requirement.images_needed, evidence.evaluation),
        )
        for result in evidence.results
        for requirement in result.requirements
    ]
    if rows:
        click.echo()
        header = ("artifact", "requirement", "limit", "measured", "at worst", "result", "would be shown by")
        shown = len(header) if any(row[-1] for row in rows) else len(header) - 1
        echo_table(header[:shown], [row[:shown] for row in rows])


def _echo_methods(methods: str) -> None:
    if methods:
        echo_line(f"confidence intervals: {methods}")


def _echo_training_input(evidence: Evidence) -> None:
    """Print what decoder and preprocessing change, above what each conversion changes."""
    found = evidence.training_input
    if found is None:
        return
    echo_line()
    echo_line(f"decoder and preprocessing, against quantization (on {found.measured_on})")
    steps = found.steps((result.artifact, result.comparison) for result in evidence.results)
    metrics = [comparison.metrics[0] for _, comparison in steps if comparison.metrics]
    header = ("step", "agreement", *((metrics[0].name, "before", drop_column(metrics)) if metrics else ()))
    echo_table(
        header,
        [
            (
                name,
                with_interval(comparison.agreement, comparison.agreement_interval, "share"),
                *(cell for metric in comparison.metrics[:1] for cell in _metric_cells(metric)),
            )
            for name, comparison in steps
        ],
    )
    _echo_methods(comparison_methods(comparison for _, comparison in steps))
    echo_line(f"before decoder and preprocessing: the source on images as read by {found.functions}")


def _echo_attention(evidence: Evidence) -> None:
    """Print how far the attention of each artifact has moved, beside what masks alone change."""
    source = evidence.attention
    measured = [(one.artifact, one.attention) for one in evidence.results if one.attention is not None]
    if source is None or not measured:
        return
    echo_line()
    echo_line(f"attention drift from the source, on {source.measured_on}")
    rows = [
        (name, str(one.drift), str(one.overlap), drift_verdict(one.drift, source.noise), _most_moved(one))
        for name, one in measured
    ]
    (noise, *others) = source.other_maps
    rows.append((noise[0], str(noise[1]), str(source.noise_overlap), "", ""))
    rows += [(name, str(drift), "", "", "") for name, drift in others]
    level_text = confidence_of([source.noise.interval])
    header = ("model", f"drift ({level_text})", f"overlap of the top 10 % ({level_text})", "attention")
    echo_table((*header, "most on"), rows)
    _echo_methods(methods_of([("drift, overlap", source.noise.interval)]))
    models = [(name, one.faithfulness) for name, one in measured] + [("source", source.faithfulness)]
    echo_line("maps compared with random ones, by the mean score while their pixels are shown or hidden")
    echo_table(
        ("model", "ahead by insertion", "ahead by deletion"),
        [(name, str(one.insertion), str(one.deletion)) for name, one in models],
    )
    _echo_warnings([("attention", tuple(source.doubts))])


def _most_moved(found: AttentionDrift) -> str:
    """Such as ``cat/0140.png (rank correlation 0.41)``."""
    worst = found.worst[0]
    return f"{worst.image} (rank correlation {decimals(worst.correlation, 2)})"


def _echo_operating_points(evidence: Evidence) -> None:
    points = [
        (result.artifact, result.operating_point)
        for result in evidence.results
        if result.operating_point is not None
    ]
    if not points:
        return
    first = points[0][1]
    required = f"{first.metric} of at least {in_unit(first.at_least, 'share')} {first.guarantee}"
    images = f"{first.positives[1]} images of '{first.positive}'"
    limit = f"lower {level(first.limit_confidence)} limit (one-sided, Clopper-Pearson)"
    echo_line()
    echo_line(f"operating point of '{first.positive}': {required}, measured on {images}")
    intervals = [(one.name, one.artifact_interval) for _, point in points for one in point.point.evaluation]
    echo_table(
        (
            "artifact",
            "threshold",
            "metric",
            f"value ({confidence_of(interval for _, interval in intervals)})",
            limit,
            "source",
            "on calibration set",
        ),
        [
            (
                artifact,
                threshold_text(point.point.threshold),
                metric.name,
                with_interval(metric.artifact, metric.artifact_interval, "share", [point.at_least]),
                _lower_limit(point, metric.name),
                in_unit(metric.source, "share"),
                in_unit(calibration.artifact, "share"),
            )
            for artifact, point in points
            for metric, calibration in zip(point.point.evaluation, point.point.calibration, strict=True)
        ],
    )
    _echo_methods(methods_of(intervals))
    for name, point in points:
        echo_line(f"{name}: {operating_cost(point)}")
    echo_line(f"source: {operating_cost(first, of_source=True)}")
    _echo_warnings([(artifact, point.warnings) for artifact, point in points])


def _lower_limit(point: OperatingEvidence, metric: str) -> str:
    """The limit that is judged, beside the metric that was required."""
    if point.lower_limits is None or metric != point.metric:
        return ""
    return in_unit(point.lower_limits[1], "share", [point.at_least])


def _echo_temperatures(evidence: Evidence) -> None:
    temperatures = [
        (result.artifact, result.temperature) for result in evidence.results if result.temperature is not None
    ]
    if not temperatures:
        return
    rows = [(artifact, fitted.artifact) for artifact, fitted in temperatures]
    rows.append(("source", temperatures[0][1].source))
    echo_line()
    echo_line("calibrated scores, before and after temperature scaling (lower is better)")
    echo_table(
        (
            "artifact",
            "temperature",
            "log loss before",
            "after",
            f"change ({confidence_of(fit.change for _, fit in rows)})",
        ),
        [
            (
                name,
                f"{fit.temperature:.4g}",
                f"{fit.before.nll:.4f}",
                f"{fit.after.nll:.4f}",
                log_loss_change(fit),
            )
            for name, fit in rows
        ],
    )
    echo_table(
        ("artifact", "calibration error (ECE) before", "after", "of a perfectly calibrated model, after"),
        [
            (
                name,
                calibration_error(fit.before.reliability),
                calibration_error(fit.after.reliability),
                calibrated_error(fit.after.reliability),
            )
            for name, fit in rows
        ],
    )
    _echo_warnings([(artifact, fitted.warnings) for artifact, fitted in temperatures])


def _echo_prediction_sets(evidence: Evidence) -> None:
    fitted = [(one.artifact, one.prediction_sets) for one in evidence.results if one.prediction_sets]
    if not fitted:
        return
    first = fitted[0][1]
    rule = first.rule
    echo_line()
    echo_line(
        f"prediction sets ({rule.method.upper()}) with a coverage of {in_unit(rule.coverage, 'share')}, set "
        f"on {rule.images} calibration images, measured on {first.artifact.images} evaluation images"
    )
    rows = [(name, one.artifact) for name, one in fitted] + [("source", first.source)]
    echo_table(
        ("artifact", f"coverage ({method_of(first.artifact.interval)})", "mean size", "one class", "none"),
        [
            (
                name,
                with_interval(one.coverage, one.interval, "share"),
                f"{one.mean_size:.2f}",
                in_unit(one.single / one.images, "share"),
                in_unit(one.empty / one.images, "share"),
            )
            for name, one in rows
        ],
    )
    low, high = (in_unit(limit, "share") for limit in first.expected)
    echo_line(f"95 % of calibration sets of this size have a coverage of {low} to {high}")
    for name, one in fitted:
        if one.by_class:
            worst = one.by_class[0]
            shown = with_interval(worst.covered / worst.images, worst.interval, "share")
            echo_line(f"{name}: the lowest coverage of a class is that of '{worst.label}', {shown}")
    _echo_warnings([(name, one.warnings) for name, one in fitted])


def _echo_worst_labels(evidence: Evidence) -> None:
    """Print the label that each artifact decides differently most often, for independent scores."""
    for result in evidence.results:
        details = result.comparison.details
        if isinstance(details, ClassifyDetails) and details.by_label:
            worst = details.by_label[0]
            echo_line(
                f"{result.artifact}: the lowest agreement of a label is that of '{worst.label}', "
                f"{with_interval(worst.agreement, worst.interval, 'share')} "
                f"({method_of(worst.interval)}): "
                f"{worst.lost} lost, {worst.gained} gained"
            )


def _echo_warnings(warnings: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    for artifact, texts in warnings:
        for text in texts:
            echo_line(f"warning: {artifact}: {text}")


def _coverage(coverage: Coverage) -> str:
    clipped, unsteady = (in_unit(share, "share") for share in (coverage.clipped, coverage.unsteady))
    return (
        f"{clipped} of activations on {coverage.evaluation_images} evaluation images lie outside the ranges "
        f"of {coverage.calibration_images} calibration images; ranges of its two halves differ by {unsteady} "
        "in the median layer"
    )


def _echo_attempts(evidence: Evidence) -> None:
    """Print the candidates that the search tried and rejected, and the layers that stay in float."""
    written = {result.artifact for result in evidence.results}
    rejected = [attempt for attempt in evidence.attempts if attempt.artifact not in written]
    for attempt in rejected:
        missed = ", ".join(_missed(one) for one in attempt.requirements if not one.passed)
        reason = attempt.error or missed or attempt.slower or f"within the budget, but {_outdone(attempt)}"
        echo_line(f"rejected {attempt.artifact}: {reason}")
    for result in evidence.results:
        if result.float_layers:
            echo_line(f"{result.artifact} keeps these layers in float: {', '.join(result.float_layers)}")


def _outdone(attempt: Attempt) -> str:
    """The reason why a candidate within the budget was not chosen."""
    if attempt.float_layers:
        return "with more float layers than necessary"
    return "a cheaper one was chosen" if attempt.latency_ms is None else "a cheaper one is as fast"


def _missed(requirement: Requirement) -> str:
    """Such as ``drop in accuracy not shown: 0.20 percentage points, at worst 0.79 …, limit 0.50 …``."""
    worst = "" if requirement.bound == requirement.measured else f", at worst {requirement.bound_text}"
    return (
        f"{requirement.what} {requirement.status}: {requirement.measured_text}{worst}, "
        f"limit {requirement.limit_text}"
    )


def _row(result: Measured) -> tuple[str, ...]:
    comparison = result.comparison
    metrics = [
        cell for metric in comparison.metrics[:1] for cell in _metric_cells(metric, result.drop_limits)
    ]
    likeness = [significant(value, 4, (0.0, 1.0)) for value in comparison.likeness.values()]
    return (
        result.artifact,
        _runs_on(result),
        size(result.size_bytes),
        with_interval(comparison.agreement, comparison.agreement_interval, "share", result.agreement_limits),
        *likeness,
        *metrics,
        f"{comparison.largest_difference:.2g}",
        _latency(result),
        result.status + (", accepted" if result.accepted_not_shown else ""),
    )


def _latency(result: Measured) -> str:
    """Such as ``0.31 ms (0.30)``: the median wall time of a run, and the CPU time of all threads."""
    if result.latency_ms is None:
        return "not measured"
    cpu = "" if result.timing is None else f" ({result.timing.cpu_ms:.3g})"
    return f"{result.latency_ms:.3g} ms{cpu}"


def _metric_cells(metric: Metric, limits: Sequence[float] = ()) -> tuple[str, str, str]:
    artifact, source, unit = metric.artifact, metric.source, metric.unit
    return in_unit(artifact, unit, [source]), in_unit(source, unit, [artifact]), drop_of(metric, limits)


def _runs_on(result: Measured) -> str:
    """Backend and device, and the compute precision if it is lower than the artifact's name says."""
    lowered = result.artifact.endswith(("float32", "float16")) and not result.artifact.endswith(
        result.precision
    )
    return f"{result.backend} {result.device}" + (f" in {result.precision}" if lowered else "")
