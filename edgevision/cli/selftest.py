"""``edgevision selftest``: check that this machine reproduces a bundle's known answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgevision.cli.options.groups import GroupedCommand, under
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import ARTIFACT_OPTIONS, SESSION_OPTIONS, session_settings_of
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.tables import echo_table
from edgevision.cli.output.terminal import without_noise
from edgevision.errors import InferenceError
from edgevision.loading.selftest import SelftestRow, run_known_answers


@click.command("selftest", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@under("Model to run", *ARTIFACT_OPTIONS, *SESSION_OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, one object per row.")
@verbosity_options
def command(bundle: Path, as_json: bool, **arguments: Any) -> None:
    """Check the known answers of BUNDLE: every artifact, on every backend available for it.

    Exits with 9 if a driver, delegate or processor computes different results, and with 6 if no
    artifact can run on this machine.
    """
    names = arguments["backend"], arguments["device"], arguments["precision"]
    with without_noise():
        rows = run_known_answers(bundle, *names, session_settings_of(arguments))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        header = ("artifact", "backend", "device", "known answers", "largest difference")
        echo_table(header, [_cells(row) for row in rows])
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        raise InferenceError(f"{len(failed)} of {len(rows)} failed; the first: {failed[0].reason}")


def _cells(row: SelftestRow) -> tuple[str, ...]:
    if row.difference is None:
        return row.artifact, row.backend, row.device, row.status, row.reason
    difference = f"{100 * row.difference:.2g} % of the output's range"
    return row.artifact, row.backend, row.device, row.status, difference
