"""On macOS and Windows the package imports and runs models, and says what it cannot do there.

Neither is at hand: `other_system.py` hides what they lack from a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgevision.evidence.document import evidence_json
from evaluation.tiny_bundle import write_tiny_bundle
from reporting.report_bundle import classified, evidence_of, measured

PROGRAM = Path(__file__).with_name("other_system.py")
Facts = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def facts_of(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the program found on a system."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    found: dict[str, dict[str, Any]] = {}

    def facts(system: str) -> dict[str, Any]:
        if system not in found:
            bundle = tmp_path_factory.mktemp(system) / "tiny.evb"
            text = evidence_json(evidence_of(measured("tflite-float32", classified())))
            write_tiny_bundle(bundle, evidence_text=text)
            command = [sys.executable, PROGRAM, system, bundle]
            # As a user has it: the first load is checked.
            environment = {**os.environ, "EDGEVISION_CACHE": str(bundle.with_name("cache"))}
            environment.pop("EDGEVISION_SELFTEST", None)
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=300
            )
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
            found[system] = json.loads(done.stdout.splitlines()[-1])
        return found[system]

    return facts


@pytest.mark.parametrize("system", ["macos", "windows"])
def test_every_module_imports_and_a_model_runs(facts_of: Facts, system: str) -> None:
    facts = facts_of(system)
    assert facts["modules"] > 300
    assert facts["best"] == "b"
    assert {"cuda", "onnx", "openvino", "tflite"} <= set(json.loads(facts["backends"].replace("'", '"')))


@pytest.mark.parametrize("system", ["macos", "windows"])
def test_a_first_load_is_checked_and_kept(facts_of: Facts, system: str) -> None:
    assert facts_of(system)["kept"] == 1


@pytest.mark.parametrize("system", ["macos", "windows"])
def test_outputs_are_replaced_without_an_exchange_in_one_step(facts_of: Facts, system: str) -> None:
    facts = facts_of(system)
    assert (facts["written"], facts["packed"]) == ("two", True)


def test_a_child_process_runs_on_macos_and_windows_says_what_to_do(facts_of: Facts) -> None:
    assert facts_of("macos")["child"] == "['features', 'scores']"
    said = facts_of("windows")["child"]
    assert said.startswith("ProcessError: ")
    assert said.endswith("run this on Linux or macOS, or in the Windows Subsystem for Linux")


def test_what_a_system_does_not_measure_is_said(facts_of: Facts) -> None:
    assert float(facts_of("macos")["peak"]) > 10
    assert facts_of("macos")["memory"].startswith("DeviceError: ")
    assert facts_of("windows")["peak"].endswith("measure on Linux or macOS")
