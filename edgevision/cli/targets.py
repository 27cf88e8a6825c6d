"""``edgevision targets``: the device profiles."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edgevision.cli.options.path import PATH
from edgevision.cli.output.tables import echo_table
from edgevision.target import load_targets


@click.command("targets")
@click.option(
    "--targets-file",
    type=PATH,
    multiple=True,
    help="TOML file with more device profiles. Repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, one object per target.")
def command(targets_file: tuple[Path, ...], as_json: bool) -> None:
    """List the device profiles that a model can be converted for.

    Add your own in a TOML file, passed with --targets-file or named in EDGEVISION_TARGETS.
    """
    targets = load_targets(targets_file)
    if as_json:
        click.echo(json.dumps([asdict(target) for target in targets.values()], indent=2))
        return
    rows = [
        (
            target.name,
            target.backend,
            target.device or "",
            ", ".join(target.precisions),
            target.description,
        )
        for target in targets.values()
    ]
    echo_table(("target", "backend", "device", "precisions, cheapest first", "description"), rows)
