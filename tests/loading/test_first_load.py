"""The first load of a model is in a child process: whatever it does there, this process gets an error."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_bundles import FakeRuntime, registry_of, write_fake_bundle
from misbehaving import WAYS, install
from tampering import crashing, tampered

import edgevision
from edgevision.artifact import Artifact, read_artifact
from edgevision.bundle.storage import read_bundle
from edgevision.errors import (
    BundleError,
    EdgeVisionError,
    InferenceError,
    MissingRuntimeError,
    OptionError,
    ProcessError,
)
from edgevision.execution.worker import Worker
from edgevision.imaging.input_options import InputOptions
from edgevision.loading import first_load, kept
from edgevision.loading import load as loading
from edgevision.loading.bare import BareModel
from edgevision.loading.load import load
from edgevision.tasks.score_calibration import ScoreCalibration
from tiny_bundles import BOXES, DATA, DETECT, LABELS, classifier_artifact, detector_artifact, write_artifacts

BARE = BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    monkeypatch.setenv("EDGEVISION_SELFTEST", "first-load")
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(first_load, "_passed", set())
    monkeypatch.setattr(logging.getLogger("edgevision"), "disabled", False)
    caplog.set_level(logging.INFO, logger="edgevision")
    return tmp_path / "cache"


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done in a child, one entry per job."""
    asked: list[str] = []
    ask = Worker.ask

    def counted(self, job, request, *, what, timeout_s, **more):  # type: ignore[no-untyped-def]
        asked.append(what)
        return ask(self, job, request, what=what, timeout_s=timeout_s, **more)

    monkeypatch.setattr(Worker, "ask", counted)
    return asked


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    names = {"tflite-float32": "tiny.tflite", "tflite-int8": "tiny_int8.tflite"}
    artifacts = {name: Artifact("tflite", "", {"model.tflite": _data(file)}) for name, file in names.items()}
    return write_artifacts(tmp_path / "tiny.evb", artifacts)


def _data(name: str) -> bytes:
    return (DATA / name).read_bytes()


def test_the_first_load_is_checked_in_a_child_and_later_ones_are_not(tiny, cache, children) -> None:
    for _ in range(2):
        load(tiny, "tflite").close()
    assert children == [f"{tiny}: tflite-float32 on tflite"]
    first_load._passed.clear()  # as in another process
    load(tiny, "tflite").close()
    assert len(children) == 1
    assert len(list((cache / "first-load").iterdir())) == 1


@pytest.mark.parametrize("changed", [{"threads": 1}, {"precision": "int8"}])
def test_other_settings_are_another_first_load(tiny, children, changed) -> None:
    load(tiny, "tflite").close()
    load(tiny, "tflite", **changed).close()
    assert len(children) == 2


@pytest.mark.parametrize("fact", ["processor", "installed_packages", "instruction_sets"])
def test_a_new_version_or_processor_is_another_first_load(tiny, children, fact, monkeypatch) -> None:
    load(tiny, "tflite").close()
    monkeypatch.setattr(kept, fact, lambda: ["another"])
    load(tiny, "tflite").close()
    assert len(children) == 2


def test_a_delegate_that_was_replaced_is_another_first_load(tmp_path) -> None:
    from edgevision.backend import SessionSettings

    library = tmp_path / "libdelegate.so"
    library.write_bytes(b"1")
    settings = SessionSettings(options={"delegate": str(library)})
    marks = []
    for content in (b"1", b"22"):
        library.write_bytes(content)
        marks.append(first_load._Mark.of("model", FakeRuntime("one"), settings).content)
    assert marks[0] != marks[1]


def test_a_bundle_that_kills_its_runtime_is_an_error_that_says_what_to_do(tiny, tmp_path) -> None:
    path = tampered(tiny, tmp_path / "bad.evb", **{"artifacts__tflite-float32__model_dot_tflite": crashing()})
    with pytest.raises(ProcessError) as raised:
        load(path, "tflite", precision="float32")
    message = str(raised.value)
    for part in (str(path), "tflite-float32 on tflite", "killed by SIGSEGV", f"edgevision selftest {path}"):
        assert part in message


def test_a_bare_file_that_kills_its_runtime_is_an_error(tmp_path, children) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    file = tmp_path / "bad.tflite"
    file.write_bytes(_data("tiny.tflite"))
    for _ in range(2):
        load(file, bare=BARE).close()
    assert len(children) == 1
    file.write_bytes(crashing())
    with pytest.raises(
        ProcessError, match=r"bad\.tflite on tflite: killed by SIGSEGV .* was not opened here"
    ):
        load(file, bare=BARE)


@pytest.mark.parametrize("tune", [False, True])
def test_without_a_backend_what_crashes_is_left_out_with_a_warning(tiny, tmp_path, caplog, tune) -> None:
    path = tampered(tiny, tmp_path / "bad.evb", **{"artifacts__tflite-float32__model_dot_tflite": crashing()})
    with load(path, tune=tune, threads=1) as model:
        assert model.session.backend == "tflite"
        assert sum(model(np.zeros((8, 8, 3), np.uint8)).scores) == pytest.approx(1, abs=0.05)
    left_out = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert any("tflite-float32 on tflite" in line and "SIGSEGV" in line for line in left_out)


def test_so_do_tune_and_pack(tiny, tmp_path) -> None:
    path = tampered(tiny, tmp_path / "bad.evb", **{"artifacts__tflite-float32__model_dot_tflite": crashing()})
    one = {"backends": ("tflite",), "threads": (1,), "batches": (1,), "seconds": 0.01}
    first, second = edgevision.tune(path, **one).rows
    assert (first.status, second.status) == ("failed", "passed")
    assert "tflite-float32 on tflite: killed by SIGSEGV" in first.reason
    (tmp_path / "compiled.tflite").write_bytes(crashing())
    settings = edgevision.PackSettings(replacements={"tflite-float32": tmp_path / "compiled.tflite"})
    with pytest.raises(ProcessError, match="tflite-float32 on tflite: killed by SIGSEGV"):
        edgevision.pack(tiny, tmp_path / "packed.evb", settings=settings)


def test_where_every_artifact_crashes_there_is_an_error(tiny, tmp_path) -> None:
    files = [f"artifacts__tflite-{one}__model_dot_tflite" for one in ("float32", "int8")]
    path = tampered(tiny, tmp_path / "bad.evb", **dict.fromkeys(files, crashing()))
    with pytest.raises(ProcessError, match="killed by SIGSEGV"):
        load(path)


def _swapped(labels: tuple[str, ...]) -> bytes:
    return "".join(f"{name}\n" for name in (labels[1], labels[0], *labels[2:])).encode()


def _preprocessing(**changes: object):  # type: ignore[no-untyped-def]
    return lambda manifest: replace(manifest, preprocessing=replace(manifest.preprocessing, **changes))


def _calibration(manifest):  # type: ignore[no-untyped-def]
    entries = (
        replace(one, score_calibration=ScoreCalibration(temperature=3.0)) for one in manifest.artifacts
    )
    return replace(manifest, artifacts=tuple(entries))


TAMPERED = {
    "swapped labels": (None, {"labels_dot_txt": _swapped(LABELS)}, "class 0 is called 'pear'"),
    "a label more": (None, {"labels_dot_txt": "".join(f"{n}\n" for n in (*LABELS, "f")).encode()}, "labels"),
    "another mean": (_preprocessing(mean=(0.3, 0.2, 0.1)), {}, "makes other values"),
    "another scale": (_preprocessing(scale=(0.9, 0.8, 0.72)), {}, "makes other values"),
    "another range": (_preprocessing(value_range=(-1.0, 1.0)), {}, "makes other values"),
    "other colours": (_preprocessing(color="bgr"), {}, "makes other values"),
    "another resize": (_preprocessing(resize="letterbox"), {}, "makes other values"),
    "another temperature": (_calibration, {}, "mean something else"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_whatever_stands_before_and_after_the_network_is_checked(tiny, tmp_path, name) -> None:
    change, files, message = TAMPERED[name]
    path = tampered(tiny, tmp_path / "changed.evb", change, **files)
    with pytest.raises((BundleError, InferenceError), match=message):
        load(path, "tflite")
    with suppress(OptionError):  # no network has another number of classes
        load(path, "tflite", selftest="never").close()


@pytest.mark.parametrize(
    "changed", [{"box_unit": "pixels"}, {"box_format": "cxcywh"}, {"score_threshold": 0.8}, {"labels": True}]
)
def test_so_is_the_decoding_of_a_detector(tmp_path, changed) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    path = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": artifact}, task=DETECT)
    with load(path, "tflite") as model:
        assert 0 < len(model(np.full((8, 8, 3), 200, np.uint8))) <= BOXES
    if changed.pop("labels", False):
        bad = tampered(path, tmp_path / "changed.evb", labels_dot_txt=_swapped(LABELS))
    else:
        settings = {**DETECT.decoder_settings, **{k: v for k, v in changed.items() if k.startswith("box")}}
        task = replace(DETECT, decoder_settings=settings, score_threshold=changed.get("score_threshold", 0.3))
        bad = tampered(path, tmp_path / "changed.evb", lambda manifest: replace(manifest, task=task))
    with pytest.raises(EdgeVisionError, match=r"was called|mean something else|boxes"):
        load(bad, "tflite")


def test_a_backend_of_this_process_alone_is_checked_here_and_a_line_says_so(
    tmp_path, monkeypatch, caplog, children
) -> None:
    backend = FakeRuntime("one")
    monkeypatch.setattr(loading, "registry", lambda: registry_of(backend))
    bundle = write_fake_bundle(tmp_path / "model.evb", formats=("one",))
    load(bundle).close()
    lines = [record.getMessage() for record in caplog.records]
    assert any("checked in this process" in line and "not the same there" in line for line in lines)
    backend.answers = {"scores": [114, -119]}
    load(bundle).close()  # it is not new
    with pytest.raises(InferenceError, match="does not give its known answers on one cpu"):
        load(bundle, selftest="always")
    first_load._passed.clear()
    with pytest.raises(InferenceError, match="does not give its known answers on one cpu"):
        load(bundle, threads=2)


def test_a_cache_that_cannot_be_written_is_reported_once(
    tiny, tmp_path, monkeypatch, caplog, children
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "file" / "cache"))
    for threads in (1, 1, 2):
        load(tiny, "tflite", threads=threads).close()
    assert len(children) == 2  # once for each in this process
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "edgevision install" in warnings[0]
    first_load._passed.clear()
    load(tiny, "tflite", threads=1).close()
    assert len(children) == 3


def test_a_damaged_mark_is_checked_again(tiny, cache, children) -> None:
    load(tiny, "tflite").close()
    (mark,) = (cache / "first-load").iterdir()
    mark.write_bytes(b"passed\n")
    first_load._passed.clear()
    load(tiny, "tflite").close()
    assert len(children) == 2


def test_never_checks_nothing_and_always_checks_the_session_itself(tiny, children, monkeypatch) -> None:
    load(tiny, "tflite", selftest="never").close()
    assert children == []
    checked = []
    from edgevision.bundle import answers_on_session

    monkeypatch.setattr(answers_on_session, "check_bundle_answers", lambda *args: checked.append(args))
    for count in (1, 2):
        load(tiny, "tflite", selftest="always").close()
        assert (len(children), len(checked)) == (1, count)


def test_the_environment_decides_where_the_caller_does_not(tiny, children, monkeypatch) -> None:
    monkeypatch.setenv("EDGEVISION_SELFTEST", "never")
    load(tiny, "tflite").close()
    assert children == []
    load(tiny, "tflite", selftest="always").close()
    assert len(children) == 1
    monkeypatch.setenv("EDGEVISION_SELFTEST", "sometimes")
    with pytest.raises(OptionError, match="EDGEVISION_SELFTEST: expected one of first-load, always, never"):
        load(tiny, "tflite")


@pytest.mark.parametrize("value", ["no", None, 1, b"never"])
def test_another_word_is_refused(tiny, value) -> None:
    with pytest.raises(OptionError, match="selftest: expected one of first-load, always, never"):
        load(tiny, selftest=value)


def test_a_program_without_a_python_of_its_own_checks_in_its_process(tiny, children, monkeypatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    load(tiny, "tflite").close()
    load(DATA / "tiny.tflite", bare=BARE).close()
    assert children == []


def test_a_missing_runtime_is_the_error_that_it_always_was(tmp_path, monkeypatch) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    monkeypatch.setattr(
        "edgevision_tflite.backend.TFLiteBackend.open",
        lambda *args: (_ for _ in ()).throw(MissingRuntimeError("tflite", "LiteRT is not installed")),
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ai_edge_litert.py").write_text("raise ImportError('no such library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    with pytest.raises(MissingRuntimeError, match="pip install"):
        load(path, "tflite")


SCRIPT = """
import sys
from edgevision.loading import check_in_child
check_in_child._SECONDS = 4.0
import edgevision
try:
    edgevision.load(sys.argv[1], "misbehaving")
    print("loaded")
except edgevision.EdgeVisionError as error:
    print(type(error).__name__, error)
"""
ENDS = {
    "works": "loaded",
    "crashes": "ProcessError {path}: fake-float32 on misbehaving: killed by SIGSEGV",
    "aborts": "ProcessError {path}: fake-float32 on misbehaving: killed by SIGABRT",
    "exits": "ProcessError {path}: fake-float32 on misbehaving: ended with exit status 3",
    "hangs": "ProcessError {path}: fake-float32 on misbehaving: timed out after 4",
    "is deaf": "ProcessError {path}: fake-float32 on misbehaving: timed out after 4",
    "answers wrongly": "InferenceError artifact 'fake-float32' does not give its known answers",
    "raises": "PluginFailedError plugin 'misbehaving' (misbehaving 1.0): backend 'misbehaving': open of "
    "model.fake: raised RuntimeError: no such",
    "fills the memory": "PluginFailedError plugin 'misbehaving' (misbehaving 1.0): backend 'misbehaving': "
    "open of model.fake: raised MemoryError",
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_the_runtime_does_this_process_gets_an_error_of_the_tree(tmp_path, way) -> None:
    path = write_fake_bundle(tmp_path / "model.evb")
    environment = {**os.environ, "PYTHONPATH": str(install(tmp_path, way))}
    command = [sys.executable, "-c", SCRIPT, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith(ENDS[way].format(path=path)), done.stdout + done.stderr
    assert done.returncode == 0


def test_the_tolerance_of_an_integer_artifact_is_its_own(tiny) -> None:
    from edgevision.bundle.answers_on_session import answers_of

    known = answers_of(read_bundle(tiny))
    tolerance = known.tolerance("tflite-int8", "int8", "scores")
    assert 0.01 <= tolerance < 0.1
    assert known.tolerance("tflite-float32", "float32", "scores") == 0.001
    assert replace(known, expected=None).tolerance("tflite-int8", "int8", "scores") == 0.1
