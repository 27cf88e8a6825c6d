"""``edgevision report``: a bundle's evidence as one page to read and to file."""

from __future__ import annotations

from pathlib import Path

import click

from edgevision.cli.options.path import PATH
from edgevision.reporting.report import write_report


@click.command("report")
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
def command(bundle: Path, output: Path, force: bool) -> None:
    """Write the report of BUNDLE: one HTML page with its metrics, charts and pictures.

    The page needs no network and no scripts; it can be read offline, printed and filed.
    """
    write_report(bundle, output, force=force)
    click.echo(f"wrote {output}")
