"""Requests that are not answered, and how HTTP says so."""

from __future__ import annotations

import asyncio
import math

from starlette.responses import JSONResponse, Response

from edgevision.errors import (
    EdgeVisionError,
    InputError,
    OptionError,
    ProcessError,
    SessionClosedError,
    first_line,
)
from edgevision.serving.batching import ExpiredError, QueueClosedError, QueueFullError
from edgevision.system.log import error as log_error

#: Seconds after which a client may try again, at most.
_LONGEST_RETRY_S = 60


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        text: why.
        close: whether the connection is closed, because the rest of the request is not read.
        retry_after_s: seconds after which it may be answered; `None` if never.
    """

    def __init__(
        self, status: int, text: str, *, close: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers: dict[str, str] = {"connection": "close"} if close else {}
        if retry_after_s is not None:
            self.headers["retry-after"] = str(min(_LONGEST_RETRY_S, max(1, math.ceil(retry_after_s))))


def refused(error: BaseException) -> Response:
    """The answer to a request that raised an error: its text, and nothing of this program."""
    refusal = _refusal_of(error)
    return JSONResponse({"error": refusal.text}, refusal.status, refusal.headers)


def _refusal_of(error: BaseException) -> RefusedError:
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, (InputError, OptionError)):
        return RefusedError(400, str(error))
    if isinstance(error, QueueFullError):
        return RefusedError(429, "too many requests wait for this model", retry_after_s=error.retry_after_s)
    if isinstance(error, (ExpiredError, asyncio.TimeoutError)):
        return RefusedError(503, "the request was not answered in time", retry_after_s=1)
    if isinstance(error, (QueueClosedError, SessionClosedError)):
        return RefusedError(503, "the server is ending", retry_after_s=1)
    if isinstance(error, ProcessError):
        return RefusedError(503, str(error), retry_after_s=1)
    if isinstance(error, EdgeVisionError):
        return RefusedError(500, str(error))
    log_error("serve: internal error: %s: %s", type(error).__name__, first_line(error))
    return RefusedError(500, f"internal error: {type(error).__name__}")
