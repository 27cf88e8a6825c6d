"""The bodies of requests: each of bounded size and time, and all together of bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from edgevision.serving.refusal import RefusedError

#: Bodies of the largest size that are held at once.
_LARGEST_AT_ONCE = 4


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
        stated = request.headers.get("content-length")
        if stated is not None and int(stated) > most:  # digits alone: the HTTP parser refuses others
            raise _too_large(most)
        taken = 0
        try:
            parts: list[bytes] = []
            async for part in _within(self._seconds, request):
                taken += self._reserve(len(part))
                if taken > most:
                    raise _too_large(most)
                parts.append(part)
            yield b"".join(parts)
        finally:
            self._left_bytes += taken

    def _reserve(self, size: int) -> int:
        if size > self._left_bytes:
            raise RefusedError(429, "too many large requests at the same time", close=True, retry_after_s=1.0)
        self._left_bytes -= size
        return size


async def _within(seconds: float, request: Request) -> AsyncIterator[bytes]:
    """The parts of a body, all of which must arrive in some time."""
    stream = request.stream()
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while True:
        try:
            yield await asyncio.wait_for(stream.__anext__(), max(0.0, end_s - loop.time()))
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise RefusedError(408, f"the request did not arrive within {seconds:g} s", close=True) from None


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"the request is too large; expected {most} bytes at most", close=True)
