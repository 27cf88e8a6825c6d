"""Runs a server in this thread until a signal ends it."""

from __future__ import annotations

from collections.abc import Callable

from edgevision.errors import MissingRuntimeError
from edgevision.serving.models import ServedModels
from edgevision.serving.settings import ServeSettings
from edgevision.system.address import Address, listening_on
from edgevision.system.token import new_token

#: Connections that the system keeps until they are accepted, all of them at once.
_BACKLOG = 128


def serve(
    models: ServedModels,
    settings: ServeSettings,
    address: Address,
    token: str | None,
    grace_s: float,
    told: Callable[[str, str | None], object],
) -> None:
    """Serve models until SIGINT or SIGTERM, and close them.

    Args:
        models: what is served.
        settings: limits.
        address: where.
        token: what requests must have; `None` makes one where other machines can connect.
        grace_s: seconds for requests that were taken, after the signal.
        told: called with the URL, and with the token that was made, if one was.

    Raises:
        MissingRuntimeError: Starlette or uvicorn is not installed.
        OptionError: the address is in use, or not one of this machine.
    """
    try:
        import uvicorn

        from edgevision.serving.app import server_application
        from edgevision.serving.connection import KEPT_ALIVE_S, bounded_protocol
    except ImportError as error:
        raise MissingRuntimeError("serve", f"serve: {error.name or error} is not installed") from error
    made = None if token is not None or address.is_loopback else new_token()
    app = server_application(models, settings, token or made, min(grace_s, settings.request_s))
    with listening_on(address, "--port", "--host") as listening:
        config = uvicorn.Config(
            app,
            http=bounded_protocol(settings.connections, settings.body_s),
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=KEPT_ALIVE_S,
            timeout_graceful_shutdown=grace_s,  # type: ignore[arg-type]  # passed on to asyncio
        )
        server = uvicorn.Server(config)
        told(address._replace(port=listening.getsockname()[1]).url(), made)
        server.run(sockets=[listening])
