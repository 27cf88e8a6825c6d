"""Every command of docs/serve.md, as a reader types it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.artifact import Artifact, read_artifact
from tiny_bundles import DATA, nchw, write_artifacts
from tiny_onnx import tiny_onnx_bytes

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
SERVERS = [line for line in COMMANDS if line.startswith("edgevision serve ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder, with a bundle and a photo."""
    folder = tmp_path_factory.mktemp("reader")
    onnx = {"onnx-float32": Artifact("onnx", "float32", {"digits.onnx": tiny_onnx_bytes()})}
    write_artifacts(folder / "digits.evb", onnx, how=nchw())
    cv2.imwrite(str(folder / "photo.png"), np.full((16, 16, 3), 90, np.uint8))
    return folder


def _run(line: str, folder: Path) -> str:
    command = line.replace("edgevision ", f"{sys.executable} -m edgevision ", 1)
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _server(line: str, folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", *line.split(), "--port", str(port)]
    with subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any("serving on" in told for told in process.stderr)
            yield f"localhost:{port}"
        finally:
            process.terminate()
            process.wait(60)


def test_a_reader_asks_about_a_photo_and_with_the_official_client(folder: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (asked,) = [line for line in COMMANDS if line.startswith("curl ")]
    with _server(SERVERS[0], folder) as at:
        answer = json.loads(_run(asked.replace("localhost:8000", at), folder))
        (said,) = re.findall(r"what `(edgevision predict [^`]*)` prints", PAGE)
        assert answer == json.loads(_run(f"{said} < photo.png", folder))
        assert "'datatype': 'FP32'" in _of_the_official_client(at, folder)


def test_the_program_of_the_official_client_takes_a_network_of_int8(folder: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    artifact = read_artifact(DATA / "tiny_int8.tflite")
    (folder / "int8").mkdir()
    bundle = write_artifacts(folder / "int8" / "digits.evb", {"tflite-int8": artifact})
    with _server(f"edgevision serve {bundle}", folder) as at:
        assert "'datatype': 'INT8'" in _of_the_official_client(at, folder)


def _of_the_official_client(at: str, folder: Path) -> str:
    pytest.importorskip("tritonclient.http", reason="needs tritonclient[http] (extra `dev`)")
    (program,) = [
        code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "tritonclient" in code
    ]
    words = [sys.executable, "-c", program.replace("localhost:8000", at)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_reader_installs_serves_and_exports(folder: Path) -> None:
    others = [line for line in COMMANDS if line not in SERVERS and not line.startswith("curl ")]
    assert [line.split()[1] for line in others] == ["install", "export", "export"]
    for line in others:
        _run(line, folder)
    with _server(SERVERS[1], folder) as at:
        for name in ("digits", "small/versions/2"):
            _run(f"curl --fail http://{at}/v2/models/{name}/ready", folder)
    assert (folder / "repository" / "digits" / "config.pbtxt").exists()
    assert (folder / "models" / "config.json").exists()
