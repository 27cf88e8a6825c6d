"""``edgevision serve``, as a process that signals end, and whose runtime may be killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from edgevision.artifact import Artifact
from tiny_bundles import nchw, write_artifacts
from tiny_onnx import tiny_onnx_bytes

pytest.importorskip("ai_edge_litert")
pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")


class Process(NamedTuple):
    url: str
    token: str
    process: subprocess.Popen[str]


@contextmanager
def serving(*words: object, **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "edgevision", "serve", *map(str, words), "--port", "0"]
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        told = ""
        try:
            while not (found := re.search(r"serving on (http://\S+/v2)\n", told)):
                line = process.stderr.readline()
                assert line, (told, process.wait())
                told += line
            token = ""
            if "127.0.0.1" not in found[1] and "EDGEVISION_SERVE_TOKEN" not in environment:
                token = process.stderr.readline().split()[-1]
            yield Process(found[1], token, process)
        finally:
            process.kill()


def get(url: str, body: Any = None, **headers: str) -> Any:
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    with urlopen(Request(url, content, headers)) as answer:  # noqa: S310  # the server's own address
        return json.load(answer)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    artifact = {"onnx-float32": Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})}
    return write_artifacts(tmp_path_factory.mktemp("bundle") / "tiny.evb", artifact, how=nchw())


ASKED = {"inputs": [{"name": "image", "shape": [1, 3, 8, 8], "datatype": "FP32", "data": [0.5] * 192}]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_after_the_requests_that_it_took(
    bundle: Path, number: signal.Signals
) -> None:
    with serving(bundle, "--max-delay-ms", 3000) as server:
        answers: list[Any] = []
        # It waits for others to be run with, and so is in progress when the signal comes.
        thread = threading.Thread(
            target=lambda: answers.append(get(f"{server.url}/models/tiny/infer", ASKED))
        )
        thread.start()
        metrics = server.url.replace("/v2", "/metrics")
        in_progress = 'edgevision_serve_requests_in_progress{model="tiny",version="1"} 1'
        while True:
            with urlopen(metrics) as answer:  # noqa: S310  # the server's own address
                if in_progress in answer.read().decode():
                    break
        server.process.send_signal(number)
        thread.join(60)
        assert answers[0]["outputs"][1]["shape"] == [1, 5]
        assert server.process.wait(60) == 128 + number if number == signal.SIGTERM else 130
        assert server.process.stderr is not None
        assert "Traceback" not in server.process.stderr.read()


def _runtimes(process: int) -> list[int]:
    """The processes of runtimes that a server has started, in the order of their start."""
    threads = Path(f"/proc/{process}/task").iterdir()
    started = sorted(int(pid) for thread in threads for pid in (thread / "children").read_text().split())
    return [pid for pid in started if b"edgevision" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_after_the_process_of_the_runtime_was_killed_the_next_request_is_answered(bundle: Path) -> None:
    with serving(bundle, "--isolate", "--standby") as server:
        expected = get(f"{server.url}/models/tiny/infer", ASKED)["outputs"]
        runtime = _runtimes(server.process.pid)
        assert len(runtime) == 2  # one of them the standby
        os.kill(runtime[0], signal.SIGKILL)
        answered, refused = None, []
        while answered is None:
            try:
                answered = get(f"{server.url}/models/tiny/infer", ASKED)["outputs"]
            except HTTPError as error:  # one request may fail with it
                refused.append((error.code, error.headers["retry-after"]))
        assert refused in ([], [(503, "1")])
        assert answered == expected


def test_for_other_machines_a_token_is_required(bundle: Path) -> None:
    with serving(bundle, "--host", "0.0.0.0") as server:  # what is tested
        port = server.url.rpartition(":")[2].removesuffix("/v2")
        own = f"http://127.0.0.1:{port}/v2"
        with pytest.raises(HTTPError, match="401"):
            get(own)
        assert get(own, Authorization=f"Bearer {server.token}")["name"] == "edgevision"
        assert get(f"{own}/health/ready") == {"ready": True}
    secret = "0123456789abcdef"  # noqa: S105  # of this test
    with serving(bundle, EDGEVISION_SERVE_TOKEN=secret) as server:
        assert get(server.url, Authorization=f"Bearer {secret}")["name"] == "edgevision"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere.evb"], 5, "nowhere.evb"),
        (["tiny=BUNDLE", "tiny=BUNDLE"], 2, "2 bundles are named 'tiny', version 1"),
        (["a b=BUNDLE"], 2, "write NAME=PATH or NAME:VERSION=PATH"),
        (["BUNDLE", "--token", "short"], 2, "token: expected 16 ASCII characters or more"),
        (["BUNDLE", "--host", "no.such.host.invalid"], 2, "--host: no.such.host.invalid is not a known host"),
        (["BUNDLE", "--host", "203.0.113.7"], 2, "--host: this machine has no address 203.0.113.7; choose"),
        (["BUNDLE", "--standby"], 2, "--standby requires --isolate"),
    ],
)
def test_what_cannot_be_served_ends_with_a_line(
    bundle: Path, edgevision_command: Any, words: list[str], code: int, message: str
) -> None:
    done = edgevision_command("serve", *(word.replace("BUNDLE", str(bundle)) for word in words))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said(bundle: Path, edgevision_command: Any) -> None:
    with serving(bundle) as server:
        port = server.url.rpartition(":")[2].removesuffix("/v2")
        done = edgevision_command("serve", bundle, "--port", port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
