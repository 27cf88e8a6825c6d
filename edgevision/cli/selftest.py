"""``edgevision selftest``: does this machine compute what a bundle's artifacts must give?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgevision.bundle.selftest import SelftestRow, run_known_answers
from edgevision.cli.options.run import run_options, run_settings
from edgevision.cli.output.tables import echo_table
from edgevision.cli.output.terminal import without_noise
from edgevision.errors import InferenceError


@click.command("selftest")
@click.argument("bundle", type=click.Path(path_type=Path))
@run_options
@click.option("--json", "as_json", is_flag=True, help="For programs: a JSON array, an object a row.")
def command(bundle: Path, as_json: bool, **given: Any) -> None:
    """Check the known answers of BUNDLE: every artifact, on every backend that is here for it.

    Exits with 9 if a driver, a delegate or a processor computes something else, and with 6 if
    nothing can run here.
    """
    on = run_settings(given)
    with without_noise():
        rows = run_known_answers(bundle, on.backend, on.device, on.precision, on.settings)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        header = ("artifact", "backend", "device", "known answers", "largest difference")
        echo_table(header, [_cells(row) for row in rows])
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        raise InferenceError(f"{len(failed)} of {len(rows)} failed; the first: {failed[0].reason}")


def _cells(row: SelftestRow) -> tuple[str, ...]:
    told = row.reason if row.difference is None else f"{row.difference:.2g} of its output's range"
    return row.artifact, row.backend, row.device, row.status, told
