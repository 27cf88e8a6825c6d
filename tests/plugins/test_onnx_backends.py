"""The backends `onnx` and `cuda`: two plugins over ONNX Runtime."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings
from edgevision.errors import ArtifactError, DeviceError, EdgeVisionError, MissingRuntimeError, OptionError
from edgevision.plugins import DISABLE_VARIABLE, registry
from edgevision.session import open_session
from edgevision.testing import check_backend
from edgevision_onnxruntime.cuda import backend as cuda_module
from edgevision_onnxruntime.cuda import driver
from edgevision_onnxruntime.cuda.backend import CudaBackend
from edgevision_onnxruntime.onnx import backend as onnx_module
from edgevision_onnxruntime.onnx.backend import OnnxBackend
from edgevision_onnxruntime.onnx_file import holds_float16, is_quantized
from edgevision_onnxruntime.runtime import CUDA, import_onnxruntime
from edgevision_onnxruntime.sessions import NodePlacement, Sessions

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

ONNX = OnnxBackend()
CUDA_BACKEND = CudaBackend()
HAS_CUDA = CUDA in onnxruntime.get_available_providers()
IMAGE = np.random.default_rng(5).random((1, 3, 8, 8), np.float32)

without_cuda = pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime is built with CUDA")


@pytest.fixture
def gpu() -> str:
    try:
        return CUDA_BACKEND.devices()[0].name
    except EdgeVisionError as error:
        pytest.skip(f"needs an NVIDIA GPU: {error}")


@pytest.mark.parametrize("artifact", ["tiny_onnx", "tiny_float16_onnx"])
def test_onnx_keeps_the_contract(artifact: str, request: pytest.FixtureRequest) -> None:
    check_backend(ONNX, request.getfixturevalue(artifact))


def test_onnx_answers_like_a_bare_session(tiny_onnx: Artifact) -> None:
    bare = onnxruntime.InferenceSession(tiny_onnx.content, providers=["CPUExecutionProvider"])
    expected = dict(
        zip(("features", "scores"), bare.run(["features", "scores"], {"image": IMAGE}), strict=True)
    )
    with open_session(ONNX, tiny_onnx) as session:
        answer = session.run({"image": IMAGE})
    for name, values in expected.items():
        np.testing.assert_allclose(answer[name], values, rtol=1e-5)


def test_onnx_runs_on_the_cpu_and_reports_it(tiny_onnx: Artifact) -> None:
    with open_session(ONNX, tiny_onnx) as session:
        assert (session.device, session.precision, session.fallback_nodes) == ("cpu", "float32", ())


@pytest.mark.parametrize("device", ["cuda:0", "gpu"])
def test_onnx_never_calls_itself_cuda(tiny_onnx: Artifact, device: str) -> None:
    with pytest.raises(DeviceError, match="it has: cpu; for a GPU use backend 'cuda'"):
        ONNX.open(tiny_onnx, SessionSettings(device=device))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have kernels for float16")
def test_float16_weights_are_computed_in_float32_on_x86(tiny_float16_onnx: Artifact) -> None:
    with open_session(ONNX, tiny_float16_onnx) as session:
        assert session.precision == "float32"
        scores = session.run({"image": IMAGE})["scores"]
    # float16 arithmetic could give only values that float16 holds
    assert not np.array_equal(scores, scores.astype(np.float16).astype(np.float32))


def test_whether_weights_are_float16_is_read_from_the_file(
    tiny_onnx: Artifact, tiny_float16_onnx: Artifact
) -> None:
    assert not holds_float16(tiny_onnx.content)
    assert holds_float16(tiny_float16_onnx.content)
    assert not holds_float16(b"")
    assert not holds_float16(b"\xff" * 50)
    assert not is_quantized(tiny_onnx.content)


def test_an_unnamed_open_batch_accepts_any_size_too(tiny_onnx: Artifact) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(tiny_onnx.content)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
    check_backend(ONNX, Artifact("onnx", "float32", {"unnamed.onnx": model.SerializeToString()}))


def test_a_fixed_batch_stays_fixed(tiny_onnx: Artifact) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(tiny_onnx.content)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    check_backend(ONNX, Artifact("onnx", "float32", {"fixed.onnx": model.SerializeToString()}))


def test_an_unknown_operator_is_refused_in_one_line(tiny_onnx: Artifact) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(tiny_onnx.content)
    model.graph.node[2].op_type = "NoSuchOperator"
    artifact = Artifact("onnx", "float32", {"odd.onnx": model.SerializeToString()})
    with pytest.raises(ArtifactError, match=r"odd.onnx: ONNX Runtime refuses it: .*NoSuchOperator") as caught:
        ONNX.open(artifact, SessionSettings())
    assert "\n" not in str(caught.value)


def test_an_open_image_size_is_refused(open_height_onnx: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"only the batch size may be open.*fixed image size"):
        ONNX.open(open_height_onnx, SessionSettings())


@without_cuda
def test_cuda_is_not_ready_without_a_build_for_it(tiny_onnx: Artifact) -> None:
    message = r'built without CUDA.*pip uninstall -y onnxruntime.*pip install "edgevision\[cuda\]"'
    for call in (
        CUDA_BACKEND.version,
        CUDA_BACKEND.devices,
        lambda: CUDA_BACKEND.open(tiny_onnx, SessionSettings()),
    ):
        with pytest.raises(MissingRuntimeError, match=message) as caught:
            call()
        assert caught.value.extra == "cuda"


@without_cuda
def test_two_installed_builds_are_reported_with_the_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        folder = tmp_path / f"{name.replace('-', '_')}-1.31.1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.31.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        MissingRuntimeError, match="overwrite each other; first pip uninstall -y onnxruntime onnx"
    ):
        CUDA_BACKEND.version()


def test_invalid_options_are_refused_before_any_device_is_queried(tiny_onnx: Artifact) -> None:
    with pytest.raises(OptionError, match="it has: allow_cpu_fallback"):
        CUDA_BACKEND.open(tiny_onnx, SessionSettings(options={"fallback": True}))
    with pytest.raises(OptionError, match="expected True or False, got 'yes'"):
        CUDA_BACKEND.open(tiny_onnx, SessionSettings(options={"allow_cpu_fallback": "yes"}))


def test_each_backend_has_a_plugin_of_its_own_name() -> None:
    rows = {row.name: row for row in registry().backend_statuses()}
    assert all(row.plugin == name for name, row in rows.items())
    assert {"cuda", "onnx"} <= set(rows)
    assert rows["onnx"].ready
    assert rows["cuda"].ready or rows["cuda"].reason


@pytest.mark.parametrize(("broken", "other"), [("cuda", "onnx"), ("onnx", "cuda")])
@pytest.mark.parametrize("module", ["edgevision_onnxruntime.{}", "edgevision_onnxruntime.{}.backend"])
def test_a_break_in_one_plugin_leaves_the_other_working(broken: str, other: str, module: str) -> None:
    program = """
import sys
sys.modules[sys.argv[1]] = None
from edgevision.plugins import DISABLE_VARIABLE, registry
print(*registry().backends(), *(problem.plugin for problem in registry().problems))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, module.format(broken)],
        env={**os.environ, DISABLE_VARIABLE: "tflite,openvino"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [other, broken]


def test_a_missing_driver_is_reported() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    with pytest.raises(
        DeviceError, match=r"no NVIDIA driver on this machine \(libcuda.so.1 cannot be loaded\).*nvidia-smi"
    ):
        driver.gpus()


def test_a_missing_onnxruntime_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevision_onnxruntime import runtime

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runtime._imported.cache_clear()
    try:
        for extra in ("onnx", "cuda"):
            with pytest.raises(MissingRuntimeError, match=rf'pip install "edgevision\[{extra}\]"'):
                import_onnxruntime(extra)
    finally:
        runtime._imported.cache_clear()


def opening(artifact: Artifact, *, allow_fallback: bool = False) -> cuda_module._Opening:
    device = cuda_module._Device("cuda", 0, "a GPU that does not exist")
    return cuda_module._Opening(onnxruntime, artifact, SessionSettings(), device, allow_fallback)


def test_a_session_that_fell_back_to_the_cpu_is_refused(tiny_onnx: Artifact) -> None:
    session = onnxruntime.InferenceSession(tiny_onnx.content, providers=["CPUExecutionProvider"])
    message = (
        r"'cuda:0': ONNX Runtime could not load CUDAExecutionProvider \(cannot load .*edgevision\[cuda\]"
    )
    with pytest.raises(DeviceError, match=message):
        opening(tiny_onnx)._check(session)


@pytest.mark.skipif(
    not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"),
    reason="this ONNX Runtime cannot report which nodes fall back",
)
def test_nodes_on_the_cpu_are_reported_by_name(tiny_onnx: Artifact) -> None:
    placement = NodePlacement(entries=opening(tiny_onnx, allow_fallback=True)._placement(1).entries)
    sessions = Sessions(onnxruntime, tiny_onnx, None, lambda batch: placement)
    assert {"conv", "relu", "softmax"} <= set(cuda_module._cpu_nodes(sessions.for_batch(1)))


def test_without_permission_only_the_gpus_provider_is_listed_and_the_cpu_forbidden(
    tiny_onnx: Artifact,
) -> None:
    placement = opening(tiny_onnx)._placement(1)
    assert [name for name, _ in placement.providers] == ["CUDAExecutionProvider"]
    assert placement.entries == {"session.disable_cpu_ep_fallback": "1"}
    assert placement.providers[0][1]["use_tf32"] == "0"


@pytest.mark.parametrize("name", ["cuda", "gpu:0", "cuda:x", "tensorrt", "cpu"])
def test_a_device_that_is_not_a_gpu_is_refused_with_the_possible_ones(name: str) -> None:
    with pytest.raises(DeviceError, match=f"no device '{name}'; it has: cuda:N and tensorrt:N"):
        cuda_module._find_device(onnxruntime, name)


def test_an_environment_that_lowers_tensorrts_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    with pytest.raises(DeviceError, match="NVIDIA_TF32_OVERRIDE is '1'"):
        cuda_module._turn_tf32_off()


@pytest.mark.gpu
def test_cuda_keeps_the_contract(gpu: str, tiny_onnx: Artifact) -> None:
    check_backend(CUDA_BACKEND, tiny_onnx, devices=[device.name for device in CUDA_BACKEND.devices()])


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(gpu: str, tiny_onnx: Artifact) -> None:
    expected = open_session(ONNX, tiny_onnx).run({"image": IMAGE})
    with open_session(CUDA_BACKEND, tiny_onnx) as session:
        assert (session.device, session.precision, session.fallback_nodes) == ("cuda:0", "float32", ())
        answer = session.run({"image": IMAGE})
    for name, values in expected.items():
        np.testing.assert_allclose(answer[name], values, atol=1e-5)


@pytest.mark.gpu
def test_cuda_reports_float16_for_a_float16_model(gpu: str, tiny_float16_onnx: Artifact) -> None:
    with open_session(CUDA_BACKEND, tiny_float16_onnx) as session:
        assert session.precision == "float16"


@pytest.mark.gpu
def test_a_gpu_that_does_not_exist_is_refused(gpu: str, tiny_onnx: Artifact) -> None:
    with pytest.raises(DeviceError, match="no such GPU; available: 0"):
        CUDA_BACKEND.open(tiny_onnx, SessionSettings(device="cuda:99"))


@pytest.mark.gpu
def test_a_graph_with_nodes_that_the_gpu_does_not_support_is_refused_or_reports_the_fallback(
    gpu: str,
) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Det", ["image"], ["scores"], name="on_the_cpu")  # CUDA has no Det
    graph = onnx.helper.make_graph(
        [node],
        "det",
        [onnx.helper.make_tensor_value_info("image", 1, ["batch", 4, 4])],
        [onnx.helper.make_tensor_value_info("scores", 1, ["batch"])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    artifact = Artifact("onnx", "float32", {"det.onnx": model.SerializeToString()})
    with pytest.raises(
        DeviceError, match=r"does not support 1 of its nodes.*on_the_cpu.*allow_cpu_fallback=True"
    ):
        CUDA_BACKEND.open(artifact, SessionSettings())
    with open_session(
        CUDA_BACKEND, artifact, SessionSettings(options={"allow_cpu_fallback": True})
    ) as session:
        assert session.fallback_nodes == ("on_the_cpu",)


def _large_products(convolutions: int) -> Artifact:
    """A file of int8 convolutions whose sums saturate at 16 bits; all have the same weights."""
    onnx = pytest.importorskip("onnx", reason="building the artifact needs onnx (extra `convert`)")
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    weights = np.random.default_rng(0).integers(100, 128, (8, 8, 3, 3)).astype(np.int8)
    constants = [
        array(weights, "weights"),
        array(np.full(8, 0.01, np.float32), "scales"),
        array(np.zeros(8, np.int8), "zeros"),
        array(np.uint8(0), "zero"),
    ]
    weight = helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["weight"], axis=0)
    nodes, before = [weight], "image"
    for number in range(convolutions):
        q, x, y = f"q{number}", f"x{number}", f"y{number}"
        constants.append(array(np.float32(1 if number == 0 else 100), f"step{number}"))
        nodes += [
            helper.make_node("QuantizeLinear", [before, f"step{number}", "zero"], [q]),
            helper.make_node("DequantizeLinear", [q, f"step{number}", "zero"], [x]),
            helper.make_node("Conv", [x, "weight"], [y], pads=[1, 1, 1, 1]),
        ]
        before = y
    constants.append(array(np.float32(60 if convolutions == 1 else 7000), "last"))
    nodes += [
        helper.make_node("QuantizeLinear", [before, "last", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "last", "zero"], ["scores"]),
    ]
    image, scores = (
        helper.make_tensor_value_info(name, 1, ["batch", 8, 8, 8]) for name in ("image", "scores")
    )
    graph = helper.make_graph(nodes, "large", [image], [scores], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return Artifact("onnx", "int8", {"model.onnx": model.SerializeToString()})


@pytest.mark.parametrize("convolutions", [1, 2], ids=["own_weights", "shared_weights"])
@pytest.mark.parametrize("exact", [True, False, None], ids=["vnni", "no_vnni", "unknown"])
def test_int8_is_exact_on_every_processor(
    convolutions: int, exact: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = _large_products(convolutions)
    image = np.random.default_rng(1).integers(200, 256, (1, 8, 8, 8)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    bare = onnxruntime.InferenceSession(artifact.content, options, providers=["CPUExecutionProvider"])
    (expected,) = bare.run(None, {"image": image})
    monkeypatch.setattr(onnx_module, "has_exact_int8_products", lambda: exact)
    opened: list[dict[str, str]] = []

    class Recorded(Sessions):
        def for_batch(self, batch: int) -> object:
            opened.append(dict(self._placement(batch).entries))
            return super().for_batch(batch)

    monkeypatch.setattr(onnx_module, "Sessions", Recorded)
    with open_session(ONNX, artifact) as session:
        found = session.run({"image": image})["scores"]
    np.testing.assert_allclose(found, expected, atol=1e-3 if convolutions == 1 else 7000)
    # Emulated without VNNI (qemu-x86_64 -cpu Haswell), these two alone are right. ONNX Runtime 1.23 opens
    # shared weights with the first, and later ones do not.
    uint8, none = {"session.x64quantprecision": "1"}, {"session.disable_quant_qdq": "1"}
    assert opened[-1] in ([{}] if exact else [uint8] if convolutions == 1 else [uint8, none])
