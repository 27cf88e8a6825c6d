"""Files beside a bare artifact: found beside it, read once, and handed over as bytes; or refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from described_networks import BLUE, RED, onnx_classifier, openvino_ir
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

import edgevision
from edgevision import BareModel, InputOptions
from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.loading.companions import read_with_companions
from edgevision.plugins import registry
from edgevision.session import open_session

RUNTIMES = ("onnx", "openvino")
BARE = BareModel(InputOptions(value_range=(0.0, 1.0)), labels=["red", "green", "blue"])


def with_external_data(folder: Path, location: str = "model.onnx.data") -> Path:
    """A classifier whose weights lie in another file."""
    model = onnx.load_from_string(onnx_classifier())
    convert_model_to_external_data(model, location=location, size_threshold=0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, folder / "model.onnx")
    return folder / "model.onnx"


def renamed(path: Path, location: str) -> Path:
    """The model, saying another name for the file with its weights."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    return path


def answers(path: Path, backend: str) -> list[str]:
    with edgevision.load(path, backend, bare=BARE) as model:
        return [model(picture).top()[0].label for picture in (RED, BLUE)]


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("location", ["model.onnx.data", "weights/all.bin"])
def test_weights_beside_the_model_are_used_and_never_those_of_the_working_directory(
    tmp_path: Path, backend: str, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_external_data(tmp_path / "model", location)
    elsewhere = tmp_path / "elsewhere"
    decoy = elsewhere / location
    decoy.parent.mkdir(parents=True)
    swapped = np.zeros((3, 3), np.float32)
    swapped[[0, 1, 2], [2, 1, 0]] = 8.0
    decoy.write_bytes(swapped.tobytes())
    monkeypatch.chdir(elsewhere)
    assert answers(path, backend) == ["red", "blue"]
    (path.parent / location).unlink()
    with pytest.raises(ArtifactError, match=rf"{decoy.name}: belongs to model\.onnx, and cannot be read"):
        answers(path, backend)


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize(
    "location", ["../weights.bin", "/etc/passwd", "a/../../weights.bin", "..", "", "C:\\w.bin", "a\0b"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, backend: str, location: str) -> None:
    path = with_external_data(tmp_path / "model")
    (tmp_path / "weights.bin").write_bytes(bytes(36))
    with pytest.raises(ArtifactError, match="expected a file beside the model"):
        answers(renamed(path, location), backend)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_an_address_in_memory_is_no_file(tmp_path: Path, backend: str) -> None:
    path = with_external_data(tmp_path)
    with pytest.raises(ArtifactError, match="cannot be read"):
        answers(renamed(path, "*/_ORT_MEM_ADDR_/*"), backend)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = with_external_data(tmp_path / "model")
    data = path.with_name("model.onnx.data")
    data.rename(tmp_path / "weights.bin")
    data.symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ArtifactError, match="leads out of its folder"):
        answers(path, "onnx")


def test_a_cache_that_keeps_files_under_other_names_is_read_through_its_links(tmp_path: Path) -> None:
    path = with_external_data(tmp_path / "blobs")
    links = tmp_path / "snapshot"
    links.mkdir()
    for name in ("model.onnx", "model.onnx.data"):
        path.with_name(name).rename(path.with_name(f"blob-{name}"))
        (links / name).symlink_to(path.with_name(f"blob-{name}"))
    assert answers(links / "model.onnx", "onnx") == ["red", "blue"]


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    path = with_external_data(tmp_path)
    path.with_name("model.onnx.data").unlink()
    os.mkfifo(path.with_name("model.onnx.data"))
    with pytest.raises(ArtifactError, match="expected a regular file"):
        answers(path, "onnx")


@pytest.mark.parametrize("backend", RUNTIMES)
def test_weights_that_end_too_early_are_refused(tmp_path: Path, backend: str) -> None:
    path = with_external_data(tmp_path)
    path.with_name("model.onnx.data").write_bytes(bytes(20))
    with pytest.raises(ArtifactError, match="which has 20"):
        answers(path, backend)


def test_the_digest_covers_every_file(tmp_path: Path) -> None:
    path = with_external_data(tmp_path)
    formats = registry().file_formats()
    before = read_with_companions(path, formats, registry())
    assert list(before.files) == ["model.onnx", "model.onnx.data"]
    data = path.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[:-1] + b"\x42")
    assert read_with_companions(path, formats, registry()).sha256 != before.sha256


@pytest.mark.parametrize("backend", RUNTIMES)
def test_an_artifact_that_lacks_its_weights_is_refused_by_the_backend_itself(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through any door: a bundle, a converter, a session of one's own."""
    path = with_external_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    artifact = Artifact("onnx", "float32", {"model.onnx": path.read_bytes()})
    with pytest.raises(ArtifactError, match=r"its weights are in 'model\.onnx\.data', which is not there"):
        open_session(registry().backend(backend), artifact)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_weights_in_nodes_and_inner_graphs_are_found_too(tmp_path: Path, backend: str) -> None:
    weights = numpy_helper.from_array(np.full((1, 3), 5, np.float32), "inner")
    inner = [
        helper.make_graph(
            [helper.make_node("Constant", [], [f"{name}_out"], value=weights)],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, [1, 3])],
        )
        for name in ("then", "else")
    ]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=inner[0], else_branch=inner[1]),
        helper.make_node("Add", ["mean", "chosen"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "outer",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for branch in model.graph.node[2].attribute:
        tensor = branch.g.node[0].attribute[0].t
        (tmp_path / "w.bin").write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="./w.bin")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    artifact = read_with_companions(path, registry().file_formats(), registry())
    with open_session(registry().backend(backend), artifact) as session:
        outputs = session.run({"images": np.ones((1, 3, 4, 4), np.float32)})
    np.testing.assert_array_equal(outputs["out"], np.full((1, 3), 6, np.float32))


def test_an_irs_weights_lie_beside_it_and_never_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    path = openvino_ir(tmp_path / "model", onnx_classifier())
    weights = path.with_suffix(".bin")
    (tmp_path / "model.bin").write_bytes(weights.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert answers(path, "openvino") == ["red", "blue"]
    weights.unlink()
    with pytest.raises(ArtifactError, match=r"model/model\.bin: cannot be read"):
        answers(path, "openvino")
