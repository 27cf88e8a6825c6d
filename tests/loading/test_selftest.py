"""Known answers of a bundle, on every backend that is here for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tampering import crashing, tampered

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.errors import InferenceError, OptionError, PluginError
from edgevision.loading import selftest
from edgevision.loading.selftest import run_known_answers
from tiny_bundles import DATA, write_artifacts

convert = pytest.mark.convert


@pytest.fixture(scope="module")
def bundle(quickstart: Path) -> Path:
    return quickstart / "quickstart" / "digits.evb"


@convert
def test_every_artifact_is_checked_on_each_of_its_backends(bundle: Path) -> None:
    rows = {(row.artifact, row.backend): row for row in run_known_answers(bundle)}
    assert list(rows) == [
        ("tflite-int8", "tflite"),
        ("openvino-int8", "openvino"),
        ("onnx-int8-symmetric", "cuda"),
        ("onnx-int8-symmetric", "onnx"),
    ]
    for (_, backend), row in rows.items():
        if backend == "cuda" and row.status == "not run":
            assert "pip install" in row.reason or row.reason
            continue
        assert (row.status, row.reason) == ("passed", "")
        assert 0.0 <= row.difference < 0.1


@convert
def test_a_backend_and_a_precision_can_be_asked_for(bundle: Path) -> None:
    (row,) = run_known_answers(bundle, "tflite", "cpu", "int8", SessionSettings(threads=1))
    assert (row.artifact, row.device, row.status) == ("tflite-int8", "cpu", "passed")


@convert
def test_an_artifact_with_other_answers_is_a_row_that_failed(bundle: Path, monkeypatch) -> None:
    def refuse(*args: object) -> float:
        raise InferenceError("off by 0.4 of an output's range")

    monkeypatch.setattr(selftest, "answers_in_child", refuse)
    row = run_known_answers(bundle, "tflite")[0]
    assert (row.status, row.difference, row.reason) == ("failed", None, "off by 0.4 of an output's range")


@convert
def test_a_request_that_cannot_be_met_is_refused(bundle: Path) -> None:
    with pytest.raises(OptionError, match="has no artifact for 'float32'; it has: tflite-int8"):
        run_known_answers(bundle, precision="float32")
    with pytest.raises(
        PluginError, match="no artifact can run on this machine: tflite: has no device 'npu:7', only cpu"
    ):
        run_known_answers(bundle, "tflite", "npu:7")
    with pytest.raises(PluginError, match="no backend 'tensorrt'"):
        run_known_answers(bundle, "tensorrt")


def test_an_artifact_that_kills_its_runtime_is_a_row_and_the_next_one_is_checked(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    names = {"tflite-float32": "tiny.tflite", "tflite-int8": "tiny_int8.tflite"}
    artifacts = {name: read_artifact(DATA / file) for name, file in names.items()}
    good = write_artifacts(tmp_path / "tiny.evb", artifacts)
    bad = tampered(good, tmp_path / "bad.evb", **{"artifacts__tflite-float32__tiny_dot_tflite": crashing()})
    first, second = run_known_answers(bad)
    assert (first.status, first.difference) == ("failed", None)
    assert "tflite-float32 on tflite: killed by SIGSEGV" in first.reason
    assert (second.artifact, second.status) == ("tflite-int8", "passed")
