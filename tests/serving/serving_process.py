"""Bundles to serve, a server in this process, and a plain HTTP client."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edgevision.loading.load import load
from edgevision.serving.models import ServedModels, named_bundle
from edgevision.serving.settings import ServeSettings
from edgevision.system.address import Address, listening_on


class Running(NamedTuple):
    """A server that runs, and what it serves."""

    port: int
    models: ServedModels

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.port}"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def running(
    *bundles: str | Path, token: str | None = None, settings: ServeSettings | None = None, **options: Any
) -> Iterator[Running]:
    """A server in a thread of this process, as `edgevision serve` runs it."""
    from edgevision.serving.app import server_application
    from edgevision.serving.connection import KEPT_ALIVE_S, bounded_protocol

    limits = settings or ServeSettings()

    def load_one(path: Path) -> Any:
        return load(path, **{"health_every_s": 10.0, **options})

    models = ServedModels([named_bundle(one) for one in bundles], load_one, limits)
    app = server_application(models, limits, token)
    protocol = bounded_protocol(limits.connections, limits.body_s)
    with in_uvicorn(app, http=protocol, timeout_keep_alive=KEPT_ALIVE_S) as port:
        yield Running(port, models)


@contextmanager
def in_uvicorn(app: Any, **options: Any) -> Iterator[int]:
    """An application in a thread of this process, and its port."""
    import uvicorn

    with listening_on(Address("127.0.0.1", 0), "--port", "--host") as listening:
        config = uvicorn.Config(
            app, ws="none", log_config=None, log_level="critical", timeout_graceful_shutdown=5, **options
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(at: Running, path: str, body: Any = None, method: str | None = None, **headers: str) -> Answer:
    """Send a request: a GET, or a POST where there is a body: bytes, or what becomes JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=30)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), path, content, named)
    got = connection.getresponse()
    answer = Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    connection.close()
    return answer
