"""A server that is asked for too much, too slowly, or by somebody who must not ask."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving_process import Running, ask, running

from edgevision.errors import OptionError
from edgevision.serving import ServeSettings
from edgevision.serving.batching import Job
from edgevision.system.token import checked_token, new_token
from tiny_bundles import classifier_artifact, write_artifacts

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("ai_edge_litert")

INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return write_artifacts(folder / "tiny.evb", {"tflite-float32": classifier_artifact()})


def asked(server: Running, **parameters: Any) -> dict[str, Any]:
    (spec,) = server.models.all()[0].current.limits.inputs
    entry = {"name": spec.name, "shape": [1, 8, 8, 3], "datatype": "FP32", "data": [0.5] * 192}
    return {"inputs": [entry], "parameters": parameters}


@contextmanager
def busy(server: Running) -> Iterator[None]:
    """The only slot of the only model is taken until the block ends."""
    begun, ends = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        ends.wait(60)

    server.models.all()[0].current.queue.submit(Job(call, None, 1, time.monotonic() + 60))
    assert begun.wait(60)
    try:
        yield
    finally:
        ends.set()


def test_what_finds_no_room_is_refused_at_once_and_what_waits_is_answered(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(slots=1, queue=3, max_batch=1)) as server:
        waiting: list[Any] = []
        with busy(server):
            threads = [
                threading.Thread(target=lambda: waiting.append(ask(server, INFER, asked(server))))
                for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            while server.models.all()[0].current.queue.waiting < 3:
                time.sleep(0.001)
            for path, body in ((INFER, asked(server)), ("/v2/models/tiny/predict", b"an image")):
                refused = ask(server, path, body)
                assert refused.status == 429
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.json() == {"error": "too many requests wait for this model"}
            assert ask(server, "/v2/health/live").status == 200
        for thread in threads:
            thread.join()
        assert [one.status for one in waiting] == [200] * 3


def test_a_request_waits_no_longer_than_it_says(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(slots=1)) as server:
        answers: list[Any] = []
        with busy(server):
            body = asked(server, timeout=1000)  # microseconds
            thread = threading.Thread(target=lambda: answers.append(ask(server, INFER, body)))
            thread.start()
            while not server.models.all()[0].current.queue.waiting:
                time.sleep(0.001)
            time.sleep(0.01)
        thread.join()
        assert answers[0].status == 503
        assert answers[0].headers["retry-after"] == "1"


def test_a_caller_that_has_gone_leaves_its_place_to_another_one(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(slots=1, queue=1)) as server, busy(server):
        queue = server.models.all()[0].current.queue
        body = json.dumps(asked(server)).encode()
        head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head + body)
            while queue.waiting < 1:
                time.sleep(0.001)
            assert ask(server, INFER, asked(server)).status == 429
        end_s = time.monotonic() + 20
        while queue.waiting and time.monotonic() < end_s:
            time.sleep(0.001)
        assert (queue.waiting, queue.in_progress) == (0, 1)  # the one that keeps it busy


def test_a_model_that_hangs_holds_no_request_for_ever(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(slots=1, request_s=0.1)) as server:
        with busy(server):
            assert ask(server, INFER, asked(server)).status == 503
        assert ask(server, INFER, asked(server)).status == 200


def test_a_body_that_comes_too_slowly_is_not_waited_for(bundle: Path) -> None:
    with (
        running(bundle, settings=ServeSettings(body_s=0.2)) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
    ):
        connection.sendall(
            f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{{".encode()
        )
        got = _all_of(connection)
    assert got.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.2 s" in got


def test_a_body_without_a_length_is_bounded_too(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(max_body_mb=0.1)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        try:
            connection.request(
                "POST", "/v2/models/tiny/predict", iter([b"x" * 50_000] * 3), encode_chunked=True
            )
            status = connection.getresponse().status
        except ConnectionError:  # it was closed while we sent
            status = 413
        finally:
            connection.close()
        assert status == 413
        declared = ask(server, "/v2/models/tiny/predict", b"x" * 100_001)
        assert (declared.status, declared.headers["connection"]) == (413, "close")


def test_many_large_bodies_at_once_do_not_fill_the_memory(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(max_body_mb=0.1)) as server:
        head = b"POST /v2/models/tiny/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99000\r\n\r\n"
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(4)]
        for connection in slow:
            connection.sendall(head + b"x" * 98_999)
        got = ask(server, "/v2/models/tiny/predict", b"x" * 99_000)
        while got.status != 429:  # until theirs have arrived
            got = ask(server, "/v2/models/tiny/predict", b"x" * 99_000)
        assert got.headers["retry-after"] == "1"
        for connection in slow:
            connection.close()
        while got.status == 429:
            got = ask(server, "/v2/models/tiny/predict", b"x" * 99_000)
        assert got.status == 400  # it is no image; there is room again


def test_no_more_requests_are_read_at_once_than_may_wait(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(queue=2)) as server:
        head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{{".encode()
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2)]
        for connection in slow:
            connection.sendall(head)
        body = asked(server)
        got = ask(server, INFER, body)
        while got.status == 200:  # until theirs have arrived
            got = ask(server, INFER, body)
        assert (got.status, got.headers["retry-after"]) == (429, "1")
        for connection in slow:
            connection.close()
        while got.status == 429:
            got = ask(server, INFER, body)
        assert got.status == 200


def test_a_head_that_comes_too_slowly_is_not_waited_for(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevision.serving.connection._LOOK_S", 0.05)
    monkeypatch.setattr("edgevision.serving.connection._HEAD_S", 0.2)
    monkeypatch.setattr("edgevision.serving.connection._KEPT_S", 0.4)
    with running(bundle) as server:
        silent, slow, kept = (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(3)
        )
        kept.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v2 HTTP/1.1\r\nHo")
        _drip(slow, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000)
        assert _all_of(silent) == b""
        assert _all_of(kept).count(b"HTTP/1.1") == 1
        for connection in (silent, slow, kept):
            connection.close()


def test_an_answer_that_nobody_takes_is_given_up(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.serving.connection._LOOK_S", 0.05)
    asked_times = 1000
    with running(bundle, settings=ServeSettings(body_s=0.3)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * asked_times)
            time.sleep(1)
            assert 0 < _all_of(connection).count(b"HTTP/1.1 200") < asked_times
        assert ask(server, "/v2/health/live").status == 200


def test_one_connection_too_many_ends_the_oldest_that_is_idle(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(connections=3)) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(3)]
        idle[1].sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle[1].recv(1000).startswith(b"HTTP/1.1 200")  # idle since just now
        assert ask(server, "/v2/health/live").status == 200
        assert _all_of(idle[0]) == b""
        for connection in idle:
            connection.close()


def test_of_many_connections_at_once_only_as_many_stay(bundle: Path) -> None:
    with running(bundle, settings=ServeSettings(connections=3)) as server:
        many = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(50)]
        for connection in many[:-3]:
            assert _all_of(connection) == b""
        many[-1].sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert many[-1].recv(1000).startswith(b"HTTP/1.1 200")
        for connection in many:
            connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "192.168.1.7:8000"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_without_a_token_only_programs_of_this_machine_are_answered(
    bundle_server: Running, headers: dict[str, str], status: int
) -> None:
    assert ask(bundle_server, INFER, asked(bundle_server), **headers).status == status


@pytest.fixture(scope="module")
def bundle_server(bundle: Path) -> Iterator[Running]:
    with running(bundle) as one:
        yield one


def test_with_a_token_every_request_must_have_it(bundle: Path) -> None:
    token = new_token()
    with running(bundle, token=token) as server:
        for given in (
            "",
            token,
            f"Basic {token}",
            f"Bearer {token}x",
            "Bearer ",
            "Bearer é",
            f"Bearer{token}",
        ):
            for path in ("/v2", "/metrics", "/openapi.json", "/v2/models/tiny", "/nothing"):
                got = ask(server, path, Authorization=given)
                assert (got.status, got.headers["www-authenticate"]) == (401, "Bearer")
            assert ask(server, INFER, asked(server), Authorization=given).status == 401
        for kind in ("Bearer", "bearer"):
            named = {
                "Authorization": f"{kind} {token}",
                "Host": "models.example",
                "Origin": "https://a.example",
            }
            assert ask(server, INFER, asked(server), **named).status == 200
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert ask(server, path, Host="10.0.0.7").status == 200


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 15, "é" * 20, "x" * 20 + "\n", " " + "x" * 20, 3, b"x" * 20]
)
def test_a_token_is_a_secret_that_a_header_can_hold(token: Any) -> None:
    with pytest.raises(OptionError, match="token: expected") as raised:
        checked_token(token)
    assert "xxxxx" not in str(raised.value) or not isinstance(token, str)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_batch": 0},
        {"max_batch": 1.5},
        {"queue": 0},
        {"slots": 0},
        {"max_delay_ms": -1},
        {"max_delay_ms": float("nan")},
        {"max_delay_ms": 1e9},
        {"request_s": 0},
        {"body_s": float("inf")},
        {"max_body_mb": 0},
        {"connections": 0},
        {"watch_s": "1"},
    ],
    ids=str,
)
def test_a_limit_is_a_number_in_its_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        ServeSettings(**wrong)


def _all_of(connection: socket.socket) -> bytes:
    """What still comes until the other side ends it."""
    got = b""
    try:
        while part := connection.recv(65536):
            got += part
    except ConnectionError:
        pass
    return got


def _drip(connection: socket.socket, data: bytes) -> None:
    """Send a byte now and then, until the other side ends it."""
    try:
        for position in range(len(data)):
            connection.sendall(data[position : position + 1])
            time.sleep(0.01)
    except OSError:
        return
    pytest.fail(f"{len(data)} bytes of a head were waited for")
