"""The backend `openvino`, on the CPU of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings
from edgevision.errors import ArtifactError, DeviceError, OptionError, OutputError
from edgevision.session import open_session
from edgevision.system.cores import cores
from edgevision.testing import check_backend
from edgevision_openvino.backend import OpenVINOBackend

if find_spec("openvino") is None:  # importing it here would run its telemetry
    pytest.skip("needs the extra `openvino`", allow_module_level=True)

BACKEND = OpenVINOBackend()
IMAGE = np.random.default_rng(5).random((1, 3, 8, 8), np.float32)


@pytest.mark.parametrize("artifact", ["tiny_ir", "tiny_onnx", "tiny_tflite", "tiny_int8_tflite"])
def test_it_keeps_the_contract(artifact: str, request: pytest.FixtureRequest) -> None:
    check_backend(BACKEND, request.getfixturevalue(artifact))


def test_its_devices_are_those_of_openvino_and_auto() -> None:
    names = [device.name for device in BACKEND.devices()]
    assert names[0] == "cpu"
    assert names[-1] == "auto"


def test_auto_reports_the_device_that_it_actually_runs_on(tiny_ir: Artifact) -> None:
    with open_session(BACKEND, tiny_ir, SessionSettings(device="auto")) as session:
        assert session.device in [device.name for device in BACKEND.devices()[:-1]]


@pytest.mark.parametrize("device", ["gpu:7", "npu:3", "tpu"])
def test_a_missing_device_is_refused_with_the_available_ones(tiny_ir: Artifact, device: str) -> None:
    with pytest.raises(DeviceError, match=f"no device '{device}'; it has: cpu"):
        BACKEND.open(tiny_ir, SessionSettings(device=device))


def test_a_float32_model_runs_in_float32_even_if_the_cpu_has_lower_precisions(
    tiny_ir: Artifact, tiny_onnx: Artifact
) -> None:
    from edgevision_onnxruntime.onnx.backend import OnnxBackend

    reference = open_session(OnnxBackend(), tiny_onnx).run({"image": IMAGE})
    with open_session(BACKEND, tiny_ir) as session:
        assert session.precision == "float32"
        answer = session.run({"image": IMAGE})
    for name, expected in reference.items():
        np.testing.assert_allclose(answer[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("precision", "capability"), [("bfloat16", "BF16"), ("float16", "FP16")])
def test_a_lower_precision_runs_if_it_is_requested_and_available(
    tiny_ir: Artifact, precision: str, capability: str
) -> None:
    from edgevision_openvino.runtime import core

    settings = SessionSettings(precision=precision)
    if capability in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with open_session(BACKEND, tiny_ir, settings) as session:
            assert session.precision == precision
    else:
        with pytest.raises(DeviceError, match=f"does not compute in {precision}; use precision float32"):
            open_session(BACKEND, tiny_ir, settings)


def test_a_tflite_artifact_has_the_same_tensors_as_in_backend_tflite(
    any_tiny_tflite: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgevision_tflite.backend import TFLiteBackend

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (
        open_session(BACKEND, any_tiny_tflite) as one,
        open_session(TFLiteBackend(), any_tiny_tflite) as other,
    ):
        assert one.inputs == other.inputs
        assert set(one.outputs) == set(other.outputs)
        inputs = {spec.name: np.ones(spec.with_batch(2), spec.dtype) for spec in one.inputs}
        answers = one.run(inputs), other.run(inputs)
    for spec in one.outputs:
        ones, others = (spec.dequantize(answer[spec.name]) for answer in answers)
        np.testing.assert_allclose(ones, others, atol=0.02)
    assert list(tmp_path.iterdir()) == []  # the private copy that OpenVINO read is gone


def test_a_text_file_named_tflite_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArtifactError, match="not a valid TFLite model"):
        BACKEND.open(Artifact("tflite", "float32", {"text.tflite": b"hello " * 99}), SessionSettings())
    assert "hello" not in "".join(capfd.readouterr())


def test_an_xml_without_its_bin_is_refused(tiny_ir: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"expected an .xml and a .bin file, got tiny.xml"):
        BACKEND.open(Artifact("openvino", "float32", {"tiny.xml": tiny_ir.content}), SessionSettings())


def test_where_openvino_has_no_cpu_the_default_device_is_refused(
    tiny_ir: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevision_openvino.backend.device_names", lambda: ["npu"])
    with pytest.raises(DeviceError, match="backend 'openvino' has no device 'cpu'; it has: npu, auto"):
        BACKEND.open(tiny_ir, SessionSettings())


def test_an_open_image_size_is_refused(open_height_onnx: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"only the batch size may be open.*fixed image size"):
        BACKEND.open(open_height_onnx, SessionSettings())


@pytest.mark.parametrize("hint", ["latency", "throughput"])
def test_performance_hints_are_accepted(tiny_ir: Artifact, hint: str) -> None:
    with open_session(BACKEND, tiny_ir, SessionSettings(options={"performance_hint": hint})) as session:
        assert session.run({"image": IMAGE})["scores"].shape == (1, 5)


def test_an_unknown_performance_hint_is_refused(tiny_ir: Artifact) -> None:
    with pytest.raises(OptionError, match="expected latency or throughput, got 'fast'"):
        BACKEND.open(tiny_ir, SessionSettings(options={"performance_hint": "fast"}))


def test_compiled_models_are_kept_in_the_cache_folder(tiny_ir: Artifact, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        with open_session(BACKEND, tiny_ir, SessionSettings(cache_dir=cache)) as session:
            session.run({"image": IMAGE})
    assert len(list(cache.iterdir())) == 1


def test_a_cache_folder_that_cannot_be_created_is_an_error(tiny_ir: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be created"):
        BACKEND.open(tiny_ir, SessionSettings(cache_dir=tmp_path / "file" / "cache"))


def test_the_number_of_threads_is_accepted(tiny_ir: Artifact) -> None:
    with open_session(BACKEND, tiny_ir, SessionSettings(threads=1)) as session:
        assert session.run({"image": IMAGE})["scores"].shape == (1, 5)


@pytest.mark.skipif(cores() < 2, reason="parallel calls need two cores or more")
def test_the_first_slot_runs_in_the_callers_thread_and_further_slots_share_streams(
    tiny_ir: Artifact,
) -> None:
    def streams(slot: Any) -> int:
        return int(slot._request.get_compiled_model().get_property("NUM_STREAMS"))

    with open_session(BACKEND, tiny_ir, SessionSettings(threads=1)) as session:
        with session.lease() as alone:
            assert streams(alone) == 1
            with session.lease() as beside, session.lease() as another:
                assert streams(beside) == streams(another) == cores()
                for slot in (alone, beside, another):
                    slot.inputs["image"][...] = IMAGE
                answers = [slot.run()["scores"] for slot in (alone, beside, another)]
        np.testing.assert_array_equal(answers, [session.run({"image": IMAGE})["scores"]] * 3)


def test_nothing_is_written_to_the_home_folder_and_no_connection_is_made(
    tiny_ir: Artifact, tmp_path: Path
) -> None:
    home, artifact = tmp_path / "home", tmp_path / "artifact"
    home.mkdir()
    artifact.mkdir()
    for name, content in tiny_ir.files.items():
        (artifact / name).write_bytes(content)
    program = """
        import json, sys
        calls = []
        sys.addaudithook(lambda name, details: calls.append(name) if name.startswith(
            ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")) else None)
        from pathlib import Path
        from edgevision.artifact import read_artifact
        from edgevision.session import open_session
        from edgevision_openvino.backend import OpenVINOBackend
        backend = OpenVINOBackend()
        backend.devices()
        with open_session(backend, read_artifact(Path(sys.argv[1]))) as session, session.lease() as slot:
            slot.run()
        import threading, time
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(5)
        print(json.dumps({"calls": calls, "telemetry": "openvino_telemetry" in sys.modules}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), artifact / "tiny.xml"],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"calls": [], "telemetry": False}
    assert list(home.rglob("*")) == []


def test_tflite_artifacts_run_without_the_plugin_tflite() -> None:
    program = """
import sys
sys.modules["edgevision_tflite"] = None
from pathlib import Path
from edgevision.artifact import read_artifact
from edgevision.plugins import registry
from edgevision.session import open_session
with open_session(registry().backend("openvino"), read_artifact(Path(sys.argv[1]))) as session:
    print(session.inputs[0].name, session.inputs[0].quantization)
"""
    model = Path(__file__).parents[1] / "data" / "tiny_int8.tflite"
    done = subprocess.run([sys.executable, "-c", program, model], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("image Quantization(scale=0.0039")
