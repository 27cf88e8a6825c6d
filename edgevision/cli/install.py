"""``edgevision install``: put a bundle in the place of the one before it, checked on this device."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgevision.bundle.trust import TrustPolicy
from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import (
    ARTIFACT_OPTIONS,
    NO_TUNE_OPTION,
    SESSION_OPTIONS,
    session_settings_of,
    tune_of,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.terminal import without_noise
from edgevision.loading.install import Installed, install, roll_back


@click.command("install", cls=GroupedCommand)
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="BUNDLE DIR")
@click.option(
    "--rollback",
    is_flag=True,
    help="Return to the bundle before this one: edgevision install --rollback DIR.",
)
@under(
    "Who must have signed it",
    option("--key", "keys", type=PATH, multiple=True, help="Public key that is trusted, PEM."),
    option("--root", "roots", type=PATH, multiple=True, help="Certificate of an authority, PEM."),
    option(
        "--subject",
        "subjects",
        multiple=True,
        help="Subject that the certificate must have: CN=Release,O=Example.",
    ),
)
@under("Model to run, as for load", *ARTIFACT_OPTIONS, *SESSION_OPTIONS, NO_TUNE_OPTION)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@verbosity_options
def command(paths: tuple[Path, ...], rollback: bool, as_json: bool, **arguments: Any) -> None:
    """Install BUNDLE in DIR on this device: DIR/model.evb is the path to load from then on.

    All files are checked, the signature where there is a trust policy, and the known answers in a process of
    its own. Then the bundle takes the place of the one before it, in one step, and that one is kept. A bundle
    that fails leaves everything as it was. Exit code 5: damaged; 14: not signed by someone who is trusted; 8:
    its runtime refuses it; 9: other answers, a crash or a hang; 6 or 7: no runtime or device for it; 12: DIR
    cannot be written to, or another process installs there; 2: nothing to return to.
    """
    expected = ("DIR",) if rollback else ("BUNDLE", "DIR")
    if len(paths) != len(expected):
        raise click.UsageError(f"expected {' and '.join(expected)}, got {len(paths)} paths.")
    *bundles, folder = paths
    asked = {
        "backend": arguments["backend"],
        "device": arguments["device"],
        "precision": arguments["precision"],
        "settings": session_settings_of(arguments),
        "tune": tune_of(arguments),
        "trust": _trust(arguments),
    }
    with without_noise():
        done = roll_back(folder, **asked) if rollback else install(bundles[0], folder, **asked)
    _echo(done, rollback, as_json)


def _trust(arguments: dict[str, Any]) -> TrustPolicy | None:
    keys, roots, subjects = (arguments[name] for name in ("keys", "roots", "subjects"))
    return TrustPolicy(keys, roots, subjects) if keys or roots or subjects else None


def _echo(done: Installed, rollback: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**asdict(done), "path": str(done.path)}, indent=2))
        return
    echo_line(f"{done.path}: {'returned to' if rollback else 'installed'} {done.digest}")
    echo_line(f"{done.artifact} on {done.backend} gives its known answers on this device")
    if done.previous is not None and not rollback:
        echo_line(f"{done.previous} is kept: edgevision install --rollback {done.path.parent}")
