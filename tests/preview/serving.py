"""A preview of a stream of fake answers, and a plain HTTP client."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from edgevision.drawing.results import draw_detections
from edgevision.imaging.pixels import Pixels
from edgevision.preview.card import card_of
from edgevision.preview.frozen import explain_of
from edgevision.preview.live import Live
from edgevision.preview.server import served
from edgevision.system.address import Address
from edgevision.testing import fake_detector

OBJECTS = [("cat", 0.9, (4.0, 4.0, 60.0, 40.0)), ("<b>dog</b>", 0.4, (70.0, 20.0, 120.0, 90.0))]


class Served(NamedTuple):
    """A preview that is served: its address, and what counts the frames of its consumer."""

    url: str
    host: str
    port: int
    query: str
    live: Live
    answered: Callable[[], int]
    stop: Callable[[], None]


@contextmanager
def preview(host: str = "127.0.0.1", port: int = 0, fps: float = 100.0, size: int = 160) -> Iterator[Served]:
    """A stream without an end, consumed in a thread, and its preview."""
    model: Any = fake_detector(["cat", "<b>dog</b>"], OBJECTS, size_wh=(size, size))
    ended = threading.Event()

    def frames() -> Iterator[Pixels]:
        number = 0
        while not ended.is_set():
            time.sleep(1 / fps)
            number += 1
            yield np.full((size, size, 3), number % 200, np.uint8)

    stream = model.stream(frames())
    drawn: list[int] = []

    def draw(frame: Any, result: Any) -> Pixels:
        drawn.append(frame.index)
        return draw_detections(frame.pixels, result.value)

    live = Live(stream, draw)

    def consume() -> None:
        for frame, result in stream:
            live.add(frame, result)

    card, address = card_of(Path("robot.evb"), model, stream), Address(host, port)
    with served(live, card, lambda: "up 1\n", address, explain_of(model)) as url:
        consumer = threading.Thread(target=consume)
        consumer.start()
        parts = urlsplit(url)
        try:
            yield Served(
                url,
                parts.hostname or "",
                parts.port or 0,
                parts.query,
                live,
                lambda: stream.counters.answered,
                ended.set,
            )
        finally:
            ended.set()
            consumer.join(10)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    at: Served, path: str, method: str = "GET", body: Any = None, host: str = "127.0.0.1", **headers: str
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Host", f"{host}:{at.port}")
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, named)
    got = connection.getresponse()
    answer = Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    connection.close()
    return answer


def until(is_so: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it does not become so"
        time.sleep(0.01)


def watching(at: Served, path: str = "/picture.mjpg") -> socket.socket:
    """A viewer that has asked for the moving picture, and reads nothing yet."""
    viewer = socket.create_connection(("127.0.0.1", at.port), timeout=20)
    viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{at.port}\r\n\r\n".encode())
    return viewer
