"""The Open Inference Protocol as the official client speaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_process import Running, running

import edgevision
from tiny_bundles import classifier_artifact, nchw, write_artifacts
from tiny_onnx import tiny_onnx_bytes

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("ai_edge_litert")
triton: Any = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http] (extra `dev`)")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    from edgevision.artifact import Artifact

    onnx = {"onnx-float32": Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})}
    return {
        "float": write_artifacts(folder / "float.evb", {"tflite-float32": classifier_artifact()}),
        "int8": write_artifacts(
            folder / "int8.evb", {"tflite-int8": classifier_artifact("tiny_int8.tflite")}
        ),
        "two": write_artifacts(folder / "two.evb", onnx, how=nchw()),
    }


@pytest.fixture(scope="module")
def server(bundles: dict[str, Path]) -> Iterator[Running]:
    with running(*bundles.values()) as one:
        yield one


@pytest.fixture
def client(server: Running) -> Iterator[Any]:
    with triton.InferenceServerClient(server.at) as one:
        yield one


def _inputs(metadata: dict[str, Any], rows: int = 1, seed: int = 1) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    made = {}
    for one in metadata["inputs"]:
        shape = [rows if size == -1 else size for size in one["shape"]]
        values = random.random(shape, np.float32)
        made[one["name"]] = values if one["datatype"] == "FP32" else (values * 200 - 100).astype(np.int8)
    return made


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "JSON out"])
@pytest.mark.parametrize("name", ["float", "int8", "two"])
def test_both_modes_give_what_the_session_gives(
    client: Any, bundles: dict[str, Path], name: str, binary_in: bool, binary_out: bool
) -> None:
    metadata = client.get_model_metadata(name)
    arrays = _inputs(metadata, 2 if name == "two" else 1)
    inputs = []
    for one in metadata["inputs"]:
        array = arrays[one["name"]]
        inputs.append(triton.InferInput(one["name"], array.shape, one["datatype"]))
        inputs[-1].set_data_from_numpy(array, binary_data=binary_in)
    outputs = [
        triton.InferRequestedOutput(one["name"], binary_data=binary_out) for one in metadata["outputs"]
    ]
    got = client.infer(name, inputs, outputs=outputs, request_id="a-1")
    with edgevision.load(bundles[name]) as model:
        expected = model.session.run(arrays)
    assert got.get_response()["id"] == "a-1"
    for output in metadata["outputs"]:
        np.testing.assert_array_equal(got.as_numpy(output["name"]), expected[output["name"]])


def test_metadata_health_and_versions(client: Any, bundles: dict[str, Path]) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("two")
    assert client.is_model_ready("two", "1")
    assert not client.is_model_ready("three")
    assert not client.is_model_ready("two", "2")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.get_model_metadata("two", "1") == {
        "name": "two",
        "versions": ["1"],
        "platform": "edgevision_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 8, 8]}],
        "outputs": [
            {"name": "features", "datatype": "FP32", "shape": [-1, 4]},
            {"name": "scores", "datatype": "FP32", "shape": [-1, 5]},
        ],
    }


def test_binary_and_json_outputs_in_one_answer(client: Any) -> None:
    inputs = [triton.InferInput("image", [1, 3, 8, 8], "FP32")]
    inputs[0].set_data_from_numpy(np.ones((1, 3, 8, 8), np.float32))
    wanted = [
        triton.InferRequestedOutput("scores", binary_data=False),
        triton.InferRequestedOutput("features", binary_data=True),
    ]
    got = client.infer("two", inputs, outputs=wanted)
    assert got.as_numpy("scores").shape == (1, 5)
    assert got.as_numpy("features").shape == (1, 4)
    assert [one["name"] for one in got.get_response()["outputs"]] == ["scores", "features"]


def test_without_outputs_all_come_as_bytes(client: Any) -> None:
    inputs = [triton.InferInput("image", [2, 3, 8, 8], "FP32")]
    inputs[0].set_data_from_numpy(np.ones((2, 3, 8, 8), np.float32))
    got = client.infer("two", inputs)
    assert all("binary_data_size" in one["parameters"] for one in got.get_response()["outputs"])
    assert got.as_numpy("scores").shape == (2, 5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"priority": 1}, "parameter 'priority' is not supported"),
        ({"sequence_id": 7, "sequence_start": True}, "parameter 'sequence_id' is not supported"),
        ({"parameters": {"mode": "fast"}}, "parameter 'mode' is not supported"),
    ],
)
def test_what_is_not_done_is_refused_by_name(client: Any, parameters: Any, message: str) -> None:
    inputs = [triton.InferInput("image", [1, 3, 8, 8], "FP32")]
    inputs[0].set_data_from_numpy(np.ones((1, 3, 8, 8), np.float32))
    with pytest.raises(triton.InferenceServerException, match=message) as raised:
        client.infer("two", inputs, **parameters)
    assert raised.value.status() == "400"


def test_many_at_once_get_their_own_answers(server: Running, bundles: dict[str, Path]) -> None:
    arrays = [np.full((1 + n % 3, 3, 8, 8), n / 40, np.float32) for n in range(40)]

    async def ask_all() -> list[Any]:
        from tritonclient.http import aio

        async def one(client: Any, array: Any) -> Any:
            asked = triton.InferInput("image", array.shape, "FP32")
            asked.set_data_from_numpy(array)
            return (await client.infer("two", [asked])).as_numpy("scores")

        async with aio.InferenceServerClient(server.at) as client:
            return await asyncio.gather(*(one(client, array) for array in arrays))

    with edgevision.load(bundles["two"]) as model:
        expected = [model.session.run({"image": array})["scores"] for array in arrays]
    for own, right in zip(asyncio.run(ask_all()), expected, strict=True):
        np.testing.assert_allclose(own, right, rtol=1e-4)
    served = server.models.find("two", None)
    assert served is not None
    assert served.rows > served.batches  # some were run together
