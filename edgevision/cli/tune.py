"""``edgevision tune``: how fast a bundle is on every backend here, and which one `load` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.benchmarking.tune import Tuning, TuningRow, tune
from edgevision.cli.evaluate import check_bundle
from edgevision.cli.output.tables import echo_table
from edgevision.cli.output.terminal import progress_on, without_noise

_HEADER = (
    "artifact",
    "backend",
    "threads",
    "batch",
    "latency ms",
    "least",
    "CPU ms",
    "images/s",
    "opened ms",
    "memory MB",
    "known answers",
)


@click.command("tune")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--backend", "backends", multiple=True, help="Try this one only. May be given again.")
@click.option("--precision", help="Of the artifacts, such as int8: the choice is then for that precision.")
@click.option("--threads", multiple=True, type=click.IntRange(min=1), help="Default: 1, and one a core.")
@click.option("--batch", "batches", multiple=True, type=click.IntRange(min=1), help="Default: 1 and 8.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def command(bundle: Path, batches: tuple[int, ...], as_json: bool, **given: Any) -> None:
    """Time BUNDLE's network on this machine, and keep the fastest way to run it.

    Loading the bundle without a backend, by a command or from Python, then takes that way. Only artifacts
    of the precision that the bundle prefers are chosen, and only those that give their known answers.
    """
    check_bundle(bundle)
    with without_noise() as stderr, progress_on(stderr) as progress:
        found = tune(
            bundle,
            given["backends"],
            precision=given["precision"],
            threads=given["threads"],
            batches=batches or (1, 8),
            seconds=given["seconds"],
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _show(found)


def _show(found: Tuning) -> None:
    click.echo(f"{found.machine.processor}, {found.machine.cores} cores; the network alone, on a known input")
    # A backend that is not here is one line, and not one for every number of threads.
    echo_table(_HEADER, list(dict.fromkeys(map(_cells, found.rows))))
    if found.chosen is None:
        click.echo(f"nothing is chosen: {found.why}")
        return
    one = found.chosen
    click.echo(f"chosen: {one.artifact} on {one.backend}, threads {one.threads}, {found.why}")
    click.echo(
        f"kept in {found.stored}"
        if found.stored is not None
        else "the choice could not be kept; name a folder that can be written to in EDGEVISION_CACHE"
    )


def _cells(row: TuningRow) -> tuple[str, ...]:
    if row.latency is None:
        return (row.artifact, row.backend, *["-"] * 8, f"{row.status}: {row.reason}")
    return (
        row.artifact,
        row.backend,
        str(row.threads),
        str(row.batch),
        f"{row.latency.wall_us / 1e3:.3f}",
        f"{row.latency.least_wall_us / 1e3:.3f}",
        f"{row.latency.cpu_us / 1e3:.3f}",
        f"{row.per_second:.0f}",
        f"{row.opening_ms:.0f}",
        f"{row.memory_mb:.0f}",
        row.status,
    )
