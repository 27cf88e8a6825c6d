"""`require`: all of it holds, or loading fails and says what was found instead."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_bundles import FakeRuntime, registry_of, write_fake_bundle

from edgevision.artifact import Artifact
from edgevision.errors import DeviceError, OptionError, RequirementsError, UnmetRequirement
from edgevision.loading import load as loading
from edgevision.loading.load import load
from edgevision.loading.requirements import Requirements
from edgevision.slots import PooledSession
from tiny_bundles import classifier_artifact, write_artifacts


class Accelerator(FakeRuntime):
    """A fake backend on a device that is no CPU."""

    def __init__(self, **reported: object) -> None:
        super().__init__("fake")
        self.reported = reported

    def open(self, artifact, settings):  # type: ignore[no-untyped-def]
        session = super().open(artifact, settings)
        return PooledSession(
            session.inputs, session.outputs, "npu:0", "float16", session.slots, **self.reported
        )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_fake_bundle(tmp_path / "fake.evb")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    artifact = Artifact("tflite", "", {"model.tflite": classifier_artifact().content})
    return write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": artifact})


def _loaded(monkeypatch: pytest.MonkeyPatch, bundle: Path, require: Requirements, **reported: object) -> None:
    monkeypatch.setattr(loading, "registry", lambda: registry_of(Accelerator(**reported)))
    load(bundle, require=require).close()


def test_what_holds_is_loaded(tiny) -> None:
    require = Requirements(backend="tflite", device="cpu", precision="float32", max_latency_ms=60_000)
    with load(tiny, "tflite", require=require) as model:
        assert model.session.backend == "tflite"


def test_an_isolated_model_is_checked_as_well(tiny) -> None:
    with pytest.raises(RequirementsError) as caught:
        load(tiny, "tflite", isolate=True, require=Requirements(device="cuda:0", fully_accelerated=True))
    assert [one.field for one in caught.value.unmet] == ["device", "fully_accelerated"]


#: What is required -> what does not hold: field, required, found.
UNMET = {
    Requirements(backend="onnx"): [("backend", "onnx", "tflite")],
    Requirements(device="cuda:0"): [("device", "cuda:0", "cpu")],
    Requirements(precision="int8"): [("precision", "int8", "float32")],
    Requirements(fully_accelerated=True): [
        ("fully_accelerated", "every node on an accelerator", "the whole network on the CPU")
    ],
    Requirements("onnx", "cpu", "float16"): [
        ("backend", "onnx", "tflite"),
        ("precision", "float16", "float32"),
    ],
}


@pytest.mark.parametrize("require", UNMET, ids=str)
def test_everything_that_does_not_hold_is_said_with_what_was_found(tiny, require) -> None:
    with pytest.raises(RequirementsError) as caught:
        load(tiny, "tflite", require=require)
    assert caught.value.unmet == tuple(UnmetRequirement(*row) for row in UNMET[require])
    for field, required, found in UNMET[require]:
        assert f"{field}: required {required}, found {found}" in str(caught.value)
    assert str(tiny) in str(caught.value)
    assert isinstance(caught.value, DeviceError)
    assert caught.value.exit_code == 7


def test_a_latency_above_the_limit_is_said_with_the_one_that_was_measured(tiny) -> None:
    with pytest.raises(
        RequirementsError, match=r"max_latency_ms: required 1e-06, found [0-9.e-]+ \(95th perc"
    ):
        load(tiny, "tflite", require=Requirements(max_latency_ms=1e-6))


def test_the_nodes_that_run_on_the_cpu_are_named(bundle, monkeypatch) -> None:
    nodes = tuple(f"resize_{place}" for place in range(12))
    reported = {"fallback_nodes": nodes, "reports_placement": True}
    with pytest.raises(RequirementsError) as caught:
        _loaded(monkeypatch, bundle, Requirements(fully_accelerated=True), **reported)
    found = caught.value.unmet[0].found
    assert found.startswith("12 nodes on the CPU: resize_0, resize_1, ")
    assert found.endswith("resize_9 and 2 more")


def test_a_runtime_that_does_not_report_its_nodes_does_not_meet_full_acceleration(
    bundle, monkeypatch
) -> None:
    with pytest.raises(RequirementsError, match="backend 'fake' does not report which nodes run on npu:0"):
        _loaded(monkeypatch, bundle, Requirements(fully_accelerated=True))
    _loaded(monkeypatch, bundle, Requirements(fully_accelerated=True), reports_placement=True)


def test_a_model_that_does_not_meet_them_is_closed(bundle, monkeypatch) -> None:
    closed = []
    monkeypatch.setattr(PooledSession, "close", lambda self: closed.append(self))
    with pytest.raises(RequirementsError):
        _loaded(monkeypatch, bundle, Requirements(device="cpu"))
    assert len(closed) >= 1


@pytest.mark.parametrize(("fields", "text"), [
    ({"backend": 5}, "backend"),
    ({"fully_accelerated": "yes"}, "fully_accelerated"),
    ({"max_latency_ms": 0}, "max_latency_ms: expected milliseconds above 0"),
    ({"max_latency_ms": float("nan")}, "max_latency_ms"),
])  # fmt: skip
def test_wrong_fields_are_refused(fields, text) -> None:
    with pytest.raises(OptionError, match=text):
        Requirements(**fields)


def test_anything_else_is_refused_before_the_model_is_opened() -> None:
    with pytest.raises(OptionError, match="require"):
        load("absent.evb", require=SimpleNamespace(device="cpu"))  # type: ignore[arg-type]
