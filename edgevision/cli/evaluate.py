"""``edgevision evaluate``: measure a model on labelled images, on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.measure import (
    GROUND_TRUTH_OPTIONS,
    GROUPS_OPTION,
    SAMPLES_OPTION,
    run_settings_of,
    sampled_images,
)
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import ARTIFACT_OPTIONS, NO_TUNE_OPTION, SESSION_OPTIONS
from edgevision.cli.options.score import describe_score_calibration
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.evaluation_pictures import save_pictures
from edgevision.cli.output.left_out import echo_left_out
from edgevision.cli.output.sets import describe_set, echo_findings
from edgevision.cli.output.tables import echo_table
from edgevision.cli.output.terminal import progress_on, without_noise
from edgevision.errors import InputError
from edgevision.evaluation.evaluate import Evaluation, evaluate
from edgevision.metrics.calibration_texts import calibrated_error, calibration_error
from edgevision.metrics.changes import Confusion
from edgevision.metrics.formatting import (
    NO_INTERVAL,
    between,
    confidence_of,
    in_unit,
    method_of,
    methods_of,
    with_interval,
)
from edgevision.metrics.measures import ClassMetricValues
from edgevision.system.files import make_folder
from edgevision.tasks.kind import kind_of

#: Classes, confusions and images that a table shows; --json has all.
_MOST_ROWS = 40
_MOST_CONFUSIONS = 5
_MOST_IMAGES = 5


@click.command("evaluate", cls=GroupedCommand)
@click.argument("model", type=PATH)
@click.argument("data", type=PATH)
@under("Data", *GROUND_TRUTH_OPTIONS, GROUPS_OPTION, SAMPLES_OPTION)
@under("Model to run", *ARTIFACT_OPTIONS, *SESSION_OPTIONS, NO_TUNE_OPTION)
@under(BARE_HEADING, *BARE_OPTIONS)
@under(
    "Output",
    option("--save", type=PATH, help="Folder for pictures of the worst images."),
    option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)
@verbosity_options
def command(model: Path, data: Path, save: Path | None, as_json: bool, **arguments: Any) -> None:
    """Measure MODEL on the labelled images in DATA, with the metrics of a bundle's evidence.

    MODEL is a bundle, or a bare model file, such as .tflite, .xml or .onnx.

    DATA is a folder with one folder per class for a classifier, a folder with --annotations for a
    detector, a folder with --truth for an image-to-image model, or a zip of such a folder.
    """
    if save is not None:
        make_folder(save)
    images = sampled_images(data, arguments["samples"], arguments["groups"])
    with without_noise() as stderr, progress_on(stderr) as progress:
        evaluation = evaluate(
            model,
            images,
            run_settings_of(arguments),
            annotations=arguments["annotations"],
            truth=arguments["truth"],
            progress=progress,
        )
    unusable = len(images) - evaluation.data.images - evaluation.data.copies
    if save is not None:
        used = set(evaluation.image_names)
        shown = images.at([place for place, name in enumerate(images.image_names) if name in used])
        save_pictures(save, evaluation, shown, arguments["annotations"])
    if as_json:
        click.echo(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False))
    else:
        echo_evaluation(evaluation)
    echo_left_out(evaluation.left_out)
    if save is not None and not as_json:
        echo_line(f"pictures saved in {save}")
    if unusable:
        raise InputError(f"{unusable} of {len(images)} images could not be used")


def echo_evaluation(evaluation: Evaluation) -> None:
    """Print an evaluation for people: metrics, classes, confusions and the worst images."""
    run, measures = evaluation.run, evaluation.measures
    echo_line(
        f"{run.bundle}: {run.artifact} on {run.backend} {run.device}, "
        f"measured on {describe_set(evaluation.data)}"
    )
    if run.score_calibration is not None:
        echo_line(f"scores: {describe_score_calibration(run.score_calibration)}")
    echo_table(
        ("metric", "value", "confidence interval", "method"),
        [
            (
                metric.name,
                in_unit(metric.value, metric.unit),
                between(metric.interval, metric.unit) or NO_INTERVAL,
                "" if metric.interval is None else method_of(metric.interval),
            )
            for metric in measures.metrics
        ],
    )
    if measures.reliability is not None:
        error = calibration_error(measures.reliability)
        calibrated = calibrated_error(measures.reliability)
        echo_line(f"expected calibration error: {error}; lower is better")
        echo_line(f"of a perfectly calibrated model with these scores, on so many images: {calibrated}")
    if measures.by_class:
        click.echo()
        _echo_classes(measures.by_class, kind_of(evaluation.task).texts.support)
    if measures.confusion is not None:
        _echo_confusions(measures.confusion, evaluation.labels)
    _echo_worst(evaluation)
    for note in measures.notes:
        echo_line(f"note: {note}")
    echo_findings(evaluation.findings)


def _echo_classes(classes: tuple[ClassMetricValues, ...], unit: str) -> None:
    worst = sorted(classes, key=lambda row: row.metrics[-1].value)[:_MOST_ROWS]
    shown = [row for row in classes if any(row is kept for kept in worst)]
    rows = [
        (row.label, str(row.support), *(_with_interval(row, place) for place in range(len(row.metrics))))
        for row in shown
    ]
    intervals = [(metric.name, metric.interval) for row in shown for metric in row.metrics]
    level = confidence_of(interval for _, interval in intervals)
    echo_table(("class", unit, *(f"{metric.name} ({level})" for metric in classes[0].metrics)), rows)
    echo_line(f"confidence intervals: {methods_of(intervals)}")
    if len(classes) > len(shown):
        echo_line(f"the {len(shown)} worst of {len(classes)} classes; --json lists all")


def _with_interval(row: ClassMetricValues, place: int) -> str:
    metric = row.metrics[place]
    return with_interval(metric.value, metric.interval, metric.unit)


def _echo_confusions(confusion: Confusion, labels: tuple[str, ...]) -> None:
    wrong = sorted((cell for cell in confusion.cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    if wrong:
        pairs = [f"{labels[row]} as {labels[column]} ({count})" for row, column, count in wrong]
        echo_line("most frequent confusions: " + ", ".join(pairs[:_MOST_CONFUSIONS]))


def _echo_worst(evaluation: Evaluation) -> None:
    wrong = int((evaluation.measures.errors > 0).sum())
    if wrong:
        names = ", ".join(evaluation.image_names[place] for place in evaluation.worst(_MOST_IMAGES))
        errors = kind_of(evaluation.task).texts.errors
        echo_line(f"{wrong} of {evaluation.data.images} images {errors}, the worst: {names}")
