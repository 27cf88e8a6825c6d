"""``edgevision compare``: which of two bundles is better, and whether that is more than noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.cli.evaluate import check_bundle
from edgevision.cli.options.truth import images_of, truth_options
from edgevision.cli.options.tune import asked_tune, tune_option
from edgevision.cli.output.tables import echo_table, percent
from edgevision.cli.output.terminal import progress_on, without_noise
from edgevision.evaluation.compare import BundleComparison, PairedTestResult, compare
from edgevision.evaluation.evaluate import Ran, RunSettings
from edgevision.metrics.formatting import METHODS, between, drop_of, in_unit

_TESTS = {
    "mcnemar": "McNemar's exact test",
    "sign-flip": "paired permutation test",
    "bootstrap": "paired bootstrap",
}


@click.command("compare")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--backend-a", help="Backend that must run A.")
@click.option("--backend-b", help="Backend that must run B.")
@click.option("--device-a", help="Device that A must run on, such as cpu or cuda:0.")
@click.option("--device-b", help="Device that B must run on.")
@click.option("--precision-a", help="Of A's artifact, such as int8.")
@click.option("--precision-b", help="Of B's artifact.")
@truth_options
@tune_option
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def command(a: Path, b: Path, data: Path, as_json: bool, **given: Any) -> None:
    """Say which of the bundles A and B is better on DATA, by how much, and whether that is more than noise.

    A and B may be one bundle, with --precision-a and --precision-b. DATA is as for
    `edgevision evaluate`.
    """
    check_bundle(a)
    check_bundle(b)
    images = images_of(data, given["samples"])
    tune = asked_tune(given)
    with without_noise() as stderr, progress_on(stderr) as progress:
        found = compare(
            a,
            b,
            images,
            a_on=RunSettings(given["backend_a"], given["device_a"], given["precision_a"], tune=tune),
            b_on=RunSettings(given["backend_b"], given["device_b"], given["precision_b"], tune=tune),
            annotations=given["annotations"],
            truth=given["truth"],
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        _show(found)


def _show(found: BundleComparison) -> None:
    click.echo(f"A  {_named(found.a)}")
    click.echo(f"B  {_named(found.b)}")
    click.echo(f"measured on {found.data.images} images of {found.data.name}")
    comparison = found.comparison
    echo_table(
        ("figure", "A", "B", "A less B (95 %)", "by"),
        [
            (
                one.name,
                in_unit(one.source, one.unit),
                in_unit(one.artifact, one.unit),
                drop_of(one),
                "" if one.drop_interval is None else METHODS[one.drop_interval.method],
            )
            for one in comparison.metrics
        ],
    )
    limits = between(comparison.agreement_interval, "share")
    click.echo(f"they agree on {percent(comparison.agreement)} ({limits})")
    for note in comparison.notes:
        click.echo(f"note: {note}")
    click.echo(verdict_in_words(found.verdict))


def verdict_in_words(verdict: PairedTestResult) -> str:
    """One sentence that says which is better, by how much, and how sure that is."""
    metric = verdict.metric
    unit = "dB" if metric.unit == "dB" else "points"
    how = f"p = {verdict.p_value:.2g}, {_TESTS[verdict.test]}"
    if verdict.better is None:
        return f"no difference beyond noise in {metric.name}: A less B {drop_of(metric)} {unit}, {how}"
    factor = 1 if metric.unit == "dB" else 100
    by = f"{abs(metric.drop) * factor:.2f} {unit} of {metric.name}"
    return f"{verdict.better} is better by {by}, more than noise: A less B {drop_of(metric)} {unit}, {how}"


def _named(ran: Ran) -> str:
    return f"{ran.bundle}: {ran.artifact} on {ran.backend} {ran.device}"
