"""The addresses of a server, as an ASGI application: the Open Inference Protocol, and predictions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edgevision._version import __version__
from edgevision.serving.batching import Job, QueueClosedError
from edgevision.serving.deployment import Deployment
from edgevision.serving.guard import Guard
from edgevision.serving.infer_request import json_bytes, read_infer_request
from edgevision.serving.infer_response import encode_response
from edgevision.serving.intake import Intake
from edgevision.serving.metrics import ServeMetrics
from edgevision.serving.models import ServedModel, ServedModels
from edgevision.serving.prediction import read_call
from edgevision.serving.refusal import RefusedError, refused
from edgevision.serving.settings import ServeSettings
from edgevision.system.asgi import disconnected
from edgevision.system.shown import shown

_JSON_LENGTH = "inference-header-content-length"
_NO_ADDRESS = "there is no such address; expected /v2 or /v2/models/NAME, or see /openapi.json for all"
_A_FORM = "forms are not read; send the bytes of the image file alone, as: curl --data-binary @FILE"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Bytes of JSON that are read, and values that are written as JSON, without keeping other requests waiting.
_QUICK = 16_384
#: How often a request goes to what took the place of its model while it was read.
_TRIES = 3
#: Seconds beyond its own limit that the answer to a request that has begun is waited for.
_GRACE_S = 1.0

Handler = Callable[[Request], Awaitable[Response]]


def server_application(
    models: ServedModels, settings: ServeSettings, token: str | None, close_s: float | None = None
) -> ASGIApp:
    """The application of some models, which are closed when it ends.

    Args:
        models: what is served.
        settings: limits.
        token: as `Guard`.
        close_s: seconds for requests in progress when it ends; `None` is as long as one may take.
    """
    server = _Server(models, settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        models.start()
        yield
        await run_in_threadpool(models.close, settings.request_s if close_s is None else close_s)

    routes = [
        Route("/v2", server.answers("server", server.metadata)),
        Route("/v2/health/live", server.answers("live", server.live)),
        Route("/v2/health/ready", server.answers("ready", server.ready)),
        Route("/metrics", server.answers("metrics", server.measured)),
        Route("/openapi.json", server.answers("openapi", server.described)),
    ]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [
            Route(model, server.answers("model", server.model_metadata)),
            Route(f"{model}/ready", server.answers("model_ready", server.model_ready)),
            Route(f"{model}/infer", server.answers("infer", server.infer), methods=["POST"]),
            Route(f"{model}/predict", server.answers("predict", server.predict), methods=["POST"]),
        ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: server.no_route})
    app.router.redirect_slashes = False
    return Guard(app, token)


class _Server:
    """The answers at each address."""

    def __init__(self, models: ServedModels, settings: ServeSettings) -> None:
        self._models = models
        self._settings = settings
        self._intake = Intake(settings.max_body_bytes, settings.body_s, settings.queue)
        self._metrics = ServeMetrics(models)
        self._openapi = files("edgevision.serving").joinpath("openapi.json").read_bytes()

    def answers(self, route: str, handler: Handler) -> Handler:
        """A handler whose requests are counted, and whose errors are answers."""

        async def answer(request: Request) -> Response:
            started_s = time.perf_counter()
            try:
                response = await handler(request)
            except ClientDisconnect:
                response = Response(status_code=400)  # which nobody reads
            except Exception as error:
                response = refused(error)
            model = self._models.find(request.path_params.get("name", ""), request.path_params.get("version"))
            self._metrics.add(route, model, response.status_code, time.perf_counter() - started_s)
            return response

        return answer

    async def no_route(self, request: Request, error: Exception) -> Response:
        """Refuse a request for an address or a method that there is not."""
        status = getattr(error, "status_code", 404)
        self._metrics.add("none", None, status, 0.0)
        headers = getattr(error, "headers", None) or {}
        text = _NO_ADDRESS
        if "Allow" in headers:
            text = f"expected {headers['Allow']} at this address, got {shown(request.method)}"
        return JSONResponse({"error": text}, status, headers)

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        # Without the reasons, and the names of models: it takes no token.
        is_ready = not any(one.unready() for one in self._models.all())
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    async def metadata(self, request: Request) -> Response:
        return JSONResponse(
            {"name": "edgevision", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def measured(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=_METRICS_TYPE)

    async def described(self, request: Request) -> Response:
        return Response(self._openapi, media_type="application/json")

    async def model_metadata(self, request: Request) -> Response:
        model = self._model(request)
        name = model.bundle.name
        return JSONResponse(
            {"name": name, "versions": self._models.versions(name), **model.current.metadata()}
        )

    async def model_ready(self, request: Request) -> Response:
        model = self._model(request)
        reason = model.unready()
        document: dict[str, Any] = {"name": model.bundle.name, "ready": not reason}
        return JSONResponse({**document, "error": reason}, 503) if reason else JSONResponse(document)

    async def infer(self, request: Request) -> Response:
        model = self._model(request)
        model.current.queue.check_room()
        async with self._intake.body(request, model.current.limits.most_body_bytes) as body:
            length = request.headers.get(_JSON_LENGTH)
            is_quick = json_bytes(length, body) <= _QUICK
            for _ in range(_TRIES):
                deployment = self._answering(model)
                arguments = body, length, deployment.limits
                if is_quick:
                    asked = read_infer_request(*arguments)
                else:
                    asked = await run_in_threadpool(read_infer_request, *arguments)
                try:
                    job = deployment.infer(asked)
                except QueueClosedError:
                    continue
                outputs = await self._done(job, request)
                head: dict[str, object] = {
                    "model_name": model.bundle.name,
                    "model_version": model.bundle.version,
                }
                if asked.id is not None:
                    head["id"] = asked.id
                head["parameters"] = {"bundle_digest": deployment.facts()["bundle_digest"]}
                listed = sum(outputs[spec.name].size for spec, binary in asked.outputs if not binary)
                if listed <= _QUICK:
                    encoded = encode_response(head, asked.outputs, outputs)
                else:
                    encoded = await run_in_threadpool(encode_response, head, asked.outputs, outputs)
                if encoded.json_length is None:
                    return Response(encoded.body, media_type="application/json")
                headers = {"Inference-Header-Content-Length": str(encoded.json_length)}
                return Response(encoded.body, headers=headers, media_type="application/octet-stream")
        raise QueueClosedError

    async def predict(self, request: Request) -> Response:
        model = self._model(request)
        model.current.queue.check_room()
        if request.headers.get("content-type", "").strip().lower().startswith("multipart/"):
            raise RefusedError(415, _A_FORM)
        async with self._intake.body(request, self._settings.max_body_bytes) as body:
            for _ in range(_TRIES):
                deployment = self._answering(model)
                call = read_call(deployment.model, request.query_params.multi_items())
                try:
                    job = deployment.predict(body, call)
                except QueueClosedError:
                    continue
                return JSONResponse(await self._done(job, request))
        raise QueueClosedError

    def _model(self, request: Request) -> ServedModel:
        name, version = request.path_params["name"], request.path_params.get("version")
        model = self._models.find(name, version)
        if model is not None:
            return model
        versions = self._models.versions(name)
        if versions:
            raise RefusedError(404, f"model '{name}' has no such version; it has {', '.join(versions)}")
        names = sorted({one.bundle.name for one in self._models.all()})
        raise RefusedError(404, f"no such model; this server has {', '.join(names)}")

    def _answering(self, model: ServedModel) -> Deployment:
        reason = model.failed()
        if reason:
            raise RefusedError(503, f"the model does not give its known answers: {reason}", retry_after_s=10)
        return model.current

    async def _done(self, job: Job, request: Request) -> Any:
        """The answer to a job, which is given up when its time is over, or its caller has gone."""
        answer, gone = asyncio.wrap_future(job.done), asyncio.ensure_future(disconnected(request.receive))
        try:
            await asyncio.wait(
                {answer, gone},
                timeout=self._settings.request_s + _GRACE_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if answer.done():
                return answer.result()
            raise ClientDisconnect if gone.done() else asyncio.TimeoutError
        finally:
            answer.cancel()
            gone.cancel()
