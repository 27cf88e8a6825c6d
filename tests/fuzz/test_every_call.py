"""Everything public is among the calls that the fuzz harness tries with bad arguments."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgevision import hookspecs
from fuzz.entry_points import entries
from public_face import exported_classes, exported_functions, function_of

#: Classes that EdgeVision makes and a caller reads, or that are checked where they are passed on.
RESULTS = {
    *("BenchResult", "Throughput", "Chosen", "Tuning", "TuningRow", "Coverage", "Finding", "LayerCoverage"),
    *("Exported", "Packed", "Frame", "ImageSet", "ValueMapping", "Grouping", "SetFacts", "Requirement"),
}
HOOKS = [name for name in vars(hookspecs) if name.startswith("edgevision_")]
#: Methods that EdgeVision itself calls with values that it has computed, or that follow Python's protocols.
INTERNAL = {
    *("Budget.requirements", "SessionSettings.check_options", "SessionSettings.check_device"),
    *("CheckedSession.watched", "CheckedSession.view", "CheckedSession.tell_answers", "TaskModel.over"),
    *("InputGate.measures", "Metrics.watch", "PredictionSets.contains", "PredictionSets.nonconformity"),
    *("Preprocessing.resized_frame", "Bundle.artifact", "Bundle.read"),
    *("PointMetrics.named", "TrainingInputEvidence.steps"),
    *(f"{observer}.{hook}" for observer in ("Journal", "Metrics") for hook in HOOKS),
    *("QuantizationEvidence.of", "Attempt.of", "ScoreQuality.of"),
    # KeyError and IndexError, as everywhere in Python.
    *("Evaluation.metric", "Comparison.metric", "Detections.__getitem__", "GeneratedImages.__getitem__"),
}


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
    assert sorted(missing) == []


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
