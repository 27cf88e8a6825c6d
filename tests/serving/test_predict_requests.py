"""Images for people: what `edgevision predict --json` prints, and a line for what is no image."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from serving_process import Running, ask, running

from edgevision.artifact import read_artifact
from edgevision.imaging.gate import InputGate
from tiny_bundles import DATA, DETECT, classifier_artifact, detector_artifact, write_artifacts

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    detector = {"tflite-float32": detector_artifact(read_artifact(DATA / "tiny.tflite"))}
    return {
        "apples": write_artifacts(folder / "apples.evb", {"tflite-float32": classifier_artifact()}),
        "boxes": write_artifacts(folder / "boxes.evb", detector, task=DETECT),
    }


@pytest.fixture(scope="module")
def server(bundles: dict[str, Path]) -> Iterator[Running]:
    with running(*bundles.values()) as one:
        yield one


def picture(suffix: str = ".png", seed: int = 3) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), np.uint8)
    return bytes(cv2.imencode(suffix, pixels)[1])


@pytest.mark.parametrize(
    ("name", "suffix", "query", "words"),
    [
        ("apples", ".jpg", "", []),
        ("apples", ".png", "?top=3", ["--top", "3"]),
        (
            "boxes",
            ".webp",
            "?score_threshold=0.1&max_detections=2",
            ["--score-threshold", ".1", "--max-detections", "2"],
        ),
    ],
)
def test_the_document_is_that_of_predict(
    server: Running, bundles: dict[str, Path], name: str, suffix: str, query: str, words: list[str]
) -> None:
    image = picture(suffix)
    command = [sys.executable, "-m", "edgevision", "predict", bundles[name], "-", "--json", *words]
    done = subprocess.run(command, input=image, capture_output=True, check=True)
    got = ask(server, f"/v2/models/{name}/predict{query}", image, Content_Type="image/png")
    assert got.status == 200
    assert got.json() == json.loads(done.stdout)


def test_pages_are_asked_for_one_by_one(server: Running) -> None:
    pages = [np.full((16, 16, 3), value, np.uint8) for value in (10, 200)]
    data = bytes(cv2.imencodemulti(".tiff", pages)[1])
    path = "/v2/models/apples/predict"
    whole = ask(server, path, data)
    assert (whole.status, "has 2 frames" in whole.json()["error"]) == (400, True)
    answers = [ask(server, f"{path}?frame={index}", data).json() for index in (0, 1)]
    assert [one["image"] for one in answers] == ["-#0", "-#1"]
    assert answers[0] != {**answers[1], "image": "-#0"}
    assert "there is no frame 2" in ask(server, f"{path}?frame=2", data).json()["error"]


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        ("", b"", "the request is empty; expected the bytes of an image"),
        ("", b"hello", "unsupported image format"),
        ("", picture()[:200], "damaged or cut short"),
        ("", json.dumps({"image": "x"}).encode(), "unsupported image format"),
        ("?top=0", picture(), "top: expected a whole number, 1 to"),
        ("?top=1.5", picture(), "top: expected a whole number, 1 to"),
        ("?top=x", picture(), "top: expected a number, got 'x'"),
        ("?top=1&top=2", picture(), "parameter 'top' is there twice"),
        ("?frame=-1", picture(), "frame: expected a whole number, 0 to"),
        ("?frame=1", picture(), "there is no frame 1"),
        (
            "?score_threshold=0.5",
            picture(),
            "unknown parameter 'score_threshold'; this model takes frame, top",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(server: Running, query: str, body: bytes, message: str) -> None:
    got = ask(server, f"/v2/models/apples/predict{query}", body)
    assert got.status == 400
    assert message in got.json()["error"]
    assert "\n" not in got.json()["error"]


def test_a_form_as_curl_sends_it_gets_the_command_that_works(server: Running) -> None:
    form = b'--X\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + picture() + b"\r\n--X--\r\n"
    path = "/v2/models/apples/predict"
    got = ask(server, path, form, Content_Type="multipart/form-data; boundary=X")
    assert (got.status, "curl --data-binary @FILE" in got.json()["error"]) == (415, True)
    assert ask(server, path, picture()).status == 200


def test_a_threshold_out_of_range_is_an_error_of_the_request(server: Running) -> None:
    got = ask(server, "/v2/models/boxes/predict?score_threshold=7", picture())
    assert got.status == 400
    assert "score_threshold" in got.json()["error"]


def test_what_is_beyond_the_limits_of_the_input_is_not_answered(bundles: dict[str, Path]) -> None:
    with running(bundles["apples"]) as one:
        model = one.models.all()[0].current.model
        model.input_gate = InputGate(sharpness=1e9)
        got = ask(one, "/v2/models/apples/predict", picture())
    assert got.status == 200
    assert got.json()["status"].startswith("abstained: ")
    assert "classes" not in got.json()
