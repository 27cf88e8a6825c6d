"""The steps of a conversion on a tiny network, with a reader and a converter that need no TensorFlow."""

from __future__ import annotations

import errno
import itertools
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_conversion import TARGET, TinyConverter, TinyReader, TinySource, tiny_plugins, tiny_request

from edgevision.artifact import Artifact
from edgevision.bundle.storage import read_bundle
from edgevision.cli.output.evidence import echo_evidence
from edgevision.conversion.convert import Conversion
from edgevision.conversion.latency_table import rows_of
from edgevision.conversion.schedule import Schedule
from edgevision.conversion.speed import architecture
from edgevision.conversion.trials import Trials
from edgevision.errors import AgreementError, ConversionError, InferenceError, OptionError, SourceError
from edgevision.evidence.requirements import Budget
from edgevision.plugins import Registry, registry

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


def _not_today() -> Artifact:
    raise ConversionError("float16: not today")


class _SlowInt8:
    """Converts to ONNX networks of which the int8 one does a thousand times the work."""

    name, kind, format = "tiny-onnx", "tiny", "onnx"
    precisions = ("float32", "int8")

    def convert(self, source: TinySource, precision: str, calibration: Any) -> Artifact:
        from onnx import TensorProto, helper, numpy_helper

        layers = 300 if precision == "int8" else 0
        square = numpy_helper.from_array(np.eye(192, dtype=np.float32), "square")
        last = numpy_helper.from_array(np.ones((192, 5), np.float32), "last")
        names = [f"x{number}" for number in range(layers + 1)]
        graph = helper.make_graph(
            [
                helper.make_node("Flatten", [source.inputs[0].name], [names[0]]),
                *(
                    helper.make_node("MatMul", [before, "square"], [after])
                    for before, after in itertools.pairwise(names)
                ),
                helper.make_node("MatMul", [names[-1], "last"], ["logits"]),
                helper.make_node("Softmax", ["logits"], ["scores"]),
            ],
            "tiny",
            [helper.make_tensor_value_info(source.inputs[0].name, TensorProto.FLOAT, (None, 8, 8, 3))],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (None, 5))],
            [square, last],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return Artifact("onnx", precision, {"tiny.onnx": model.SerializeToString()})


@pytest.fixture
def plugins() -> Registry:
    return tiny_plugins(TinyConverter(float16=_not_today))


@pytest.fixture
def request_of(tmp_path: Path):
    return partial(tiny_request, tmp_path)


def test_the_steps_follow_each_other_from_the_plan_to_the_bundle(request_of, plugins: Registry) -> None:
    stages: list[str] = []
    request = request_of(precisions=("float32",))
    conversion = Conversion.prepare(request, plugins, lambda stage, *_: stages.append(stage))
    assert stages == ["reading model.tiny"]
    assert conversion.source.runs == 0, "the source is read, not run"
    assert not request.output.exists()
    evidence = conversion.run()
    assert list(dict.fromkeys(stages)) == [
        "reading model.tiny",
        "measuring the source",
        "converting to tflite-float32",
        "measuring",
        "timing",
        "writing the bundle",
    ]
    assert evidence.results[0].comparison.agreement == 1.0
    bundle = read_bundle(request.output)
    assert [entry.id for entry in bundle.manifest.artifacts] == ["tflite-float32"]


@pytest.mark.usefixtures("speeds")
def test_a_search_goes_on_where_a_candidate_misses_the_budget_or_cannot_be_converted(
    request_of, plugins: Registry
) -> None:
    request = request_of(calibrated=True, budget=Budget(min_agreement=0.95))
    evidence = Conversion.prepare(request, plugins).run()
    tried = {attempt.artifact: attempt for attempt in evidence.attempts}
    assert set(tried) == {"tflite-int8", "tflite-float16", "tflite-float32"}
    assert tried["tflite-int8"].agreement < 1.0
    assert tried["tflite-float16"].error == "float16: not today"
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    assert evidence.sensitivities == {"tflite": ()}, "this converter cannot rank layers"


def test_a_search_does_not_choose_int8_that_is_slower_than_float32(
    request_of, plugins: Registry, speeds: dict[str, float]
) -> None:
    speeds["tflite-int8"] = 2.6
    request = request_of(calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    tried = {attempt.artifact: attempt for attempt in evidence.attempts}
    assert tried["tflite-int8"].slower == (
        "2.6 times the time of tflite-float32 on this machine (2.6 ms against 1 ms)"
    )
    assert (tried["tflite-int8"].latency_ms, tried["tflite-float32"].latency_ms) == (2.6, 1.0)
    assert tried["tflite-int8"].cpu_ms == pytest.approx(0.9 * 2.6)
    assert tried["tflite-float32"].slower == ""


def test_a_search_chooses_int8_that_is_no_slower_than_float32(
    request_of, plugins: Registry, speeds: dict[str, float]
) -> None:
    speeds["tflite-int8"] = 1.05
    request = request_of(calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-int8"]
    assert [attempt.artifact for attempt in evidence.attempts] == ["tflite-int8", "tflite-float32"]
    assert not any(attempt.slower for attempt in evidence.attempts)


def test_candidates_that_cannot_be_timed_are_said_to_be_so(
    request_of, plugins: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edgevision.conversion.candidate_times.run_costs_in_turn",
        lambda subjects: {name: InferenceError(f"{name}: no process") for name in subjects},
    )
    request = request_of(calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-int8"]
    assert evidence.results[0].latency_ms is None
    note = "the speed of tflite-int8, tflite-float32 for camera was not judged: tflite-int8: no process"
    assert evidence.notes.count(note) == 1


def test_the_speed_of_candidates_for_another_machine_is_not_judged(
    request_of, plugins: Registry, speeds: dict[str, float]
) -> None:
    speeds["tflite-int8"] = 2.6
    precisions = '["int8", "float16", "float32"]'
    targets = {"camera": TARGET.format("camera", "tflite", "tflite", precisions, 'machine = "Pi 99"')}
    request = request_of(targets=targets, calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-int8"]
    assert [attempt.artifact for attempt in evidence.attempts] == ["tflite-int8"]
    assert any(
        note.startswith("the speed of candidates for camera was not judged") for note in evidence.notes
    )


def test_the_speed_of_candidates_for_another_machine_of_an_architecture_in_the_table_is_judged_by_it(
    request_of, plugins: Registry, speeds: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios = {"int8": [1.5], "float32": [1.0]}
    table = {"machine": "a processor", "tflite": {"integer": {"networks": ["a"], "ratios": ratios}}}
    rows = rows_of({"x86_64": table})
    monkeypatch.setattr("edgevision.conversion.speed.latency_rows", lambda: rows)
    monkeypatch.setattr("edgevision.conversion.speed_comparison.latency_rows", lambda: rows)
    speeds["tflite-int8"] = 0.1  # on this machine, which is another one
    machine = 'machine = "N99"\narchitecture = "x86_64"'
    precisions = '["int8", "float16", "float32"]'
    targets = {"camera": TARGET.format("camera", "tflite", "tflite", precisions, machine)}
    request = request_of(targets=targets, calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    cited = "the package's latency table for x86_64, measured on a processor"
    assert evidence.attempts[0].slower == f"1.5 times the time of tflite-float32 by {cited}"
    assert (
        f"the speed of candidates for camera was judged by {cited}; run edgevision bench on the device"
        in evidence.notes
    )


@pytest.mark.usefixtures("speeds")
def test_an_artifact_that_two_searches_find_is_written_once_and_not_called_rejected(
    request_of, plugins: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {"camera": '["int8", "float32"]', "tpu": '["int8"]'}
    targets = {name: TARGET.format(name, "tflite", "tflite", row, "") for name, row in tables.items()}
    request = request_of(targets=targets, calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-int8"]
    (entry,) = read_bundle(request.output).manifest.artifacts
    assert sorted(entry.targets) == ["camera", "tpu"]
    echo_evidence(evidence)
    rejected = [line for line in capsys.readouterr().out.splitlines() if line.startswith("rejected")]
    assert rejected == ["rejected tflite-float32: within the budget, but a cheaper one is as fast"]


def test_a_table_without_a_precision_judges_nothing_and_the_evidence_says_so(
    request_of, plugins: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {
        "machine": "a processor",
        "tflite": {"integer": {"networks": ["a"], "ratios": {"float32": [1.0]}}},
    }
    rows = rows_of({"x86_64": table})
    monkeypatch.setattr("edgevision.conversion.speed.latency_rows", lambda: rows)
    monkeypatch.setattr("edgevision.conversion.speed_comparison.latency_rows", lambda: rows)
    machine = 'machine = "N99"\narchitecture = "x86_64"'
    targets = {"camera": TARGET.format("camera", "tflite", "tflite", '["int8", "float32"]', machine)}
    request = request_of(targets=targets, calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-int8"]
    assert [note for note in evidence.notes if "speed" in note] == [
        "the speed of tflite-int8, tflite-float32 for camera was not judged: the package's latency table for "
        "x86_64, measured on a processor has no int8"
    ]
    echo_evidence(evidence)
    assert (
        "rejected tflite-float32: within the budget, but a cheaper one was chosen" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("int8_ms", "tabled", "noted"),
    [(2.6, [1.5, 0.5], True), (0.5, [1.5, 0.5], False), (2.6, [0.9, 0.5], False)],
    ids=["slower", "faster", "known to be faster"],
)
def test_int8_that_was_asked_for_is_written_with_a_note_that_it_is_slower(
    request_of,
    plugins: Registry,
    speeds: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    int8_ms: float,
    tabled: list[float],
    noted: bool,
) -> None:
    row = {"networks": ["a", "b"], "ratios": {"int8": tabled}}
    rows = rows_of({architecture(): {"machine": "a processor", "tflite": {"integer": row}}})
    monkeypatch.setattr("edgevision.conversion.speed_comparison.latency_rows", lambda: rows)
    speeds["tflite-int8"] = int8_ms
    request = request_of(calibrated=True, precisions=("int8",), budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-int8"]
    note = (
        "tflite-int8 takes 2.6 times the time of tflite-float32 on this machine (2.6 ms against 1 ms); "
        "--precision auto chooses the faster one"
    )
    assert (note in evidence.notes) is noted
    assert [entry.id for entry in read_bundle(request.output).manifest.artifacts] == ["tflite-int8"]


def test_real_runs_decide_where_the_difference_is_large(request_of) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    targets = {"camera": TARGET.format("camera", "onnx", "onnx", '["int8", "float32"]', "")}
    plugins = tiny_plugins(_SlowInt8(), backends=(registry().backend("onnx"),))
    request = request_of(targets=targets, calibrated=True, budget=Budget(min_agreement=0.0))
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["onnx-float32"]
    tried = {attempt.artifact: attempt for attempt in evidence.attempts}
    assert (
        tried["onnx-int8"].slower.partition(" on this machine")[0].endswith("times the time of onnx-float32")
    )
    assert tried["onnx-int8"].cpu_ms > tried["onnx-float32"].cpu_ms > 0
    (result,) = evidence.results
    assert result.latency_ms == tried["onnx-float32"].latency_ms
    assert result.timing is not None


def test_an_artifact_outside_the_budget_is_reported_with_both_figures(request_of, plugins: Registry) -> None:
    request = request_of(calibrated=True, precisions=("int8",), budget=Budget(min_agreement=0.95))
    with pytest.raises(
        AgreementError,
        match=r"^tflite-int8: agreement with the source is \d\d\.\d\d % \(required: 95\.00 %\); "
        r"nothing was written; measured on \d+ images; .* lower --min-agreement$",
    ) as raised:
        Conversion.prepare(request, plugins).run()
    assert raised.value.evidence.results[0].artifact == "tflite-int8"
    assert not request.output.exists()


def test_score_calibration_is_checked_before_anything_runs(request_of, plugins: Registry) -> None:
    conversion = Conversion.prepare(request_of(calibrated=True, calibrate_scores=True), plugins)
    assert conversion.scores is not None
    assert conversion.source.runs == 0
    with pytest.raises(OptionError, match="--calibrate-scores: .* --calibration FOLDER"):
        Conversion.prepare(request_of(calibrate_scores=True), plugins)


def test_trials_store_their_arguments_and_run_nothing() -> None:
    """Any call of these arguments would be an AttributeError."""
    trials = Trials(None, None, None, Schedule(None, {}))
    assert (trials.attempts, trials.sensitivities) == ([], {})


def test_a_source_that_is_no_file_is_refused_and_not_waited_for(request_of, plugins: Registry) -> None:
    request = request_of()
    request.source.unlink()
    os.mkfifo(request.source)
    with pytest.raises(SourceError, match=r"model\.tiny: expected a file or directory; copy the model"):
        Conversion.prepare(request, plugins)


def test_a_source_that_may_not_be_read_is_a_source_error(
    request_of, plugins: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(TinyReader, "reads", denied)
    with pytest.raises(SourceError, match=r"model\.tiny: cannot be read: Permission denied; check its"):
        Conversion.prepare(request_of(), plugins)
