"""``edgevision serve``: models behind an HTTP server that standard clients speak to."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.isolation import ISOLATION_OPTIONS, isolation_of
from edgevision.cli.options.run import (
    ABSTENTION_OPTIONS,
    ARTIFACT_OPTIONS,
    NO_TUNE_OPTION,
    SELFTEST_OPTION,
    SESSION_OPTIONS,
    session_settings_of,
    set_abstentions,
    tune_of,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.errors import OptionError
from edgevision.loading.load import load
from edgevision.serving.models import ServedModels, named_bundle
from edgevision.serving.server import serve
from edgevision.serving.settings import ServeSettings
from edgevision.system.address import Address
from edgevision.system.token import checked_token
from edgevision.tasks.base import TaskModel

_DEFAULTS = ServeSettings()
_TOKEN_VARIABLE = "EDGEVISION_SERVE_TOKEN"  # noqa: S105  # the name of it


@click.command("serve", cls=GroupedCommand)
@click.argument("bundles", nargs=-1, required=True, metavar="[NAME[:VERSION]=]BUNDLE...")
@under(
    "Server",
    option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        help="Address to listen on; 0.0.0.0 for all of this machine, which requires a token.",
    ),
    option(
        "--port",
        metavar="N",
        type=click.IntRange(0, 65535),
        default=8000,
        show_default=True,
        help="Port; 0 for any that is free.",
    ),
    option(
        "--token",
        metavar="TEXT",
        envvar=_TOKEN_VARIABLE,
        help="What requests must have in their header Authorization: Bearer TEXT. Default: none on this "
        f"machine alone, else a random one, which is printed. Better in the variable {_TOKEN_VARIABLE}.",
    ),
    option(
        "--grace-s",
        metavar="S",
        type=click.FloatRange(min=0),
        default=30.0,
        show_default=True,
        help="Seconds for requests in progress after SIGTERM or Ctrl-C.",
    ),
)
@under(
    "Limits",
    option(
        "--max-batch",
        metavar="N",
        type=click.IntRange(min=1),
        default=_DEFAULTS.max_batch,
        show_default=True,
        help="Rows of one request, and of requests that are run together.",
    ),
    option(
        "--max-delay-ms",
        metavar="MS",
        type=click.FloatRange(min=0),
        default=_DEFAULTS.max_delay_ms,
        show_default=True,
        help="Time that a request waits for others to be run with.",
    ),
    option(
        "--queue",
        metavar="N",
        type=click.IntRange(min=1),
        default=_DEFAULTS.queue,
        show_default=True,
        help="Requests that wait for one model; more are refused with 429.",
    ),
    option(
        "--slots", metavar="N", type=click.IntRange(min=1), help="Inferences of one model at the same time."
    ),
    option(
        "--request-s",
        metavar="S",
        type=click.FloatRange(min=0, min_open=True),
        default=_DEFAULTS.request_s,
        show_default=True,
        help="Seconds for a request, after which it is refused with 503.",
    ),
    option(
        "--body-s",
        metavar="S",
        type=click.FloatRange(min=0, min_open=True),
        default=_DEFAULTS.body_s,
        show_default=True,
        help="Seconds in which a request must have arrived, and its answer must be taken.",
    ),
    option(
        "--max-body-mb",
        metavar="MB",
        type=click.FloatRange(min=0, min_open=True),
        default=_DEFAULTS.max_body_mb,
        show_default=True,
        help="Megabytes of one request.",
    ),
    option(
        "--connections",
        metavar="N",
        type=click.IntRange(min=1),
        default=_DEFAULTS.connections,
        show_default=True,
        help="Connections at the same time; one more ends the oldest that is idle.",
    ),
)
@under(
    "Models to run",
    *ARTIFACT_OPTIONS,
    *SESSION_OPTIONS,
    *ABSTENTION_OPTIONS,
    NO_TUNE_OPTION,
    SELFTEST_OPTION,
)
@under(
    "Health of the models",
    *ISOLATION_OPTIONS,
    option(
        "--health-every-s",
        metavar="S",
        type=click.FloatRange(min=0, min_open=True),
        default=10.0,
        show_default=True,
        help="Seconds between checks of a known answer, each one inference.",
    ),
)
@verbosity_options
def command(
    bundles: tuple[str, ...], host: str, port: int, token: str | None, grace_s: float, **arguments: Any
) -> None:
    """Answer for BUNDLES over HTTP, by the Open Inference Protocol, until SIGTERM or Ctrl-C.

    A bundle at a path where edgevision install puts another one is replaced while requests go on. Clients:
    tritonclient[http], KServe, and curl: POST /v2/models/NAME/predict with the bytes of an image.
    """
    if not host:
        raise OptionError("--host: expected an address, such as 127.0.0.1")
    settings = ServeSettings(
        **{name: arguments[name] for name in ServeSettings.__dataclass_fields__ if name in arguments}
    )
    checked = checked_token(token)
    named = [named_bundle(one) for one in bundles]
    models = ServedModels(named, partial(_load, arguments), settings)
    try:
        serve(models, settings, Address(host, port), checked, grace_s, _told)
    finally:
        models.close(grace_s)


def _load(arguments: dict[str, Any], path: Path) -> TaskModel:
    model = load(
        path,
        arguments["backend"],
        arguments["device"],
        precision=arguments["precision"],
        settings=session_settings_of(arguments),
        selftest=arguments["selftest"],
        tune=tune_of(arguments),
        **isolation_of(arguments),
        health_every_s=arguments["health_every_s"],
    )
    set_abstentions(model, arguments)
    return model


def _told(url: str, token: str | None) -> None:
    echo_line(f"serving on {url}v2", err=True)
    if token is not None:
        echo_line(f"requests need the header Authorization: Bearer {token}", err=True)
