"""The pages and data of a preview, as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgevision.errors import EdgeVisionError, OptionError, first_line
from edgevision.preview.frozen import FrozenFrames
from edgevision.preview.guard import Guard
from edgevision.preview.live import Live
from edgevision.system.address import Address
from edgevision.system.asgi import disconnected
from edgevision.system.strict_json import JsonError, read_json

#: Files of the page: address -> (name, type).
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
#: Viewers of the moving picture at once: each takes up to one picture of memory.
MOST_VIEWERS = 8
#: Pictures per second at most, whatever the stream's rate: drawing takes time from the stream.
_PICTURES_PER_S = 12.0
#: Seconds without a new frame after which the last one is sent again, so that a viewer that left is noticed.
_REPEAT_S = 5.0
#: Seconds that a viewer may take for one picture.
_SLOWEST_S = 10.0
_MOST_BODY_BYTES = 1000
_BOUNDARY = b"edgevision-frame"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def application(
    live: Live,
    frozen: FrozenFrames,
    card: Mapping[str, Any],
    metrics: Callable[[], str],
    address: Address,
    token: str | None,
) -> ASGIApp:
    """The application of one stream.

    Args:
        live: the stream.
        frozen: its frames that viewers stop at.
        card: of the model.
        metrics: text for Prometheus, for ``/metrics``.
        address, token: as `Guard`.
    """
    viewers = _Viewers()
    movable = frozenset(threshold["name"] for threshold in card["thresholds"])

    async def current(request: Request) -> Response:
        return JSONResponse({**await run_in_threadpool(live.to_dict), "explaining": frozen.progress})

    async def model(request: Request) -> Response:
        return JSONResponse(dict(card))

    async def measured(request: Request) -> Response:
        return Response(await run_in_threadpool(metrics), media_type=_METRICS_TYPE)

    async def still(request: Request) -> Response:
        found = await run_in_threadpool(live.picture)
        return _none_yet() if found is None else Response(found[1], media_type="image/jpeg")

    async def moving(request: Request) -> Response:
        if viewers.count >= MOST_VIEWERS:
            return PlainTextResponse(f"{MOST_VIEWERS} viewers watch already\n", 503, {"retry-after": "10"})
        return _MovingPicture(live, viewers)

    async def thresholds(request: Request) -> Response:
        arguments = await _posted(request, movable)
        live.change_call(arguments)
        return JSONResponse(live.to_dict()["call"])

    async def freeze(request: Request) -> Response:
        await _posted(request, frozenset())
        found = await run_in_threadpool(frozen.freeze)
        return _none_yet() if found is None else JSONResponse(found)

    async def frozen_picture(request: Request) -> Response:
        index, explained = request.path_params["index"], "explained" in request.query_params
        found = await run_in_threadpool(frozen.picture, index, explained)
        if found is None:
            return PlainTextResponse("not frozen any more\n", 404)
        return Response(found, media_type="image/jpeg")

    async def explain(request: Request) -> Response:
        await _posted(request, frozenset())
        left = asyncio.ensure_future(disconnected(request.receive))
        try:
            is_unwanted = lambda: live.ended or left.done()  # noqa: E731
            return JSONResponse(
                await run_in_threadpool(frozen.explain, request.path_params["index"], is_unwanted)
            )
        finally:
            left.cancel()

    routes = [Route(path, _file(*named)) for path, named in _FILES.items()]
    routes += [
        Route("/live.json", current),
        Route("/card.json", model),
        Route("/metrics", measured),
        Route("/picture.jpg", still),
        Route("/picture.mjpg", moving),
        Route("/thresholds", thresholds, methods=["POST"]),
        Route("/freeze", freeze, methods=["POST"]),
        Route("/frozen/{index:int}.jpg", frozen_picture),
        Route("/frozen/{index:int}/explanation", explain, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={EdgeVisionError: _told}), address, token)


async def _posted(request: Request, names: frozenset[str]) -> dict[str, Any]:
    """The JSON object that was sent, with any of these names.

    Raises:
        HTTPException: it is too long, or of another type, which a page of another site could send unasked.
        OptionError: it is not such an object.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY_BYTES:
            raise HTTPException(413, "too long\n")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "expected application/json\n")
    try:
        arguments = read_json(body)
    except JsonError as error:
        raise OptionError(str(error)) from error
    if not isinstance(arguments, dict) or not names.issuperset(arguments):
        allowed = f"any of {sorted(names)}" if names else "nothing in it"
        raise OptionError(f"expected a JSON object with {allowed}")
    return arguments


def _told(request: Request, error: Exception) -> Response:
    """The answer to a request that cannot be met."""
    return JSONResponse({"error": first_line(error)}, 400 if isinstance(error, OptionError) else 500)


def _none_yet() -> Response:
    return PlainTextResponse("no frame yet\n", 503, {"retry-after": "1"})


def _file(name: str, kind: str) -> Callable[[Request], Any]:
    content = files("edgevision.preview").joinpath("page").joinpath(name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return answer


class _Viewers:
    count = 0


class _MovingPicture(Response):
    """MJPEG: each viewer gets the newest picture when it has taken the one before, and none in between."""

    def __init__(self, live: Live, viewers: _Viewers) -> None:
        self._live = live
        self._viewers = viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        kind = b"multipart/x-mixed-replace; boundary=" + _BOUNDARY
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        self._viewers.count += 1
        left = asyncio.ensure_future(disconnected(receive))
        try:
            await self._send_pictures(send, left)
        except (asyncio.TimeoutError, OSError):
            return  # too slow, or gone: the connection is closed
        finally:
            self._viewers.count -= 1
            left.cancel()
        await send({"type": "http.response.body", "body": b"--" + _BOUNDARY + b"--\r\n"})

    async def _send_pictures(self, send: Send, left: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        shown, shown_s = -1, -_REPEAT_S
        while not (self._live.ended or left.done()):
            if self._live.index != shown or loop.time() - shown_s > _REPEAT_S:
                found = await run_in_threadpool(self._live.picture)
                if found is not None:
                    shown, shown_s = found[0], loop.time()
                    await asyncio.wait_for(self._send_picture(send, found[1]), _SLOWEST_S)
            await asyncio.sleep(1 / _PICTURES_PER_S)

    async def _send_picture(self, send: Send, jpeg: bytes) -> None:
        head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (_BOUNDARY, len(jpeg))
        # With the next boundary: browsers show a part when it has ended.
        body = head + jpeg + b"\r\n"
        await send({"type": "http.response.body", "body": body, "more_body": True})
