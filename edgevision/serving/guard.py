"""Which requests are answered: checked for every one, before anything else."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgevision.system.address import Address
from edgevision.system.token import is_token

#: What a load balancer asks, which has no token; the answer is yes or no.
_OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
_BEARER = "bearer "


class Guard:
    """Answers requests whose sender knows the token; or, without one, those of programs on this machine.

    Args:
        app: what answers them.
        token: expected in the header ``Authorization: Bearer TOKEN``; `None` for none: then a request must
            name this machine as its host, and come from no page of a browser.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token
        self._address = Address("localhost", 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self._token is None:
            return self._local_refusal(headers)
        given = headers.get("authorization", "")
        is_bearer = given[: len(_BEARER)].lower() == _BEARER
        if is_bearer and is_token(given[len(_BEARER) :].strip(), self._token):
            return None
        if scope["path"] in _OPEN_PATHS and scope["method"] in ("GET", "HEAD"):
            return None
        return _refused(
            401, "expected the header Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
        )

    def _local_refusal(self, headers: Headers) -> Response | None:
        host = headers.getlist("host")
        # A page of another site can make its own name lead here, and so read what is served (DNS rebinding).
        if len(host) != 1 or not self._address.answers_to(host[0]):
            return _refused(421, "without a token, only requests to localhost are answered")
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _refused(403, "requests of pages in a browser are not answered")
        return None


def _refused(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    # What follows of the request is not read.
    return JSONResponse({"error": text}, status, {"connection": "close", **(headers or {})})
