"""The limits of a target: those measured on this machine, those left to the device, and failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.conversion.device_limits import device_requirements, unmeasured_limits
from edgevision.conversion.plan import MeasurementBackend
from edgevision.evidence.requirements import Requirement
from edgevision.execution.run_costs import run_costs
from edgevision.plugins import registry
from edgevision.system.machine import processor
from edgevision.target import Target

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

ARTIFACT = read_artifact(Path(__file__).parents[1] / "data" / "tiny.tflite")
CAMERA = Target("camera", "a camera", "tflite", "tflite", ("float32",), machine=processor())
GENEROUS = {"max_size_mb": 1.0, "max_latency_ms": 1000.0, "max_memory_mb": 4000.0}


def _measurement_backend() -> MeasurementBackend:
    return MeasurementBackend(registry().backend("tflite"), SessionSettings(), on_target=True)


def _requirements(*targets: Target) -> dict[str, Requirement]:
    measured_on = _measurement_backend()
    costs = lambda: run_costs(ARTIFACT, measured_on.backend.name, measured_on.settings)  # noqa: E731
    return {
        requirement.what: requirement
        for requirement in device_requirements(ARTIFACT, measured_on, targets, costs)
    }


def test_size_latency_and_memory_are_measured_if_this_machine_is_such_a_device() -> None:
    requirements = _requirements(replace(CAMERA, limits=GENEROUS))
    assert requirements["size"].measured == ARTIFACT.size_bytes / 1e6
    assert 0 < requirements["latency"].measured < 1000
    assert 10 < requirements["memory"].measured < 4000, "a process with numpy and LiteRT"
    assert all(requirement.passed for requirement in requirements.values())
    assert unmeasured_limits(_measurement_backend(), [replace(CAMERA, limits=GENEROUS)]) == []


@pytest.mark.parametrize(
    ("limit", "least"), [("max_size_mb", 1e-6), ("max_latency_ms", 1e-6), ("max_memory_mb", 1.0)]
)
def test_a_value_over_a_limit_fails(limit: str, least: float) -> None:
    (requirement,) = _requirements(replace(CAMERA, limits={limit: least})).values()
    assert not requirement.passed


def test_memory_is_measured_in_a_separate_process() -> None:
    held = b"x" * 500_000_000
    measured_on = _measurement_backend()
    assert (
        10
        < run_costs(ARTIFACT, measured_on.backend.name, measured_on.settings).peak_memory_mb
        < len(held) / 1e6
    )


def test_the_strictest_of_all_targets_counts() -> None:
    strict, lax = (replace(CAMERA, limits={"max_size_mb": size}) for size in (0.5, 2.0))
    assert _requirements(lax, strict)["size"].limit == 0.5


def test_another_machine_measures_only_size_and_notes_it() -> None:
    other = replace(CAMERA, machine="Raspberry Pi 99", limits=GENEROUS)
    assert list(_requirements(other)) == ["size"]
    latency, memory = unmeasured_limits(_measurement_backend(), [other])
    assert latency.startswith("max_latency_ms of camera was not checked: this machine is a different device")
    assert memory.startswith("max_memory_mb of camera")


@pytest.mark.parametrize("other", [{"backend": "openvino"}, {"device": "gpu"}])
def test_a_target_of_another_backend_or_device_is_not_measured_on_this_machine(
    other: dict[str, str],
) -> None:
    elsewhere = replace(CAMERA, name="elsewhere", limits=GENEROUS, **other)
    assert list(_requirements(CAMERA, elsewhere)) == ["size"]
    assert len(unmeasured_limits(_measurement_backend(), [CAMERA, elsewhere])) == 2


def test_limits_of_a_target_that_names_no_machine_are_not_checked_here_and_noted() -> None:
    anywhere = replace(CAMERA, machine=None, limits={**GENEROUS, "max_latency_ms": 1e-6}, origin="mine.toml")
    assert list(_requirements(anywhere)) == ["size"]
    latency, memory = unmeasured_limits(_measurement_backend(), [anywhere])
    assert latency.startswith("max_latency_ms of camera was not checked: mine.toml does not name the machine")
    assert memory.startswith("max_memory_mb of camera")
