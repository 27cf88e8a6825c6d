"""``edgevision report``: what was measured, as one page to read and to file."""

from __future__ import annotations

from pathlib import Path

import click

from edgevision.reporting.report import write_report


@click.command("report")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="NAME.html")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(bundle: Path, output: Path, force: bool) -> None:
    """Write the report of BUNDLE: one HTML page with every figure, chart and picture in it.

    The page needs no network and no script; it can be read offline, printed and filed.
    """
    write_report(bundle, output, force=force)
    click.echo(f"wrote {output}")
