"""The twin of a stream for ``async for``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from edgevision.streaming.exchange import Answered

ResultT = TypeVar("ResultT")


class AsyncAnswers(Generic[ResultT]):
    """Frames and results without a thread that waits for them; the stream is closed as the loop is left.

    Args:
        poll: the next ones, True at the end, or False: then its argument will be called when there are more.
        close: closes the stream.
    """

    def __init__(
        self,
        poll: Callable[[Callable[[], None]], Answered[ResultT] | bool],
        close: Callable[[], None],
    ) -> None:
        self._poll = poll
        self._close = close

    def __aiter__(self) -> AsyncAnswers[ResultT]:
        return self

    async def __anext__(self) -> Answered[ResultT]:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        try:
            while (found := self._poll(lambda: _call_soon(loop, ready.set))) is False:
                await ready.wait()
                ready.clear()
        except BaseException:  # the error that ended the stream, or the task was cancelled
            self._close()
            raise
        if found is True:
            self._close()
            raise StopAsyncIteration
        return found

    async def aclose(self) -> None:
        """Close the stream."""
        self._close()

    def __del__(self) -> None:
        self._close()


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> None:
    """From another thread; a loop that has ended waits for nothing."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
