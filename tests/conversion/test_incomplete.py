"""Conversions of which some artifacts fail: the others are measured, shown, and, if wanted, written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_conversion import (
    TARGET,
    TinyConverter,
    install_fragile_backend,
    learned_images,
    named,
    tiny_artifact,
    tiny_plugins,
    tiny_request,
)

import edgevision
from edgevision.artifact import Artifact
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import Conversion
from edgevision.conversion.score_calibration import ScoreCalibrator
from edgevision.errors import (
    AgreementError,
    CancelledError,
    ConversionError,
    EdgeVisionError,
    IncompleteConversionError,
    InputError,
    PluginError,
)
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Evidence
from edgevision.evidence.requirements import Budget
from edgevision.execution import first_run as first_run_module
from edgevision.plugins import Registry

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


def _raising(error: BaseException):
    def make() -> Artifact:
        raise error

    return make


def _target(name: str, precisions: str = '["int8", "float16", "float32"]', more: str = "") -> str:
    return TARGET.format(name, "tflite", "tflite", precisions, more)


def _failing(**made: Any) -> Registry:
    return tiny_plugins(TinyConverter(**made))


FLOAT16 = _raising(ConversionError("float16: not today"))


def test_the_others_are_measured_and_nothing_is_written(tmp_path: Path) -> None:
    request = tiny_request(tmp_path, ("float16", "float32"))
    with pytest.raises(
        IncompleteConversionError,
        match=r"^1 of 2 artifacts passed; nothing was written; pass --keep-passing to write tflite-float32; "
        r"missing: float16: not today$",
    ) as raised:
        Conversion.prepare(request, _failing(float16=FLOAT16)).run()
    evidence = raised.value.evidence
    assert isinstance(evidence, Evidence)
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    (missing,) = evidence.missing
    assert (missing.artifact, missing.targets) == ("tflite-float16", ("camera",))
    assert raised.value.exit_code == 15
    assert not request.output.exists()


def test_a_reason_that_several_artifacts_share_is_told_once(tmp_path: Path) -> None:
    request = tiny_request(tmp_path, ("float16", "int8", "float32"), calibrated=True)
    with pytest.raises(IncompleteConversionError, match=r"missing: float16: not today$") as raised:
        Conversion.prepare(request, _failing(float16=FLOAT16, int8=FLOAT16)).run()
    assert len(raised.value.evidence.missing) == 2


def test_those_that_pass_are_written_if_the_caller_says_so(tmp_path: Path) -> None:
    request = tiny_request(tmp_path, ("float16", "float32"), keep_passing=True)
    evidence = Conversion.prepare(request, _failing(float16=FLOAT16)).run()
    bundle = read_bundle(request.output)
    assert [entry.id for entry in bundle.manifest.artifacts] == ["tflite-float32"]
    written = read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence")
    assert written == evidence
    assert [one.reason for one in written.missing] == ["float16: not today"]
    edgevision.load(request.output, selftest="always").close()


def test_an_artifact_that_misses_a_requirement_is_left_out_as_well(tmp_path: Path) -> None:
    requested = {"budget": Budget(min_agreement=0.95), "calibrated": True}
    request = tiny_request(tmp_path, ("int8", "float32"), **requested)
    with pytest.raises(IncompleteConversionError, match=r"missing: tflite-int8: agreement .* is") as raised:
        Conversion.prepare(request, _failing()).run()
    shown = raised.value.evidence.results
    assert {result.artifact: result.passed for result in shown} == {
        "tflite-int8": False,
        "tflite-float32": True,
    }
    request = tiny_request(tmp_path, ("int8", "float32"), keep_passing=True, **requested)
    evidence = Conversion.prepare(request, _failing()).run()
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    assert "agreement with the source is" in evidence.missing[0].reason
    assert [entry.id for entry in read_bundle(request.output).manifest.artifacts] == ["tflite-float32"]


@pytest.mark.parametrize("keep_passing", [False, True])
def test_if_nothing_passes_the_error_is_that_of_one_artifact(tmp_path: Path, keep_passing: bool) -> None:
    plugins = _failing(float16=FLOAT16, float32=_raising(ConversionError("float32: neither")))
    with pytest.raises(ConversionError, match="^float16: not today$"):
        Conversion.prepare(tiny_request(tmp_path, ("float16",), keep_passing=keep_passing), plugins).run()
    request = tiny_request(tmp_path, ("float32", "float16"), keep_passing=keep_passing)
    with pytest.raises(ConversionError, match="^float32: neither; float16: not today$"):
        Conversion.prepare(request, plugins).run()
    request = tiny_request(
        tmp_path,
        ("float16", "int8"),
        keep_passing=keep_passing,
        calibrated=True,
        budget=Budget(min_agreement=0.95),
    )
    with pytest.raises(AgreementError, match="^tflite-int8: agreement") as raised:
        Conversion.prepare(request, plugins).run()
    assert [one.artifact for one in raised.value.evidence.missing] == ["tflite-float16", "tflite-int8"]
    assert not request.output.exists()


def test_in_a_search_for_several_targets_each_gets_its_own(tmp_path: Path) -> None:
    targets = {"roomy": _target("roomy"), "tiny": _target("tiny", '["float16"]')}
    request = tiny_request(tmp_path, ("auto",), targets=targets, calibrated=True)
    with pytest.raises(IncompleteConversionError) as raised:
        Conversion.prepare(request, _failing(float16=FLOAT16)).run()
    evidence = raised.value.evidence
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    assert [(one.artifact, one.targets) for one in evidence.missing] == [("tflite-float16", ("tiny",))]


def test_an_artifact_whose_scores_cannot_be_calibrated_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate = ScoreCalibrator.calibrate

    def failing(calibrator: ScoreCalibrator, trials: Any, on_done: Any) -> Any:
        if any(trial.id == "tflite-int8" for trial in trials):
            raise ConversionError("tflite-int8: no temperature")
        return calibrate(calibrator, trials, on_done)

    monkeypatch.setattr(ScoreCalibrator, "calibrate", failing)
    request = tiny_request(
        tmp_path,
        ("int8", "float32"),
        calibrated=True,
        calibrate_scores=True,
        keep_passing=True,
        budget=Budget(min_agreement=0.0),
    )
    request = replace(request, evaluation=learned_images(60, 0), calibration=learned_images(60, 1))
    evidence = Conversion.prepare(request, _failing()).run()
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    assert evidence.results[0].temperature is not None
    assert [one.reason for one in evidence.missing] == ["tflite-int8: no temperature"]


@pytest.mark.parametrize(
    "error", [KeyError("node_7"), RuntimeError("toco failed"), OSError("no space"), PluginError("no nncf")]
)
def test_whatever_a_converter_raises_is_a_failed_candidate_with_its_reason(
    tmp_path: Path, error: Exception
) -> None:
    request = tiny_request(tmp_path, ("auto",), calibrated=True)
    evidence = Conversion.prepare(request, _failing(int8=_raising(error))).run()
    assert [result.artifact for result in evidence.results] == ["tflite-float16"]
    reason = evidence.attempts[0].error
    assert str(error) in reason
    if not isinstance(error, EdgeVisionError):
        assert reason.startswith(
            "plugin 'tiny' (registered in this process): converter 'tiny-tflite': convert"
        )
        assert f"raised {type(error).__name__}: " in reason


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        KeyboardInterrupt(),
        InputError("cat.jpg: truncated"),
        CancelledError("enough"),
    ],
)
@pytest.mark.parametrize("precisions", [("auto",), ("int8", "float32")])
def test_what_concerns_the_whole_conversion_ends_it(
    tmp_path: Path, error: BaseException, precisions: tuple[str, ...]
) -> None:
    request = tiny_request(tmp_path, precisions, calibrated=True)
    with pytest.raises(type(error)):
        Conversion.prepare(request, _failing(int8=_raising(error))).run()


@pytest.mark.parametrize("stage", ["converting to tflite-int8", "measuring"])
def test_an_exception_of_the_callers_progress_ends_it(tmp_path: Path, stage: str) -> None:
    class EnoughError(Exception):
        pass

    def progress(name: str, done: int, total: int) -> None:
        if name == stage:
            raise EnoughError

    request = tiny_request(tmp_path, ("auto",), calibrated=True)
    with pytest.raises(EnoughError):
        Conversion.prepare(request, _failing(), progress).run()


def test_a_precision_that_no_converter_makes_is_refused_before_anything_runs(tmp_path: Path) -> None:
    targets = {"camera": _target("camera", '["int16x8", "float32"]')}
    request = tiny_request(tmp_path, ("int16x8", "float32"), targets=targets, calibrated=True)
    with pytest.raises(PluginError, match="no converter from tiny network to tflite-int16x8; supported: fl"):
        Conversion.prepare(request, _failing())
    request = tiny_request(tmp_path, ("auto",), targets=targets, calibrated=True)
    evidence = Conversion.prepare(request, _failing()).run()
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    assert "no converter" in evidence.attempts[0].error


@pytest.fixture
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A backend of an installed plugin, whose runtime aborts or hangs on some artifacts."""
    folder = tmp_path_factory.mktemp("site")
    install_fragile_backend(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import fragile_backend

        yield fragile_backend.FragileBackend()
        patch.delitem(__import__("sys").modules, "fragile_backend")


FRAGILE_TARGET = {
    "camera": TARGET.format("camera", "fragile", "tflite", '["int8", "float16", "float32"]', "")
}


def test_an_artifact_that_aborts_its_runtime_is_a_failed_candidate(tmp_path: Path, fragile: Any) -> None:
    """Loaded in this process, it would end the tests."""
    converter = TinyConverter(int8=lambda: named("abort.tflite", "int8"))
    plugins = tiny_plugins(converter, backends=(fragile,))
    request = tiny_request(tmp_path, ("auto",), targets=FRAGILE_TARGET, calibrated=True)
    evidence = Conversion.prepare(request, plugins).run()
    assert [result.artifact for result in evidence.results] == ["tflite-float16"]
    assert evidence.attempts[0].error == (
        "tflite-int8 on fragile: killed by SIGABRT in a process of its own: negative scale; the runtime "
        "cannot take this artifact; choose another --precision or --target"
    )
    request = tiny_request(tmp_path, ("int8",), targets=FRAGILE_TARGET, calibrated=True, force=True)
    with pytest.raises(ConversionError, match="tflite-int8 on fragile: killed by SIGABRT"):
        Conversion.prepare(request, plugins).run()


def test_an_artifact_that_hangs_its_runtime_is_a_failed_candidate(
    tmp_path: Path, fragile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_run_module, "TIMEOUT_S", 5.0)
    converter = TinyConverter(float16=lambda: named("hang.tflite", "float16"))
    request = tiny_request(tmp_path, ("float16", "float32"), targets=FRAGILE_TARGET)
    with pytest.raises(IncompleteConversionError, match="tflite-float16 on fragile: timed out after 5 s"):
        Conversion.prepare(request, tiny_plugins(converter, backends=(fragile,))).run()


def test_a_backend_that_is_registered_in_this_process_only_runs_in_it(tmp_path: Path) -> None:
    class Here:
        name, formats, options = "here", ("tflite",), ()
        opened = 0

        def __getattr__(self, name: str) -> Any:
            from edgevision.plugins import registry

            return getattr(registry().backend("tflite"), name)

        def open(self, artifact: Artifact, settings: Any) -> Any:
            self.opened += 1
            from edgevision.plugins import registry

            return registry().backend("tflite").open(artifact, settings)

    backend = Here()
    targets = {"camera": TARGET.format("camera", "here", "tflite", '["float32"]', "")}
    request = tiny_request(tmp_path, ("float32",), targets=targets)
    evidence = Conversion.prepare(request, tiny_plugins(TinyConverter(), backends=(backend,))).run()
    assert backend.opened == 2, "the first run, and the session that is measured"
    assert evidence.results[0].backend == "here"
    assert evidence.results[0].latency_ms is None


def test_the_first_run_gives_what_the_session_gives(tmp_path: Path) -> None:
    import numpy as np

    from edgevision.backend import SessionSettings
    from edgevision.execution.worker import Worker
    from edgevision.plugins import registry
    from edgevision.session import open_session

    backend = registry().backend("tflite")
    images = np.random.default_rng(0).random((20, 8, 8, 3), np.float32)
    for precision in ("float32", "int8"):
        artifact = tiny_artifact(precision)
        with Worker() as worker:
            outputs = first_run_module.first_run(
                worker, artifact, backend, SessionSettings(), {"image": images}, "x"
            )
        with open_session(backend, artifact) as session:
            for place, image in enumerate(images):
                with session.lease(1) as slot:
                    slot.inputs["image"][...] = session.inputs[0].quantize(image[None])
                    expected = slot.run()
                for spec in session.outputs:
                    np.testing.assert_allclose(
                        outputs[spec.name][place], spec.dequantize(expected[spec.name])[0], rtol=1e-5
                    )
