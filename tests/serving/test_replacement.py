"""Bundles that take the place of others while requests go on, readiness, and what Prometheus reads."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving_process import Running, ask, running

import edgevision
from edgevision.errors import InferenceError, OptionError
from edgevision.serving import ServeSettings
from edgevision.serving.models import ServedModel, ServedModels, named_bundle
from tiny_bundles import classifier_artifact, write_artifacts

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("ai_edge_litert")

OTHER = ("green apple", "pear", "c", "d", "e")
QUICK = ServeSettings(watch_s=0.05)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    artifacts = {"tflite-float32": classifier_artifact()}
    return (
        write_artifacts(folder / "one.evb", artifacts),
        write_artifacts(folder / "two.evb", artifacts, labels=OTHER),
    )


def until(is_so: Callable[[], Any]) -> None:
    end_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end_s, "it does not become so"
        time.sleep(0.01)


def asked(server: Running) -> dict[str, Any]:
    (spec,) = server.models.all()[0].current.limits.inputs
    return {"inputs": [{"name": spec.name, "shape": [1, 8, 8, 3], "datatype": "FP32", "data": [0.5] * 192}]}


def digest(server: Running) -> str:
    got = ask(server, "/v2/models/robot/infer", asked(server))
    assert got.status == 200, got
    found: str = got.json()["parameters"]["bundle_digest"]
    return found


def test_an_installed_bundle_takes_over_while_requests_go_on(
    bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    installed = [edgevision.install(bundles[0], tmp_path / "robot")]
    with running(installed[0].path, settings=QUICK) as server:
        digests, ended = [digest(server)], threading.Event()

        def go_on() -> None:
            while not ended.is_set():
                digests.append(digest(server))

        threads = [threading.Thread(target=go_on) for _ in range(3)]
        for thread in threads:
            thread.start()
        before = server.models.all()[0].current
        installed.append(edgevision.install(bundles[1], tmp_path / "robot"))
        until(lambda: digests[-1] == installed[1].digest)
        until(lambda: before.model.session.is_closed)
        ended.set()
        for thread in threads:
            thread.join()
        assert list(dict.fromkeys(digests)) == [one.digest for one in installed]
        edgevision.loading.install.roll_back(tmp_path / "robot")
        until(lambda: digest(server) == installed[0].digest)
        assert server.models.all()[0].replacements == {"swapped": 2}


def test_a_bundle_that_cannot_be_used_leaves_the_one_before_it(
    bundles: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "robot.evb"
    shutil.copytree(bundles[0], path)
    with running(path, settings=QUICK) as server:
        first = digest(server)
        _replace(path, lambda new: (new / "labels.txt").write_text("damaged\n"), bundles[1])
        until(lambda: server.models.all()[0].replacements["refused"])
        assert digest(server) == first
        assert ask(server, "/v2/health/ready").status == 200
        _replace(path, lambda new: None, bundles[1])
        until(lambda: digest(server) != first)
        path.rename(tmp_path / "away")  # it is in memory; nothing takes its place
        time.sleep(0.2)
        assert ask(server, "/v2/health/ready").status == 200
    (warned,) = [one.getMessage() for one in caplog.records if "stays" in one.getMessage()]
    assert "labels.txt" in warned


def test_after_an_error_of_any_kind_the_next_bundle_is_looked_at(
    bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    installed = edgevision.install(bundles[0], tmp_path / "robot")
    loaded: list[Path] = []

    def load(path: Path) -> Any:
        loaded.append(path)
        if len(loaded) == 2:
            raise RuntimeError("of a plugin")
        return edgevision.load(path)

    models = ServedModels([named_bundle(installed.path)], load, QUICK)
    models.start()
    try:
        (model,) = models.all()
        edgevision.install(bundles[1], tmp_path / "robot")
        until(lambda: model.replacements["refused"])
        edgevision.loading.install.roll_back(tmp_path / "robot")
        until(lambda: model.replacements["swapped"])
    finally:
        models.close(10)


def _replace(path: Path, change: Callable[[Path], Any], bundle: Path) -> None:
    new = path.with_name("new.evb")
    shutil.copytree(bundle, new)
    change(new)
    path.rename(path.with_name("old.evb"))
    new.rename(path)
    shutil.rmtree(path.with_name("old.evb"))


def test_a_model_is_ready_while_it_gives_its_known_answers(bundles: tuple[Path, Path]) -> None:
    with running(f"good={bundles[0]}", f"bad={bundles[1]}", health_every_s=3600) as server:
        assert ask(server, "/v2/health/ready").json() == {"ready": True}
        model = server.models.find("bad", None)
        assert model is not None
        monitor = model.current.model._monitor

        def fails() -> None:
            raise InferenceError("output 'scores' is not what it was")

        monitor._check = fails
        monitor.check()
        assert ask(server, "/v2/models/good/ready").json() == {"name": "good", "ready": True}
        whole = ask(server, "/v2/health/ready")  # for which no token is needed, and so without the reason
        assert (whole.status, whole.json()) == (503, {"ready": False})
        got = ask(server, "/v2/models/bad/ready")
        assert got.status == 503
        assert "is not what it was" in got.json()["error"]
        got = ask(server, "/v2/models/bad/predict", b"x")
        assert got.status == 503
        assert "does not give its known answers" in got.json()["error"]
        assert ask(server, "/v2/health/live").status == 200


def test_a_model_with_other_answers_than_its_known_ones_is_not_served(
    bundles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any) -> Any:
        def check() -> None:
            raise InferenceError("other answers")

        return check

    monkeypatch.setattr("edgevision.loading.load._known_check", fails)
    before = threading.active_count()
    with pytest.raises(InferenceError, match="does not give its known answers: .*other answers"):
        running(bundles[0]).__enter__()
    until(lambda: threading.active_count() <= before)


def test_versions_of_a_model_stand_side_by_side(bundles: tuple[Path, Path]) -> None:
    with running(f"robot:9={bundles[0]}", f"robot:10={bundles[1]}") as server:
        metadata = ask(server, "/v2/models/robot").json()
        assert metadata["versions"] == ["9", "10"]
        found = {}
        for path in ("robot", "robot/versions/9", "robot/versions/10"):
            got = ask(server, f"/v2/models/{path}/infer", asked(server)).json()
            found[path] = got["model_version"], got["parameters"]["bundle_digest"]
        digests = [edgevision.read_bundle(one).digest for one in bundles]
        assert found == {
            "robot": ("10", digests[1]),
            "robot/versions/9": ("9", digests[0]),
            "robot/versions/10": ("10", digests[1]),
        }
        missing = ask(server, "/v2/models/robot/versions/11/ready")
        assert missing.json() == {"error": "model 'robot' has no such version; it has 9, 10"}


def test_names(tmp_path: Path) -> None:
    (tmp_path / "a=b.evb").mkdir()
    (tmp_path / "robot").mkdir()
    (tmp_path / "robot" / "model.evb").symlink_to(tmp_path / "a=b.evb")
    shown = {
        "digits.evb": ("digits", "1", "digits.evb"),
        "x=digits.evb": ("x", "1", "digits.evb"),
        "x:12=a/digits.evb": ("x", "12", "a/digits.evb"),
        f"{tmp_path}/robot/model.evb": ("robot", "1", f"{tmp_path}/robot/model.evb"),
        "model.evb": ("model", "1", "model.evb"),
        f"y={tmp_path}/a=b.evb": ("y", "1", f"{tmp_path}/a=b.evb"),
    }
    for text, expected in shown.items():
        found = named_bundle(text)
        assert (found.name, found.version, str(found.path)) == expected
    for wrong in (
        "a b=x.evb",
        "é.evb",
        "x:0=y.evb",
        f"{tmp_path}/a=b.evb",
        "-x=y.evb",
        "x" * 101 + ".evb",
        "x" * 5000,
    ):
        with pytest.raises(OptionError, match="write NAME=PATH or NAME:VERSION=PATH"):
            named_bundle(wrong)


def test_all_models_share_the_time_to_close(
    bundles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [named_bundle(f"{name}={bundles[0]}") for name in "ab"]
    models = ServedModels(named, edgevision.load, QUICK)
    given: list[float] = []
    close = ServedModel.close

    def slow(self: ServedModel, timeout_s: float) -> None:
        given.append(timeout_s)
        time.sleep(0.05)
        close(self, timeout_s)

    monkeypatch.setattr(ServedModel, "close", slow)
    models.close(5)
    assert given[1] <= given[0] - 0.05 <= 5 - 0.05


def test_one_name_is_one_bundle(bundles: tuple[Path, Path]) -> None:
    with pytest.raises(OptionError, match="2 bundles are named 'x', version 1"):
        running(f"x={bundles[0]}", f"x={bundles[1]}").__enter__()
    with pytest.raises(OptionError, match="expected one bundle or more"):
        running().__enter__()


def test_prometheus_reads_the_metrics(bundles: tuple[Path, Path]) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="needs the extra `dev`")
    with running(f"robot={bundles[0]}") as server:
        for body in (asked(server), asked(server), b"{"):
            ask(server, "/v2/models/robot/infer", body)
        ask(server, '/v2/models/made"up/infer', b"{}")
        got = ask(server, "/metrics")
    assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in parser.text_string_to_metric_families(got.body.decode())}
    samples = {
        (sample.labels["route"], sample.labels["model"], sample.labels["status"]): sample.value
        for sample in families["edgevision_serve_requests"].samples
    }
    assert samples == {("infer", "robot", "200"): 2, ("infer", "robot", "400"): 1, ("infer", "", "404"): 1}
    assert families["edgevision_serve_batch_rows"].samples[0].value == 2
    states = families["edgevision_serve_health"].samples
    assert [one.labels["state"] for one in states if one.value] == ["ok"]
    counts = [
        one for one in families["edgevision_serve_request_seconds"].samples if one.name.endswith("_count")
    ]
    assert [one.value for one in counts] == [2]
    (info,) = families["edgevision_serve_info"].samples
    assert info.labels["bundle_digest"] == edgevision.read_bundle(bundles[0]).digest
