"""How the speed of candidates is known: timed on a machine of the target's kind, by the table, or not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgevision.artifact import PRECISIONS
from edgevision.backend import SessionSettings
from edgevision.conversion.latency_table import INTEGER, WITH_FLOAT, latency_rows, rows_of
from edgevision.conversion.plan import MeasurementBackend
from edgevision.conversion.speed import (
    architecture,
    is_this_kind,
    speed_bases,
    tabled_slower,
    tabled_slower_text,
)
from edgevision.plugins import registry
from edgevision.system.machine import processor
from edgevision.target import ARCHITECTURES, Target

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

CAMERA = Target("camera", "a camera", "tflite", "tflite", ("int8", "float32"), device="cpu")
OTHER = next(one for one in ARCHITECTURES if one != architecture())
ROWS = rows_of(
    {
        "x86_64": {
            "machine": "a processor with a runtime",
            "tflite": {"integer": {"networks": ["a"], "ratios": {"int8": [0.5], "float32": [1.0]}}},
            "onnx": {
                "integer": {
                    "networks": ["a", "b", "c"],
                    "ratios": {
                        "int8": [2.6, 0.9, 3.0],
                        "float16": [1.05, 1.0, 1.1],
                        "float32": [1.0, 1.0, 1.0],
                    },
                }
            },
        }
    }
)


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({}, True),
        ({"architecture": architecture()}, True),
        ({"architecture": OTHER}, False),
        ({"machine": processor()}, True),
        ({"machine": "Raspberry Pi 99"}, False),
        ({"machine": "Raspberry Pi 99", "architecture": architecture()}, False),
        ({"backend": "openvino"}, False),
        ({"device": "gpu"}, False),
    ],
)
def test_a_run_here_says_how_fast_it_is_on_a_device_of_the_same_kind(
    facts: dict[str, str], known: bool
) -> None:
    here = MeasurementBackend(registry().backend("tflite"), SessionSettings("cpu"), on_target=True)
    assert is_this_kind(replace(CAMERA, **facts), here) is known
    assert not is_this_kind(replace(CAMERA, **facts), replace(here, on_target=False))


def test_the_table_is_for_targets_of_its_architecture_that_cannot_be_timed_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgevision.conversion.speed.latency_rows", lambda: ROWS)
    targets = [
        replace(CAMERA, name="here"),
        replace(CAMERA, name="elsewhere", machine="N99", architecture="x86_64"),
        replace(CAMERA, name="another", machine="Raspberry Pi 99", architecture="aarch64"),
        replace(CAMERA, name="unsaid", machine="Raspberry Pi 99"),
    ]
    assert speed_bases(targets, registry()) == {
        "here": "timed",
        "elsewhere": "table",
        "another": "",
        "unsaid": "",
    }


def test_the_table_compares_precisions() -> None:
    row = ROWS["x86_64", "onnx", INTEGER]
    slower = tabled_slower(row, {"a": "int8", "b": "float16", "c": "float32"})
    assert slower is not None
    assert slower("a", "c")
    assert slower("a", "b")
    assert not slower("b", "c"), "by less than a tenth"
    assert not slower("c", "a")
    assert tabled_slower(row, {"a": "int8-mixed", "c": "float32"}) is None, "it does not have this precision"
    assert tabled_slower_text(row, "int8", "onnx-float32", "float32") == (
        "2.6 times the time of onnx-float32 by the package's latency table for x86_64, "
        "measured on a processor with a runtime"
    )


def test_a_precision_that_is_never_slower_is_known_by_all_networks_of_the_table() -> None:
    assert ROWS["x86_64", "tflite", INTEGER].never_slower("int8")
    assert not ROWS["x86_64", "tflite", INTEGER].never_slower("int16x8"), "it is not in the table"
    assert not ROWS["x86_64", "onnx", INTEGER].never_slower("int8"), "one of three is faster"


def test_the_table_of_the_package_is_complete() -> None:
    rows = latency_rows()
    assert {backend for _, backend, _ in rows} >= {"tflite", "openvino", "onnx"}
    for (architecture_of, _, kind), row in rows.items():
        assert architecture_of in ARCHITECTURES
        assert kind in (INTEGER, WITH_FLOAT)
        assert row.machine
        assert row.networks
        assert set(row.ratios) <= set(PRECISIONS)
        assert set(row.ratios["float32"]) == {1.0}
        assert all(len(ratios) == len(row.networks) for ratios in row.ratios.values())
        assert min(ratio for ratios in row.ratios.values() for ratio in ratios) > 0
        assert "int8" in row.ratios
