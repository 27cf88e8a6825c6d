"""Serves a preview from a thread of its own, until the ``with`` block ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from edgevision.errors import MissingRuntimeError
from edgevision.preview.frozen import Explain, FrozenFrames
from edgevision.preview.live import Live
from edgevision.system.address import Address, listening_on
from edgevision.system.token import new_token

#: Connections at once: of viewers, and of their other requests.
_MOST_CONNECTIONS = 64
_END_S = 3.0


@contextmanager
def served(
    live: Live,
    card: Mapping[str, Any],
    metrics: Callable[[], str],
    address: Address,
    explain: Explain | None = None,
) -> Iterator[str]:
    """Serve the preview of a stream while the block runs.

    Args:
        live: the stream.
        card: of the model.
        metrics: text for Prometheus.
        address: where; from elsewhere than this machine a random token is required.
        explain: explains a frame that a viewer stops at; `None` where that cannot be.

    Yields:
        The address of the page, with the token.

    Raises:
        MissingRuntimeError: Starlette or uvicorn is not installed.
        OptionError: the address is in use, or not one of this machine.
    """
    try:
        import uvicorn

        from edgevision.preview.app import application
    except ImportError as error:
        raise MissingRuntimeError("serve", f"--preview: {error.name or error} is not installed") from error
    with listening_on(address, "--preview", "--preview") as listening:
        address = address._replace(port=listening.getsockname()[1])
        token = None if address.is_loopback else new_token()
        config = uvicorn.Config(
            application(live, FrozenFrames(live, explain), card, metrics, address, token),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,  # its lines would have the token
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(
            target=server.run, args=([listening],), name="edgevision-preview", daemon=True
        )
        thread.start()
        try:
            yield address.url() + ("" if token is None else f"?token={token}")
        finally:
            live.ended = True
            server.should_exit = True
            thread.join(_END_S)
