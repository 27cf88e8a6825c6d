"""Isolated models on real runtimes: the same answers bit for bit, the same errors, and no runtime here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from own_processes import pid_of

import edgevision
from edgevision.artifact import Artifact, read_artifact
from edgevision.errors import (
    DeviceError,
    EdgeVisionError,
    InputError,
    OptionError,
    ProcessError,
    SessionClosedError,
)
from edgevision.imaging.input_options import InputOptions
from edgevision.isolation.session import IsolatedBackend
from edgevision.isolation.settings import Isolation
from edgevision.loading.bare import BareModel
from edgevision.loading.load import load
from edgevision.plugins import registry
from edgevision.testing import check_backend
from tiny_bundles import DATA, DETECT, classifier_artifact, detector_artifact, nchw, write_artifacts
from tiny_onnx import tiny_onnx_bytes

MODULES = {"tflite": "ai_edge_litert", "onnx": "onnxruntime", "openvino": "openvino"}
BARE = BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores")
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 480, 640, 3), np.uint8)


@pytest.fixture(params=MODULES)
def runtime(request: pytest.FixtureRequest) -> str:
    """A backend whose runtime is installed."""
    pytest.importorskip(MODULES[request.param], reason=f"needs the extra `{request.param}`")
    return str(request.param)


def _network(runtime: str) -> Artifact:
    """The network of tests/data with both outputs, for a runtime; of OpenVINO and ONNX it is one file."""
    if runtime == "tflite":
        return read_artifact(DATA / "tiny.tflite")
    return Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})


def _classifier(runtime: str, path: Path) -> Path:
    artifact = _network(runtime)
    graph = registry().backend(artifact.format).editable_graph(artifact)
    graph.set_outputs({"scores": graph.output("scores")})
    how = {} if artifact.format == "tflite" else {"how": nchw()}
    return write_artifacts(path, {f"{artifact.format}-float32": graph.artifact()}, **how)


def _detector(runtime: str, path: Path) -> Path:
    artifact = detector_artifact(_network(runtime))
    how = {} if artifact.format == "tflite" else {"how": nchw()}
    return write_artifacts(path, {f"{artifact.format}-float32": artifact}, task=DETECT, **how)


def test_a_classifier_answers_bit_for_bit_as_in_this_process(runtime, tmp_path) -> None:
    path = _classifier(runtime, tmp_path / "c.evb")
    with load(path, runtime) as plain, load(path, runtime, isolate=True) as isolated:
        assert isolated.session.inputs == plain.session.inputs
        assert isolated.session.outputs == plain.session.outputs
        assert isolated.session.call_threads == plain.session.call_threads
        assert repr(isolated) == repr(plain)
        assert isolated.bundle_digest == plain.bundle_digest
        for frame in FRAMES:
            assert np.array_equal(isolated(frame).scores, plain(frame).scores)
        for one, other in zip(isolated(list(FRAMES)), plain(list(FRAMES)), strict=True):
            assert np.array_equal(one.scores, other.scores)


def test_a_detector_answers_bit_for_bit_as_in_this_process(runtime, tmp_path) -> None:
    path = _detector(runtime, tmp_path / "d.evb")
    with load(path, runtime) as plain, load(path, runtime, isolate=True) as isolated:
        for frame in FRAMES:
            one, other = isolated(frame), plain(frame)
            assert len(one) > 0
            for name in ("boxes_xyxy", "scores", "class_ids"):
                assert np.array_equal(getattr(one, name), getattr(other, name))


def test_a_bare_file_is_isolated_as_well(tmp_path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(classifier_artifact().content)
    with load(path, bare=BARE) as plain, load(path, bare=BARE, isolate=True) as isolated:
        for frame in FRAMES:
            assert np.array_equal(isolated(frame).scores, plain(frame).scores)


def test_a_backend_keeps_its_contract_in_a_process_of_its_own(runtime) -> None:
    artifact = _network(runtime)
    backend = registry().backend(runtime)
    check_backend(IsolatedBackend(backend, Isolation()), artifact)


#: What a caller does wrong -> arguments of `load`, and the images of a call.
MISTAKES = {
    "an unknown device": ({"device": "npu:7"}, FRAMES[0]),
    "a precision that it does not have": (
        {"settings": edgevision.SessionSettings(precision="float16")},
        FRAMES[0],
    ),
    "an unknown option": ({"settings": edgevision.SessionSettings(options={"fast": 1})}, FRAMES[0]),
    "an image with four axes": ({}, FRAMES[:, :, :, :, None]),
    "an image that is no image": ({}, b"nothing"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_errors_are_those_of_a_model_in_this_process(tmp_path, mistake) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = _classifier("tflite", tmp_path / "c.evb")
    arguments, images = MISTAKES[mistake]
    said = []
    for isolate in (False, True):
        with (
            pytest.raises(EdgeVisionError) as caught,
            load(path, "tflite", isolate=isolate, **arguments) as model,
        ):
            model(images)
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]
    assert said[0][0] in (DeviceError, OptionError, InputError)


def test_a_damaged_artifact_is_refused_in_the_same_words(tmp_path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(classifier_artifact().content[:-300])
    said = []
    for isolate in (False, True):
        with pytest.raises(EdgeVisionError) as caught:
            load(path, "tflite", bare=BARE, isolate=isolate)
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


def test_a_killed_runtime_fails_one_call_and_the_model_goes_on(runtime, tmp_path) -> None:
    path = _classifier(runtime, tmp_path / "c.evb")
    with load(path, runtime, isolate=True, deadline_ms=20_000, standby=True) as model:
        expected = model(FRAMES[0]).scores
        for _ in range(2):
            os.kill(pid_of(model.session), signal.SIGSTOP)
            os.kill(pid_of(model.session), signal.SIGKILL)
            try:
                found = model(FRAMES[0])
            except ProcessError:
                found = model(FRAMES[0])
            assert np.array_equal(found.scores, expected)
    with pytest.raises(SessionClosedError):
        model(FRAMES[0])


@pytest.mark.parametrize(("arguments", "text"), [
    ({"deadline_ms": 100}, "deadline_ms: only has a meaning with isolate=True"),
    ({"standby": True}, "standby: only has a meaning with isolate=True"),
    ({"isolate": True, "deadline_ms": 0}, "deadline_ms: expected milliseconds, above 0"),
    ({"isolate": True, "deadline_ms": "soon"}, "deadline_ms: expected a number"),
    ({"isolate": True, "standby": "yes"}, "standby: expected"),
    ({"isolate": "yes"}, "isolate: expected"),
    ({"isolate": Isolation(deadline_ms=5), "deadline_ms": 6}, "contradict each other"),
])  # fmt: skip
def test_arguments_without_a_meaning_are_refused(tmp_path, arguments, text) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(classifier_artifact().content)
    with pytest.raises(OptionError, match=text):
        load(path, "tflite", bare=BARE, **arguments)


PROGRAM = """
    import os, signal, sys, threading, time
    import numpy as np
    import edgevision
    from edgevision.loading.bare import BareModel
    from edgevision.imaging.input_options import InputOptions

    BARE = BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores")
    frame = np.zeros((48, 64, 3), np.uint8)
    model = edgevision.load(sys.argv[1], bare=BARE, isolate=True, standby=True)
    model(frame)

    def infer():
        try:
            while True:
                model(frame)
        except edgevision.errors.SessionClosedError:
            pass  # the process is ending

    supervision = model.session._session._supervision
    supervision._standby.wait(time.monotonic() + 60)
    print(supervision._running.process.pid, supervision._standby.pid, flush=True)
"""

#: How a program ends that has an isolated model -> its exit code.
ENDINGS = {
    "pass": 0,
    "sys.exit(7)": 7,
    "model.close()": 0,
    "os.kill(os.getpid(), signal.SIGKILL)": -signal.SIGKILL,
    "os.kill(supervision._running.process.pid, signal.SIGSTOP); os.kill(os.getpid(), signal.SIGKILL)": (
        -signal.SIGKILL
    ),
    "threading.Thread(target=infer, daemon=True).start()": 0,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_process_outlives_its_caller_however_that_ends(tmp_path, ending) -> None:
    """No ``if __name__ == "__main__"`` either: the program runs once."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(classifier_artifact().content)
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM) + ending + "\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", program, path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == ENDINGS[ending], done.stderr
    assert "Error" not in done.stderr
    assert "Warning" not in done.stderr
    assert len(done.stdout.splitlines()) == 1
    for pid in map(int, done.stdout.split()):
        for _ in range(200):
            if not _is_running(pid):
                break
            time.sleep(0.02)
        else:
            raise AssertionError(f"process {pid} lives on after {ending}")


FORK = (
    PROGRAM
    + """
    child = os.fork()
    if child == 0:
        try:
            model(frame)
        except edgevision.errors.ForkedSessionError:
            os._exit(5)
        os._exit(6)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    model(frame)
    child = os.fork()
    if child == 0:
        time.sleep(20)
        os._exit(0)
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_a_fork_refuses_the_model_and_does_not_keep_its_process_alive(tmp_path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(classifier_artifact().content)
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(FORK))
    with (tmp_path / "out").open("w") as out:  # a pipe would be held open by the fork
        done = subprocess.run([sys.executable, program, path], stdout=out, timeout=120, check=False)
    first, standby, fork = map(int, (tmp_path / "out").read_text().split())
    assert done.returncode == -signal.SIGKILL
    try:
        for _ in range(200):
            if not _is_running(first) and not _is_running(standby):
                return
            time.sleep(0.02)
        raise AssertionError("a process lives on")
    finally:
        os.kill(fork, signal.SIGKILL)


ABSENT = """
    import sys
    import edgevision
    from edgevision.loading.bare import BareModel
    from edgevision.imaging.input_options import InputOptions

    BARE = BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores")
    bare = {"bare": BARE} if sys.argv[1].endswith(".tflite") else {}
    for backend in (None, "tflite"):
        with edgevision.load(sys.argv[1], backend, isolate=True, **bare) as model:
            model(__import__("numpy").zeros((48, 64, 3), "uint8"))
    print(sorted({"ai_edge_litert", "tflite_runtime", "openvino", "onnxruntime"} & set(sys.modules)))
"""


@pytest.mark.parametrize("form", ["bare", "bundle"])
def test_no_runtime_is_loaded_in_the_callers_process(tmp_path, form) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path / "tiny.tflite"
    path.write_bytes(classifier_artifact().content)
    if form == "bundle":
        path = _classifier("tflite", tmp_path / "c.evb")
    environment = {**os.environ, "EDGEVISION_CACHE": str(tmp_path / "cache"), "EDGEVISION_SELFTEST": ""}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ABSENT), path],
        env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.stdout == "[]\n", done.stderr


def _is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
