"""The backend `tflite`, on whichever of its runtimes is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.errors import ArtifactError, DeviceError, EdgeVisionError, OptionError
from edgevision.session import open_session
from edgevision.testing import check_backend
from edgevision_tflite.backend import TFLiteBackend
from edgevision_tflite.runtime import find_runtime

BACKEND = TFLiteBackend()

try:
    find_runtime()
except EdgeVisionError as error:
    pytest.skip(str(error), allow_module_level=True)

#: The minimal external delegate of TFLite: it runs no node, and refuses to start with option `fail`.
DELEGATE_SOURCE = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef struct { void* data; int (*prepare)(void*, void*); void *from, *to, *release;
                 int64_t flags; void* builder; } Delegate;
static int prepare(void* context, void* delegate) { return 0; }
typedef void (*Report)(const char*);
Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, Report report) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(keys[i], "fail")) { report(values[i]); return 0; }
    Delegate* delegate = calloc(1, sizeof(Delegate));
    delegate->prepare = prepare;
    return delegate;
}
void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
"""


@pytest.fixture(scope="module")
def delegate_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc), to build a delegate")
    folder = tmp_path_factory.mktemp("delegate")
    source, library = folder / "delegate.c", folder / "libnothing_delegate.so"
    source.write_text(DELEGATE_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    return library


def test_it_keeps_the_contract(any_tiny_tflite: Artifact) -> None:
    check_backend(BACKEND, any_tiny_tflite)


def test_a_real_classifier_with_a_fixed_batch_keeps_the_contract(shared: Path) -> None:
    check_backend(BACKEND, read_artifact(shared / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite"))


def test_a_detector_reports_the_shapes_of_its_outputs(shared: Path) -> None:
    artifact = read_artifact(shared / "models" / "coco_ssd_mobilenet_v1_quant_metadata.tflite")
    with open_session(BACKEND, artifact) as session:
        assert [spec.shape for spec in session.outputs] == [(1, 10, 4), (1, 10), (1, 10), (1,)]
        assert session.precision == "float32"  # its post-processing is


def test_tensors_have_the_names_of_the_signature(tiny_tflite: Artifact) -> None:
    with open_session(BACKEND, tiny_tflite) as session:
        assert [spec.name for spec in session.inputs] == ["image"]
        assert {spec.name: spec.shape for spec in session.outputs} == {
            "features": (None, 4),
            "scores": (None, 5),
        }


def test_it_answers_like_a_bare_interpreter(tiny_tflite: Artifact) -> None:
    interpreter = find_runtime().interpreter(model_content=tiny_tflite.content)
    interpreter.allocate_tensors()
    image = np.random.default_rng(3).random((1, 8, 8, 3), np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    named = {details["name"]: details["index"] for details in interpreter.get_output_details()}
    with open_session(BACKEND, tiny_tflite) as session:
        answer = session.run({"image": image})
    np.testing.assert_array_equal(answer["features"], interpreter.get_tensor(named["PartitionedCall:0"]))
    np.testing.assert_array_equal(answer["scores"], interpreter.get_tensor(named["PartitionedCall:1"]))


def test_a_full_integer_model_reports_int8_and_its_quantization(tiny_int8_tflite: Artifact) -> None:
    with open_session(BACKEND, tiny_int8_tflite) as session:
        assert session.precision == "int8"
        quantization = session.inputs[0].quantization
        assert (quantization.scale, quantization.zero_point) == (pytest.approx(1 / 255, rel=1e-3), -128)


@pytest.mark.parametrize("name", ["tiny", "tiny_float16"])
def test_a_float_model_computes_in_float32_and_not_lower(name: str) -> None:
    artifact = read_artifact(Path(__file__).parents[1] / "data" / f"{name}.tflite")
    with open_session(BACKEND, artifact, SessionSettings(precision="float32")) as session:
        assert session.precision == "float32"
    with pytest.raises(DeviceError, match=r"would run .* in float32 on cpu, not in float16"):
        open_session(BACKEND, artifact, SessionSettings(precision="float16"))


def test_the_number_of_threads_is_accepted(tiny_tflite: Artifact) -> None:
    image = {"image": np.ones((1, 8, 8, 3), np.float32)}
    answers = []
    for threads in (1, 2):
        with open_session(BACKEND, tiny_tflite, SessionSettings(threads=threads)) as session:
            answers.append(session.run(image)["scores"])
    np.testing.assert_allclose(*answers, rtol=1e-6)


def test_a_call_takes_one_thread_unless_more_are_asked_for(tiny_tflite: Artifact) -> None:
    for threads, expected in ((None, 1), (2, 2)):
        with open_session(BACKEND, tiny_tflite, SessionSettings(threads=threads)) as session:
            assert session.call_threads == expected


def test_a_model_cut_anywhere_is_refused_and_does_not_crash(tiny_tflite: Artifact) -> None:
    for size in range(0, len(tiny_tflite.content), 16):
        with pytest.raises(ArtifactError, match=r"tiny.tflite"):
            BACKEND.open(
                Artifact("tflite", "float32", {"tiny.tflite": tiny_tflite.content[:size]}), SessionSettings()
            )


def test_an_unknown_device_is_refused_with_a_hint_at_delegates(tiny_tflite: Artifact) -> None:
    with pytest.raises(DeviceError, match=r"it has: cpu; .* delegate="):
        BACKEND.open(tiny_tflite, SessionSettings(device="gpu"))


def test_a_loaded_delegate_is_the_device(tiny_tflite: Artifact, delegate_library: Path) -> None:
    settings = SessionSettings(options={"delegate": delegate_library})
    with open_session(BACKEND, tiny_tflite, settings) as session:
        assert session.device == "delegate:libnothing_delegate.so"
        assert session.precision == "unknown"
        assert session.run({"image": np.ones((1, 8, 8, 3), np.float32)})["scores"].shape == (1, 5)


def test_a_delegate_that_refuses_to_start_is_an_error_with_its_reason(
    tiny_tflite: Artifact, delegate_library: Path
) -> None:
    options = {"delegate": str(delegate_library), "delegate_options": {"fail": "no such stick"}}
    with pytest.raises(DeviceError, match=r"refuses to start: .*no such stick.*plugged in"):
        BACKEND.open(tiny_tflite, SessionSettings(options=options))


def test_a_delegate_guarantees_no_precision(tiny_tflite: Artifact, delegate_library: Path) -> None:
    settings = SessionSettings(precision="float32", options={"delegate": str(delegate_library)})
    with pytest.raises(DeviceError, match="omit precision"):
        BACKEND.open(tiny_tflite, settings)


def test_a_delegate_and_another_device_contradict(tiny_tflite: Artifact, delegate_library: Path) -> None:
    settings = SessionSettings(device="cpu", options={"delegate": str(delegate_library)})
    with pytest.raises(DeviceError, match="has no device 'cpu'"):
        BACKEND.open(tiny_tflite, settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be loaded: .*install the vendor's library"),
        (b"this is not a library", "cannot be loaded"),
    ],
    ids=["missing", "not a library"],
)
def test_a_delegate_that_is_not_a_library_is_an_error(
    tiny_tflite: Artifact, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "libedgetpu.so.1"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeviceError, match=message):
        BACKEND.open(tiny_tflite, SessionSettings(options={"delegate": path}))


def test_a_library_that_is_not_a_delegate_is_an_error(tiny_tflite: Artifact) -> None:
    with pytest.raises(DeviceError, match="without tflite_plugin_create_delegate"):
        BACKEND.open(tiny_tflite, SessionSettings(options={"delegate": "libc.so.6"}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delegate": 3}, "delegate: expected the path"),
        ({"delegate": ""}, "delegate: expected the path"),
        ({"delegate_options": {"a": 1}}, "without option delegate"),
        ({"delegate": "x.so", "delegate_options": "a=1"}, "expected a mapping"),
        ({"delegates": "x.so"}, "it has: delegate, delegate_options"),
    ],
)
def test_invalid_options_are_refused(tiny_tflite: Artifact, options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        BACKEND.open(tiny_tflite, SessionSettings(options=options))
