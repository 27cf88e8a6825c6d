"""``edgevision compare``: which of two models is better, and if the difference is significant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.bundle.layout import is_bundle
from edgevision.cli.lines import echo_line
from edgevision.cli.options.completion import (
    complete_backend,
    complete_precision_of_a,
    complete_precision_of_b,
)
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.measure import (
    GROUND_TRUTH_OPTIONS,
    GROUPS_OPTION,
    SAMPLES_OPTION,
    sampled_images,
)
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS, bare_of
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import NO_TUNE_OPTION, tune_of
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.left_out import echo_left_out
from edgevision.cli.output.sets import describe_set, echo_findings
from edgevision.cli.output.tables import echo_table
from edgevision.cli.output.terminal import progress_on, without_noise
from edgevision.errors import OptionError
from edgevision.evaluation.compare import SIGNIFICANCE, BundleComparison, PairedTestResult, compare
from edgevision.evaluation.open_model import ArtifactRun, RunSettings
from edgevision.loading.bare import BareModel
from edgevision.metrics.formatting import (
    difference_of,
    in_points,
    in_unit,
    method_of,
    unit_of_all,
    unit_of_points,
    with_interval,
)
from edgevision.system.decimals import significant

_TESTS = {
    "mcnemar": "McNemar's exact test",
    "gaffke": "Gaffke's test of a mean",
}


@click.command("compare", cls=GroupedCommand)
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@click.argument("data", type=PATH)
@under("Data", *GROUND_TRUTH_OPTIONS, GROUPS_OPTION, SAMPLES_OPTION)
@under(
    "Model to run",
    option(
        "--backend-a",
        metavar="NAME",
        shell_complete=complete_backend,
        help="Run A on this backend only, such as tflite.",
    ),
    option(
        "--backend-b", metavar="NAME", shell_complete=complete_backend, help="Run B on this backend only."
    ),
    option("--device-a", metavar="NAME", help="Run A on this device only, such as cpu or cuda:0."),
    option("--device-b", metavar="NAME", help="Run B on this device only."),
    option(
        "--precision-a",
        metavar="NAME",
        shell_complete=complete_precision_of_a,
        help="Run A's artifact of this precision, such as int8.",
    ),
    option(
        "--precision-b",
        metavar="NAME",
        shell_complete=complete_precision_of_b,
        help="Run B's artifact of this precision.",
    ),
    NO_TUNE_OPTION,
)
@under(BARE_HEADING, *BARE_OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@verbosity_options
def command(a: Path, b: Path, data: Path, as_json: bool, **arguments: Any) -> None:
    """Say which of the models A and B is better on DATA, by how much, and if that is significant.

    A and B are bundles or bare model files, to which the options for these apply. They may be
    the same bundle, with --precision-a and --precision-b. DATA is as for `edgevision evaluate`.
    """
    bare = bare_of(arguments)
    if bare is not None and is_bundle(a) and is_bundle(b):
        raise OptionError(
            f"{a} and {b} are bundles, which define their own preprocessing and labels; remove the options "
            "for bare files"
        )
    images = sampled_images(data, arguments["samples"], arguments["groups"])
    with without_noise() as stderr, progress_on(stderr) as progress:
        comparison = compare(
            a,
            b,
            images,
            a_on=_run_settings(arguments, "a", None if is_bundle(a) else bare),
            b_on=_run_settings(arguments, "b", None if is_bundle(b) else bare),
            annotations=arguments["annotations"],
            truth=arguments["truth"],
            progress=progress,
        )
    echo_left_out(images.left_out)
    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2, allow_nan=False))
    else:
        echo_comparison(comparison)


def _run_settings(arguments: dict[str, Any], side: str, bare: BareModel | None) -> RunSettings:
    names = arguments[f"backend_{side}"], arguments[f"device_{side}"], arguments[f"precision_{side}"]
    return RunSettings(*names, tune=tune_of(arguments), bare=bare)


def echo_comparison(bundles: BundleComparison) -> None:
    """Print a comparison for people: metrics of both, their agreement, and the verdict."""
    echo_line(f"A  {_describe(bundles.a)}")
    echo_line(f"B  {_describe(bundles.b)}")
    echo_line(f"measured on {describe_set(bundles.data)}")
    comparison = bundles.comparison
    echo_table(
        ("metric", "A", "B", f"A - B in {unit_of_all(comparison.metrics)} (confidence interval)", "method"),
        [
            (
                metric.name,
                in_unit(metric.source, metric.unit),
                in_unit(metric.artifact, metric.unit),
                difference_of(metric),
                "" if metric.drop_interval is None else method_of(metric.drop_interval),
            )
            for metric in comparison.metrics
        ],
    )
    agreement, interval = comparison.agreement, comparison.agreement_interval
    how = "" if interval is None else f"; {method_of(interval)}"
    echo_line(f"agreement of A and B: {with_interval(agreement, interval, 'share')}{how}")
    for note in comparison.notes:
        echo_line(f"note: {note}")
    echo_findings(bundles.findings)
    echo_line(describe_verdict(bundles.verdict))


def describe_verdict(verdict: PairedTestResult) -> str:
    """One sentence: which bundle is better, by how much, and how significant that is."""
    metric = verdict.metric
    unit = unit_of_points(metric.unit)
    test = f"p = {significant(verdict.p_value, 2, [SIGNIFICANCE])}, {_TESTS[verdict.test]}"
    difference = f"A - B {difference_of(metric)} {unit}, {test}"
    if verdict.better is None:
        return f"no significant difference in {metric.name}: {difference}"
    margin = f"{in_points(abs(metric.drop), metric.unit)} of {metric.name}"
    return f"{verdict.better} is significantly better, by {margin}: {difference}"


def _describe(run: ArtifactRun) -> str:
    return f"{run.bundle}: {run.artifact} on {run.backend} {run.device}"
