"""The bodies of requests: each of bounded size and time, and all together of bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from edgevision.serving.refusal import RefusedError

#: Bodies of the largest size that are held at once.
_LARGEST_AT_ONCE = 4
_MOST_DIGITS = 18


class Intake:
    """Reads bodies.

    Args:
        most_bytes: of one request.
        seconds: in which it must have arrived.
    """

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self._most_bytes = most_bytes
        self._left_bytes = _LARGEST_AT_ONCE * most_bytes
        self._seconds = seconds

    @asynccontextmanager
    async def body(self, request: Request, most_bytes: int) -> AsyncIterator[bytes]:
        """The body of a request, whose memory counts until the block ends.

        Args:
            request: it.
            most_bytes: of a valid one.

        Raises:
            RefusedError: it is too large, too slow, compressed, or there is no room for it now.
        """
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RefusedError(415, "compressed requests are not supported; send it without Content-Encoding")
        most = min(most_bytes, self._most_bytes)
        stated = request.headers.get("content-length", "0")
        if not stated.isdigit() or len(stated) > _MOST_DIGITS:
            raise RefusedError(400, "Content-Length: expected a number of bytes", close=True)
        if int(stated) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        taken = 0
        try:
            try:
                await asyncio.wait_for(self._read(request, most, parts), self._seconds)
            except asyncio.TimeoutError:
                text = f"the request did not arrive within {self._seconds:g} s"
                raise RefusedError(408, text, close=True) from None
            taken = sum(map(len, parts))
            body = b"".join(parts)
            parts.clear()  # it would be in memory twice
            yield body
        finally:
            self._left_bytes += taken + sum(map(len, parts))

    async def _read(self, request: Request, most: int, parts: list[bytes]) -> None:
        taken = 0
        async for part in request.stream():
            if len(part) > self._left_bytes:
                raise RefusedError(
                    429, "too many large requests at the same time", close=True, retry_after_s=1
                )
            self._left_bytes -= len(part)
            parts.append(part)
            taken += len(part)
            if taken > most:
                raise _too_large(most)


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"the request is too large; expected {most} bytes at most", close=True)
