"""``edgevision backends``: which backends can run on this machine, and how to install the others."""

from __future__ import annotations

import json
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.output.tables import echo_table
from edgevision.plugins import BackendStatus, registry


@click.command("backends")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """List every backend: ready with its version and devices, or why not and how to install it."""
    plugins = registry()
    statuses = plugins.backend_statuses()
    if as_json:
        document = {
            "backends": [_document(status) for status in statuses],
            "problems": [problem._asdict() for problem in plugins.problems],
        }
        click.echo(json.dumps(document, indent=2))
        return
    echo_table(("backend", "ready", "version", "devices"), [_row(status) for status in statuses])
    for problem in plugins.problems:
        echo_line(f"plugin '{problem.plugin}' is broken: {problem.reason}")


def _row(status: BackendStatus) -> tuple[str, str, str, str]:
    devices = ", ".join(f"{device.name} ({device.description})" for device in status.devices)
    return status.name, "yes" if status.ready else "no", status.version, devices or status.reason


def _document(status: BackendStatus) -> dict[str, Any]:
    return {**status._asdict(), "devices": [device._asdict() for device in status.devices]}
