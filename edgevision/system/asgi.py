"""The end of a connection, for the preview and the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any


async def disconnected(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    """Wait until the caller has closed the connection; what else arrives is passed over.

    Args:
        receive: of the ASGI application, after the body of the request was read.
    """
    while (await receive())["type"] != "http.disconnect":
        pass
