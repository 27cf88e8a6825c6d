"""Which requests are answered: checked for every one, before anything else."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgevision.system.address import Address
from edgevision.system.token import is_token

#: Nothing but the page's own files; no other site may frame, embed or read it.
HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
TOKEN_PARAMETER = "token"  # noqa: S105  # the name of it


class Guard:
    """Answers requests that are meant for the preview, and whose sender knows the token.

    Args:
        app: what answers them.
        address: where the preview is served.
        token: what a request must have, in its address or in the cookie that the page gets; `None` for none.
    """

    def __init__(self, app: ASGIApp, address: Address, token: str | None) -> None:
        self._app = app
        self._address = address
        self._token = token
        # A browser sends the cookies of a host to all of its ports.
        self._cookie = f"edgevision-{address.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        if scope["type"] != "http":  # no WebSocket is served
            return
        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.getlist("host")
        if len(host) != 1 or not self._address.answers_to(host[0]):
            return _refused(421, "This preview is not served under that name.")
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not (
            request.url.path == "/" and request.headers.get("sec-fetch-mode") == "navigate"
        ):
            return _refused(403, "This preview answers no requests of other sites.")
        if request.method not in ("GET", "HEAD"):
            origin = request.headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host[0]:
                return _refused(403, "This preview takes no requests of other sites.")
        return None if self._token is None else self._token_refusal(request, self._token)

    def _token_refusal(self, request: Request, token: str) -> Response | None:
        given = request.query_params.get(TOKEN_PARAMETER)
        if given is not None and is_token(given, token):
            if request.url.path != "/":
                return None
            # From here on a cookie has it: an address is shown, bookmarked and passed on.
            seen = RedirectResponse("/", 303)
            seen.set_cookie(self._cookie, token, path="/", httponly=True, samesite="strict")
            return seen
        if given is None and is_token(request.cookies.get(self._cookie, ""), token):
            return None
        return _refused(
            401, "The token is missing or wrong: use the address that `edgevision stream` printed."
        )


def _refused(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)


def _with_headers(send: Send) -> Send:
    added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in added}
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in own]
            message = {**message, "headers": [*kept, *added]}
        await send(message)

    return sending
