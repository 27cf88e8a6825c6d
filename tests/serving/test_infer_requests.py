"""Requests that are not what the protocol and the model say: an error in one line, and the server goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from serving_process import Running, ask, running

from edgevision.errors import InputError
from edgevision.serving.infer_request import TensorLimits, read_infer_request
from edgevision.serving.infer_response import encode_response
from edgevision.tensors import TensorSpec
from tiny_bundles import classifier_artifact, write_artifacts

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("ai_edge_litert")

IMAGE = TensorSpec("image", (None, 2, 3), "float32")
CODES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}


def limits(*inputs: TensorSpec) -> TensorLimits:
    return TensorLimits(inputs or (IMAGE,), (TensorSpec("scores", (None, 2), "float32"),), 4)


def document(**changes: Any) -> dict[str, Any]:
    one = {"name": "image", "shape": [1, 2, 3], "datatype": "FP32", "data": [0, 1, 2, 3, 4, 5], **changes}
    return {"inputs": [{name: value for name, value in one.items() if value is not ...}]}


def read(asked: Any, binary: bytes | None = None, length: str | None = None, of: TensorLimits | None = None):
    text = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    if binary is not None and length is None:
        length = str(len(text))
    return read_infer_request(text + (binary or b""), length, of or limits())


@pytest.mark.parametrize("dtype", CODES)
def test_every_datatype_comes_and_goes_in_json_and_as_bytes(dtype: str) -> None:
    kind = np.dtype(dtype).kind
    if kind == "b":
        values = np.array([[True, False, True]])
    elif kind == "f":
        values = np.array([[np.finfo(dtype).max, -0.1, np.finfo(dtype).tiny]], dtype)
    else:
        values = np.array([[np.iinfo(dtype).min, 1, np.iinfo(dtype).max]], dtype)
    spec = TensorSpec("x", (None, 3), dtype)
    of = TensorLimits((spec,), (spec,), 4)
    head = {"name": "x", "shape": [1, 3], "datatype": CODES[dtype]}
    as_json = read({"inputs": [{**head, "data": values.ravel().tolist()}]}, of=of)
    nested = read({"inputs": [{**head, "data": values.tolist()}]}, of=of)
    size = {"parameters": {"binary_data_size": values.nbytes}}
    as_bytes = read({"inputs": [{**head, **size}]}, values.tobytes(), of=of)
    for request in (as_json, nested, as_bytes):
        np.testing.assert_array_equal(request.inputs["x"], values)
        assert request.inputs["x"].dtype == dtype
    for binary in (False, True):
        wanted = [one._replace(binary=binary) for one in as_json.outputs]
        encoded = encode_response({"model_name": "m"}, wanted, {"x": values})
        shown = json.loads(encoded.body[: encoded.json_length])["outputs"][0]
        assert (shown["datatype"], shown["shape"]) == (CODES[dtype], [1, 3])
        if binary:
            assert encoded.body[encoded.json_length :] == values.tobytes()
        else:
            np.testing.assert_array_equal(np.array(shown["data"], dtype), values[0])


def test_tensors_in_json_and_as_bytes_in_one_request() -> None:
    specs = TensorSpec("a", (None, 2), "int16"), TensorSpec("b", (None, 2), "int8"), IMAGE
    asked = document()
    asked["inputs"] += [
        {"name": "b", "shape": [1, 2], "datatype": "INT8", "parameters": {"binary_data_size": 2}},
        {"name": "a", "shape": [1, 2], "datatype": "INT16", "parameters": {"binary_data_size": 4}},
    ]
    asked |= {"id": "x", "outputs": None, "parameters": {"binary_data_output": True, "timeout": 500}}
    got = read(asked, b"\x01\xff" + np.array([-300, 300], "<i2").tobytes(), of=limits(*specs))
    assert {name: one.tolist() for name, one in got.inputs.items() if name != "image"} == {
        "b": [[1, -1]],
        "a": [[-300, 300]],
    }
    assert (got.id, got.timeout_s, got.rows, got.outputs[0].binary) == ("x", 0.0005, 1, True)


def _deep(levels: int) -> bytes:
    return b'{"inputs":' + b"[" * levels + b"]" * levels + b"}"


WRONG: list[tuple[str, Any, str]] = [
    ("empty", b"", "not valid JSON"),
    ("not JSON", b"\xff\xd8\xff\xe0", "not valid JSON"),
    ("a list", [], "expected a JSON object"),
    ("a key twice", b'{"inputs":[],"inputs":[]}', "is there twice"),
    ("deep", _deep(100_000), "not valid JSON"),
    ("no inputs", {}, "'inputs' is missing"),
    ("no input", {"inputs": []}, r"inputs are named \(none\); expected 'image'"),
    ("inputs null", {"inputs": None}, "inputs: expected a JSON array"),
    ("unknown field", {**document(), "input": 1}, "unknown field 'input'"),
    ("an input that is text", {"inputs": ["image"]}, "expected a JSON object"),
    ("another name", document(name="picture"), "no input 'picture'; the model has image"),
    ("a name that is a list", document(name=[]), "no input"),
    ("twice", {"inputs": [*document()["inputs"], *document()["inputs"]]}, "is there twice"),
    ("no shape", document(shape=...), "'shape' is missing"),
    ("a shape of text", document(shape="1,2,3"), "shape: expected a JSON array"),
    ("a shape of floats", document(shape=[1.0, 2, 3]), "shape: expected a JSON array"),
    ("a shape of truths", document(shape=[True, 2, 3]), "shape: expected a JSON array"),
    ("another shape", document(shape=[1, 3, 2]), r"expected shape \[-1, 2, 3\], got \[1, 3, 2\]"),
    ("fewer axes", document(shape=[6]), "expected shape"),
    ("no rows", document(shape=[0, 2, 3], data=[]), "expected a batch of 1 to 4, got 0"),
    ("negative rows", document(shape=[-1, 2, 3]), "expected a batch of 1 to 4, got -1"),
    ("huge rows", document(shape=[2**62, 2, 3]), "expected a batch of 1 to 4"),
    ("too many rows", document(shape=[5, 2, 3], data=[0] * 30), "expected a batch of 1 to 4, got 5"),
    ("another datatype", document(datatype="FP64"), "expected datatype FP32, got 'FP64'"),
    ("an unknown datatype", document(datatype="BYTES"), "expected datatype FP32"),
    ("too few", document(data=[0] * 5), "expected 6 values, got 5"),
    ("too many", document(data=[0] * 7), "expected 6 values, got 7"),
    ("text", document(data=[0, 1, 2, 3, 4, "5"]), "expected numbers, got '5'"),
    ("truth", document(data=[0, 1, 2, 3, 4, True]), "expected numbers, got True"),
    ("null", document(data=[0, 1, 2, 3, 4, None]), "expected numbers, got None"),
    ("no list", document(data=3), "data: expected a JSON array"),
    ("ragged", document(data=[[[0, 1, 2], [3, 4]]]), "nested as"),
    ("nested otherwise", document(data=[[[0, 1], [2, 3], [4, 5]]]), "nested as"),
    ("half nested", document(data=[[0, 1, 2], [3, 4, 5]]), "nested as"),
    ("mixed", document(data=[[[0, 1, 2], 3]]), "nested as"),
    ("flat, then nested", document(data=[0, 1, 2, 3, 4, [5]]), "expected numbers"),
    ("NaN", b'{"inputs":[{"name":"image","shape":[1,2,3],"datatype":"FP32","data":[0,1,2,3,4,NaN]}]}', "NaN"),
    ("too large", document(data=[0, 1, 2, 3, 4, 1e39]), "contains NaN or infinity"),
    ("both", document(parameters={"binary_data_size": 24}), "expected either data, or"),
    ("neither", document(data=...), "expected either data, or"),
    ("bytes without the header", document(data=..., parameters={"binary_data_size": 24}), "is missing"),
    ("no such output", {**document(), "outputs": [{"name": "boxes"}]}, "no output 'boxes'"),
    ("an output twice", {**document(), "outputs": [{"name": "scores"}] * 2}, "is there twice"),
    ("outputs as text", {**document(), "outputs": "scores"}, "outputs: expected a JSON array"),
    (
        "classification",
        {**document(), "outputs": [{"name": "scores", "parameters": {"classification": 3}}]},
        "parameter 'classification' is not supported; supported: binary_data",
    ),
    ("an id that is a number", {**document(), "id": 3}, "id: expected a text"),
    ("a long id", {**document(), "id": "i" * 1001}, "id: expected a text"),
    ("parameters as a list", {**document(), "parameters": []}, "parameters: expected a JSON object"),
    ("a flag as text", {**document(), "parameters": {"binary_data_output": "true"}}, "true or false"),
    ("a timeout below 0", {**document(), "parameters": {"timeout": -1}}, "expected microseconds"),
    (
        "shared memory",
        document(parameters={"shared_memory_region": "r"}),
        "parameter 'shared_memory_region' is not supported",
    ),
]


@pytest.mark.parametrize(("asked", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_request_is_refused_in_one_line(asked: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read(asked)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("size", "binary", "length", "message"),
    [
        (24, b"\0" * 23, None, "expected 24 bytes, and 23 are left"),
        (24, b"\0" * 25, None, "25 bytes follow the JSON, of which 24 are tensors"),
        (23, b"\0" * 24, None, "binary_data_size: expected 24, got 23"),
        (-24, b"\0" * 24, None, "binary_data_size: expected 24, got -24"),
        (2**63, b"\0" * 24, None, "binary_data_size: expected 24"),
        (24.0, b"\0" * 24, None, "binary_data_size: expected 24, got 24.0"),
        ("24", b"\0" * 24, None, "binary_data_size: expected 24, got '24'"),
        (24, b"\0" * 24, "0", "Inference-Header-Content-Length: expected"),
        (24, b"\0" * 24, "-1", "Inference-Header-Content-Length: expected"),
        (24, b"\0" * 24, "1e2", "Inference-Header-Content-Length: expected"),
        (24, b"\0" * 24, "٣", "Inference-Header-Content-Length: expected"),
        (24, b"\0" * 24, "9" * 5000, "Inference-Header-Content-Length: expected"),
        (24, b"\0" * 24, "20", "not valid JSON"),
        (24, np.full(6, np.nan, "<f4").tobytes(), None, "contains NaN or infinity"),
    ],
)
def test_wrong_bytes_are_refused(size: Any, binary: bytes, length: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(document(data=..., parameters={"binary_data_size": size}), binary, length)


def test_a_truth_is_0_or_1() -> None:
    of = limits(TensorSpec("image", (None, 2, 3), "bool"))
    asked = document(data=..., datatype="BOOL", parameters={"binary_data_size": 6})
    with pytest.raises(InputError, match="expected bytes of 0 or 1, got 2"):
        read(asked, b"\0\1\0\1\0\2", of=of)
    with pytest.raises(InputError, match="expected true or false, got 1"):
        read(document(datatype="BOOL", data=[True, False, True, True, True, 1]), of=of)


@pytest.mark.parametrize("wrong", [-1, 256, 10**19, 1.0])
def test_a_whole_number_is_one_of_its_datatype(wrong: Any) -> None:
    of = limits(TensorSpec("image", (None, 2, 3), "uint8"))
    with pytest.raises(InputError, match="expected 0 to 255, got|expected whole numbers, got"):
        read(document(datatype="UINT8", data=[0, 1, 2, 3, 4, wrong]), of=of)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("bundle")
    with running(write_artifacts(folder / "tiny.evb", {"tflite-float32": classifier_artifact()})) as one:
        yield one


def _valid() -> dict[str, Any]:
    return {
        "inputs": [{"name": "image", "shape": [1, 8, 8, 3], "datatype": "FP32", "data": [0.5] * (8 * 8 * 3)}]
    }


def test_over_http_an_error_is_json_and_the_next_request_is_answered(server: Running) -> None:
    (name,) = (spec.name for spec in server.models.all()[0].current.limits.inputs)
    valid = _valid()
    valid["inputs"][0]["name"] = name
    path = "/v2/models/tiny/infer"
    for status, got in (
        (400, ask(server, path, b"{")),
        (400, ask(server, path, b"")),
        (400, ask(server, path, valid, Inference_Header_Content_Length="9999999")),
        (404, ask(server, "/v2/models/other/infer", valid)),
        (404, ask(server, "/v2/models/tiny/versions/2/infer", valid)),
        (404, ask(server, "/v2/models/tiny/versions/x/infer", valid)),
        (404, ask(server, "/v2/models//infer", valid)),
        (405, ask(server, path)),
        (405, ask(server, "/v2", b"")),
        (413, ask(server, path, b" " * 200_000)),
        (415, ask(server, path, valid, Content_Encoding="gzip")),
    ):
        assert got.status == status, got
        assert got.headers["content-type"] == "application/json"
        assert list(got.json()) == ["error"]
        assert "Traceback" not in got.body.decode()
    assert "there is no such address; expected /v2 or /v2/models/NAME" in ask(server, "/").json()["error"]
    wrong = ask(server, path)
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json() == {"error": "expected POST at this address, got 'GET'"}
    answer = ask(server, path, valid)
    assert answer.status == 200
    assert answer.json()["parameters"]["bundle_digest"] == server.models.all()[0].current.model.bundle_digest


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /v2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\0" * 100,
    ],
    ids=["negative length", "two lengths", "a long header", "TLS", "zeros"],
)
def test_what_is_not_http_ends_with_an_error(server: Running, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        got = b""
        with suppress(OSError):  # the server may end it while more is sent
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                got += part
    assert got.startswith(b"HTTP/1.1 400 ") or got == b""
    assert got == b"" or b'{"error"' in got
    assert ask(server, "/v2/health/live").status == 200


def test_a_body_that_ends_early_is_no_request(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(
            b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"
        )
    assert ask(server, "/v2/health/live").status == 200
