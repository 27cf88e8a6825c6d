"""``edgevision evaluate``: what a bundle reaches on images whose truth is known, on this device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.bundle.layout import is_bundle
from edgevision.cli.options.run import run_options, run_settings
from edgevision.cli.options.score import describe_score_calibration
from edgevision.cli.options.truth import images_of, truth_options
from edgevision.cli.options.tune import tune_option
from edgevision.cli.output.evaluation_pictures import save_pictures
from edgevision.cli.output.tables import echo_table, percent
from edgevision.cli.output.terminal import progress_on, without_noise
from edgevision.errors import OptionError
from edgevision.evaluation.evaluate import Evaluation, evaluate
from edgevision.metrics.changes import Confusion
from edgevision.metrics.formatting import METHODS, between, in_unit
from edgevision.metrics.measures import ClassMetricValues
from edgevision.system.files import make_folder

#: Classes, confusions and images that a table shows; --json has all.
_MOST_ROWS = 40
_MOST_CONFUSIONS = 5
_MOST_IMAGES = 5
_WRONG = {
    "classify": "are wrong",
    "detect": "have objects that are missed, or boxes on none",
    "generate": "differ from the truth",
}


@click.command("evaluate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@truth_options
@run_options
@tune_option
@click.option("--save", type=click.Path(path_type=Path), help="Folder for pictures of what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def command(bundle: Path, data: Path, save: Path | None, as_json: bool, **given: Any) -> None:
    """Measure BUNDLE on DATA, images whose truth is known, in the terms of its evidence.

    DATA is a folder a class for a classifier; a folder and --annotations for a detector; a folder
    and --truth for a network that makes images; or a zip of such a folder.
    """
    check_bundle(bundle)
    if save is not None:
        make_folder(save)
    images = images_of(data, given["samples"])
    with without_noise() as stderr, progress_on(stderr) as progress:
        found = evaluate(
            bundle,
            images,
            run_settings(given),
            annotations=given["annotations"],
            truth=given["truth"],
            progress=progress,
        )
    if save is not None:
        save_pictures(save, found, images, given["annotations"], given["truth"])
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        _show(found)
    if save is not None and not as_json:
        click.echo(f"pictures are in {save}")


def check_bundle(path: Path) -> None:
    """Refuse a bare model file: it does not say all that a measurement needs.

    Raises:
        OptionError: `path` is a file of another kind.
    """
    if path.is_file() and not is_bundle(path):
        raise OptionError(
            f"{path}: expected a bundle, got a bare model file, which does not tell its preprocessing and "
            f"labels; make a bundle of its Keras model with: edgevision convert MODEL -o NAME.evb"
        )


def _show(found: Evaluation) -> None:
    ran, measures = found.ran, found.measures
    click.echo(
        f"{ran.bundle}: {ran.artifact} on {ran.backend} {ran.device}, "
        f"measured on {found.data.images} images of {found.data.name}"
    )
    if ran.score_calibration is not None:
        click.echo(f"scores: {describe_score_calibration(ran.score_calibration)}")
    echo_table(
        ("figure", "value", "95 % interval", "by"),
        [
            (
                one.name,
                in_unit(one.value, one.unit),
                between(one.interval, one.unit),
                METHODS[one.interval.method],
            )
            for one in measures.metrics
        ],
    )
    if measures.reliability is not None:
        click.echo(f"expected calibration error: {percent(measures.reliability.ece)} (lower is better)")
    if measures.by_class:
        click.echo()
        _show_classes(measures.by_class, "objects" if found.task.name == "detect" else "images")
    if measures.confusion is not None:
        _show_confusions(measures.confusion, found.labels)
    _show_worst(found)
    for note in measures.notes:
        click.echo(f"note: {note}")


def _show_classes(classes: tuple[ClassMetricValues, ...], unit: str) -> None:
    shown = sorted(classes, key=lambda one: one.metrics[-1].value)[:_MOST_ROWS]
    shown = [one for one in classes if any(one is kept for kept in shown)]
    rows = [
        (one.label, str(one.support), *(_with_interval(one, place) for place in range(len(one.metrics))))
        for one in shown
    ]
    echo_table(("class", unit, *(figure.name for figure in classes[0].metrics)), rows)
    if len(classes) > len(shown):
        click.echo(f"the {len(shown)} worst of {len(classes)} classes; --json has all")


def _with_interval(one: ClassMetricValues, place: int) -> str:
    figure = one.metrics[place]
    return f"{in_unit(figure.value, figure.unit)} ({between(figure.interval, figure.unit)})"


def _show_confusions(confusion: Confusion, labels: tuple[str, ...]) -> None:
    wrong = sorted((cell for cell in confusion.cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    if wrong:
        told = [f"{labels[row]} taken for {labels[column]}: {count}" for row, column, count in wrong]
        click.echo("confused most: " + ", ".join(told[:_MOST_CONFUSIONS]))


def _show_worst(found: Evaluation) -> None:
    wrong = int((found.measures.errors > 0).sum())
    if wrong:
        names = ", ".join(found.image_names[place] for place in found.worst(_MOST_IMAGES))
        click.echo(f"{wrong} of {found.data.images} images {_WRONG[found.task.name]}, the worst: {names}")
