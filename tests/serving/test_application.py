"""The server as an ASGI application, for a server of the caller's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from serving_process import Running, ask, in_uvicorn

from edgevision.errors import MissingRuntimeError, OptionError, PluginError
from edgevision.serving import ServeSettings, application
from tiny_bundles import classifier_artifact, write_artifacts

pytest.importorskip("ai_edge_litert")
pytest.importorskip("starlette", reason="needs the extra `serve`")
uvicorn: Any = pytest.importorskip("uvicorn", reason="needs the extra `serve`")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return write_artifacts(folder / "tiny.evb", {"tflite-float32": classifier_artifact()})


def test_it_runs_in_a_plain_server_and_closes_its_models_at_its_end(bundle: Path) -> None:
    app: Any = application([f"robot:3={bundle}"], server=ServeSettings(max_batch=2), backend="tflite")
    with in_uvicorn(app, http="h11") as port:
        server = Running(port, None)  # type: ignore[arg-type]
        assert ask(server, "/v2/models/robot").json()["versions"] == ["3"]
        assert ask(server, "/v2/health/ready").json() == {"ready": True}
        assert ask(server, "/v2/models/robot/predict", b"x").status == 400
    assert ask_closed(app) == 503


def ask_closed(app: Any) -> int:
    """The status of a request after the end."""
    with in_uvicorn(app, http="h11", lifespan="off") as port:
        return ask(Running(port, None), "/v2/health/ready").status  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bundles": "BUNDLE"}, "bundles: expected a sequence of paths"),
        ({"bundles": []}, "expected one bundle or more"),
        ({"bundles": [3]}, "bundles: expected a sequence of paths, got 3 in it"),
        ({"bundles": 3}, "bundles: expected"),
        ({"bundles": ["BUNDLE"], "token": "x"}, "token: expected"),
        ({"bundles": ["BUNDLE"], "server": {}}, "server: expected an object of class ServeSettings"),
        ({"bundles": ["BUNDLE"], "backend": "nowhere"}, "nowhere"),
        ({"bundles": ["BUNDLE"], "colour": "red"}, "colour"),
    ],
)
def test_an_argument_that_is_wrong_is_said(bundle: Path, arguments: dict[str, Any], message: str) -> None:
    listed = arguments["bundles"]
    named = [str(bundle) if one == "BUNDLE" else one for one in listed] if type(listed) is list else listed
    with pytest.raises((OptionError, PluginError, TypeError), match=message):
        application(**{**arguments, "bundles": named})


def test_without_the_extra_its_install_command_is_said(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    monkeypatch.delitem(sys.modules, "edgevision.serving.app", raising=False)
    with pytest.raises(MissingRuntimeError, match=r'pip install "edgevision\[serve\]"'):
        application([bundle])
