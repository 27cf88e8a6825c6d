"""``edgevision tune``: time a bundle on every backend of this machine, and remember the fastest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.benchmarking.tune import Tuning, TuningRow, tune
from edgevision.bundle.layout import is_bundle
from edgevision.cli.lines import echo_line
from edgevision.cli.options.completion import complete_backend, complete_precision_of_bundle
from edgevision.cli.options.groups import GroupedCommand, under
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS, bare_of
from edgevision.cli.options.path import PATH
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.tables import echo_table
from edgevision.cli.output.terminal import progress_on, without_noise

_HEADER = (
    "artifact",
    "backend",
    "threads",
    "batch",
    "latency ms",
    "min",
    "CPU ms",
    "images/s",
    "load ms",
    "memory MB",
    "known answers",
)


@click.command("tune", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_backend,
    help="Time this backend only. Repeatable.",
)
@click.option(
    "--precision",
    metavar="NAME",
    shell_complete=complete_precision_of_bundle,
    help="Time the artifacts of this precision only, such as int8, and choose for that precision.",
)
@click.option(
    "--threads",
    metavar="N",
    multiple=True,
    type=click.IntRange(min=1),
    help="CPU threads per inference. Repeatable. Default: 1, and one per core.",
)
@click.option(
    "--batch",
    "batches",
    metavar="N",
    multiple=True,
    type=click.IntRange(min=1),
    help="Images per inference. Repeatable. Default: 1 and 8.",
)
@click.option(
    "--seconds",
    metavar="S",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Time to spend on timing; loading and checks come on top.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@under(BARE_HEADING, *BARE_OPTIONS)
@verbosity_options
def command(bundle: Path, batches: tuple[int, ...], as_json: bool, **arguments: Any) -> None:
    """Time BUNDLE's network on this machine, and remember the fastest way to run it.

    BUNDLE may be a bare model file; the answers of its first backend are then expected of all.

    From then on, loading the bundle without --backend runs it that way, from a command or from
    Python. Only artifacts of the bundle's preferred precision that pass the known answers are chosen.
    """
    with without_noise() as stderr, progress_on(stderr) as progress:
        tuning = tune(
            bundle,
            arguments["backends"],
            precision=arguments["precision"],
            threads=arguments["threads"],
            batches=batches or (1, 8),
            seconds=arguments["seconds"],
            progress=progress,
            bare=bare_of(arguments),
        )
    if as_json:
        click.echo(json.dumps(tuning.to_dict(), indent=2))
    else:
        _echo(tuning)


def _echo(tuning: Tuning) -> None:
    machine = tuning.machine
    echo_line(f"{machine.processor}, {machine.cores} cores; the network alone, on a known input")
    # A backend that is not available is one row, not one for every number of threads.
    echo_table(_HEADER, list(dict.fromkeys(map(_cells, tuning.rows))))
    chosen = tuning.chosen
    if chosen is None:
        echo_line(f"nothing chosen: {tuning.why}")
        return
    echo_line(f"chosen: {chosen.artifact} on {chosen.backend}, threads {chosen.threads}, {tuning.why}")
    echo_line(f"stored in {tuning.stored}" if tuning.stored is not None else _not_stored(tuning))


def _not_stored(tuning: Tuning) -> str:
    chosen = tuning.chosen
    if chosen is None or is_bundle(tuning.bundle):
        return "the choice could not be stored; set EDGEVISION_CACHE to a writable folder"
    return (
        "not stored, because this is a bare file: pass "
        f"--backend {chosen.backend} --threads {chosen.threads} to the other commands"
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
        "-" if row.memory_mb is None else f"{row.memory_mb:.0f}",
        row.status,
    )
