"""``edgevision report``: a model's evidence as one page to read and to file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, under
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS, bare_of
from edgevision.cli.options.path import PATH
from edgevision.cli.output.terminal import without_noise
from edgevision.reporting.report import write_report


@click.command("report", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    metavar="NAME.html",
    help="Page to write.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@under(BARE_HEADING, *BARE_OPTIONS)
def command(bundle: Path, output: Path, force: bool, **arguments: Any) -> None:
    """Write the report of BUNDLE: one HTML page with its metrics, charts and pictures.

    BUNDLE may be a bare model file, whose page shows what is known of it.

    The page needs no network and no scripts; it can be read offline, printed and filed.
    """
    with without_noise():  # the runtime that opens a bare file may print
        write_report(bundle, output, force=force, bare=bare_of(arguments))
    echo_line(f"wrote {output}")
