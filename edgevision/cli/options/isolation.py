"""Options that put the runtime in a process of its own, and watch it."""

from __future__ import annotations

from typing import Any

import click

from edgevision.cli.options.groups import option

ISOLATION_OPTIONS = (
    option(
        "--isolate",
        is_flag=True,
        help="Run the runtime in a process of its own: if it crashes or hangs, another one takes its place.",
    ),
    option(
        "--standby",
        is_flag=True,
        help="With --isolate: keep a second process, with the model open, to take over at once.",
    ),
    option(
        "--run-deadline-ms",
        metavar="MS",
        type=click.FloatRange(min=0, min_open=True),
        help="With --isolate: end the process if one run of the network takes longer. Default: a minute.",
    ),
)


def isolation_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `edgevision.load` that `ISOLATION_OPTIONS` stand for; none if they were not passed.

    Raises:
        UsageError: one has a meaning only with another.
    """
    if not arguments.get("isolate"):
        for name in ("standby", "run_deadline_ms"):
            if arguments.get(name):
                raise click.UsageError(f"--{name.replace('_', '-')} requires --isolate.")
        return {}
    return {
        "isolate": True,
        "standby": arguments["standby"],
        "deadline_ms": arguments["run_deadline_ms"],
    }
