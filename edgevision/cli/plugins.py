"""``edgevision plugins``: every plugin, what it provides, and what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.output.tables import echo_table
from edgevision.cli.plugin_survey import PluginRow, survey
from edgevision.hookspecs import INTERFACE

#: Seconds of an import from which the table says how to make it later.
_SLOW_S = 1.0


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """List every plugin with its package, what it provides, how long its import takes, and its problems.

    Each one is imported and asked once. A name that two packages provide means
    EdgeVision's own; PACKAGE:NAME reaches either.
    """
    from edgevision.cli import COMMANDS

    rows = survey(COMMANDS)
    if as_json:
        document = {"interface": INTERFACE, "plugins": [asdict(row) for row in rows]}
        click.echo(json.dumps(document, indent=2))
        return
    echo_table(("plugin", "package", "import", "state", "provides"), [_cells(row) for row in rows])
    for row in rows:
        for problem in row.problems:
            echo_line(f"plugin '{row.plugin}': {problem}")
        if (row.import_seconds or 0) > _SLOW_S:
            echo_line(
                f"plugin '{row.plugin}': its import takes {row.import_seconds:.1f} s; its author can import "
                "what it needs later, or register it in a group of one hook, such as edgevision.backends"
            )


def _cells(row: PluginRow) -> tuple[str, str, str, str, str]:
    seconds = "" if row.import_seconds is None else f"{row.import_seconds * 1000:.0f} ms"
    state = "disabled" if row.disabled else "broken" if row.problems else "ok"
    provides = "; ".join(
        f"{hook.removeprefix('edgevision_')}{': ' if names else ''}{', '.join(names)}"
        for hook, names in row.provides.items()
    )
    return row.plugin, f"{row.package} {row.version}".strip(), seconds, state, provides
