"""Bad arguments raise EdgeVision's own errors, whatever they are: a short form of `bad_calls.py`."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgevision as ev
from fuzz.entry_points import entries
from public_face import exported_classes, exported_functions, function_of

#: ``EDGEVISION_FUZZ=14000 pytest tests/fuzz`` tries as many, with a seed of ``EDGEVISION_FUZZ_SEED``.
COUNT = os.environ.get("EDGEVISION_FUZZ", "400")
SEED = os.environ.get("EDGEVISION_FUZZ_SEED", "1")

#: Classes that EdgeVision makes and a caller reads, or that are checked where they are passed on.
RESULTS = {
    *("BenchResult", "Throughput", "Chosen", "Tuning", "TuningRow", "Coverage", "Finding", "LayerCoverage"),
    *("Exported", "Packed", "Frame", "ImageSet", "ValueMapping", "Grouping", "SetFacts", "Requirement"),
}
#: Methods that EdgeVision itself calls with values that it has computed, or that follow Python's protocols.
INTERNAL = {
    *("Budget.requirements", "SessionSettings.check_options", "SessionSettings.check_device"),
    *("CheckedSession.watched", "Preprocessing.resized_frame", "Bundle.artifact", "Bundle.read"),
    *("PointMetrics.named", "TrainingInputEvidence.steps"),
    *(f"Journal.edgevision_{event}" for event in ("model_loaded", "inferred", "failed", "dropped")),
    *(f"Metrics.edgevision_{event}" for event in ("model_loaded", "inferred", "failed", "dropped")),
    *("QuantizationEvidence.of", "Attempt.of", "ScoreQuality.of"),
    # KeyError and IndexError, as everywhere in Python.
    *("Evaluation.metric", "Comparison.metric", "Detections.__getitem__", "GeneratedImages.__getitem__"),
}


def test_bad_arguments_raise_an_error_of_edgevision_and_the_next_good_call_answers_the_same() -> None:
    command = [sys.executable, Path(__file__).with_name("bad_calls.py"), "--count", COUNT, "--seed", SEED]
    done = subprocess.run([*command, "--trace"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert f"{COUNT} calls tried, 0 escapes" in done.stdout


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Name of each call -> its arguments."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    folder, before = tmp_path_factory.mktemp("calls"), Path.cwd()
    os.chdir(folder)
    try:
        found: dict[str, set[str]] = {}
        for entry in entries(folder):
            found.setdefault(entry.name.partition(" ")[0], set()).update(entry.good)
        return found
    finally:
        os.chdir(before)


def test_every_parameter_of_every_function_is_tried(names: dict[str, set[str]]) -> None:
    missing = [
        f"{name}({parameter})"
        for name, function in exported_functions().items()
        for parameter, facts in inspect.signature(function).parameters.items()
        if facts.kind is not inspect.Parameter.VAR_KEYWORD and parameter not in names.get(name, ())
    ]
    assert missing == []


def test_every_public_method_with_a_parameter_is_tried(names: dict[str, set[str]]) -> None:
    missing = {method for method in public_methods() if method not in names} - INTERNAL
    assert missing == set()


def public_methods() -> Iterator[str]:
    for name, owner in exported_classes().items():
        if name in RESULTS or owner.__module__.split(".")[0] != "edgevision" or issubclass(owner, Exception):
            continue
        for member, value in vars(owner).items():
            function = None if isinstance(value, property) else function_of(value)
            hidden = member.startswith("_") and member not in ("__call__", "__getitem__")
            if function is None or function.__module__ != owner.__module__ or hidden:
                continue
            parameters = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
            if parameters and not (dataclasses.is_dataclass(owner) and member == "__init__"):
                yield f"{name}.{member}"


def test_a_case_is_the_same_from_its_seed_and_number_alone() -> None:
    assert ev.errors.OptionError.exit_code == 2  # what the harness counts as refused
    program = Path(__file__).with_name("bad_calls.py")
    seen = []
    for first, count in ((0, "3"), (2, "1")):
        command = [
            sys.executable,
            program,
            "--worker",
            "--seed",
            "5",
            "--first",
            str(first),
            "--count",
            count,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seen.append([line for line in done.stdout.splitlines() if '"case": 2' in line])
    assert seen[0] == seen[1] != []
