"""HTTP connections whose other side may be slow, silent, or many."""

from __future__ import annotations

import asyncio
import json

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds in which the head of a connection's first request must have arrived.
_HEAD_S = 10.0
#: Seconds between the end of an answer and the head of the next request.
_KEPT_S = 30.0
#: Seconds in which a closed connection must have taken the rest of its last answer.
_CLOSING_S = 5.0
_LOOK_S = 1.0
#: For uvicorn's own timer, which a single byte stops: longer than `_KEPT_S`.
KEPT_ALIVE_S = 60


def bounded_protocol(most: int, answer_s: float) -> type[H11Protocol]:
    """The class of connections for uvicorn's ``http``.

    Args:
        most: connections at the same time. One more ends the one without a request that is the oldest; or is
            closed itself where all have one.
        answer_s: seconds during which the other side may take nothing of an answer.
    """

    class BoundedProtocol(H11Protocol):
        """A connection that is ended where its other side is too slow."""

        _timer: asyncio.TimerHandle | None = None
        _idle_since_s: float
        _allowed_s = _HEAD_S
        #: Since when the answer is not taken, or the connection is closing.
        _stuck_since_s: float | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._idle_since_s = self.loop.time()
            if len(self.connections) > most:
                idle = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.is_idle]
                # This one is idle, too, and the newest.
                oldest = min(idle, key=lambda one: one._idle_since_s)
                oldest.transport.abort()
                # Now, and not when it is lost: of many that come at once each ends another one.
                self.connections.discard(oldest)
            self._timer = self.loop.call_later(_LOOK_S, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._timer is not None:
                self._timer.cancel()

        def on_response_complete(self) -> None:
            self._idle_since_s, self._allowed_s = self.loop.time(), _KEPT_S
            super().on_response_complete()

        def send_400_response(self, msg: str) -> None:
            body = json.dumps({"error": msg}).encode()
            head = (
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()

        @property
        def is_idle(self) -> bool:
            """True if there is no request whose head has arrived and whose answer is not complete."""
            return self.cycle is None or self.cycle.response_complete

        def _look(self) -> None:
            now_s = self.loop.time()
            closing, paused = self.transport.is_closing(), self.flow.write_paused
            if not (closing or paused):
                self._stuck_since_s = None
            elif self._stuck_since_s is None:
                self._stuck_since_s = now_s
            stuck_s = 0.0 if self._stuck_since_s is None else now_s - self._stuck_since_s
            late = self.is_idle and now_s - self._idle_since_s > self._allowed_s
            if late or stuck_s > (_CLOSING_S if closing else answer_s):
                self.transport.abort()
                return
            self._timer = self.loop.call_later(_LOOK_S, self._look)

    return BoundedProtocol
