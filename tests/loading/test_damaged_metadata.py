"""Damaged metadata is described or refused, never a foreign error: many mutants of a file of each format."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from described_networks import (
    as_json,
    as_properties,
    as_yaml,
    onnx_classifier,
    openvino_ir,
    tflite_bytes,
    tflite_classifier,
    ultralytics,
)
from onnx.external_data_helper import convert_model_to_external_data

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription, Companion
from edgevision.errors import ArtifactError
from edgevision.plugins import registry
from edgevision.system.onnx_file import complete, with_sizes
from edgevision.system.protobuf import WireError

STATED = ultralytics(task="classify")
TRIES = 1500


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A copy that is cut, or in which some bytes are changed, left out or added."""
    if rng.random() < 0.2:
        return content[: rng.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 8)):
        place = rng.randrange(len(changed))
        kind = rng.random()
        if kind < 0.3:
            changed[place : place + 1] = b""
        elif kind < 0.5:
            changed[place:place] = rng.randbytes(rng.randrange(1, 9))
        else:
            changed[place] = rng.randrange(256)
    return bytes(changed)


def survives(work: Callable[[], object]) -> object:
    try:
        return work()
    except (ArtifactError, WireError):
        return None


def test_onnx_files(tmp_path: Path) -> None:
    properties = as_properties(STATED) | {"model_info model_type": "Classification"}
    model = onnx.load_from_string(onnx_classifier(properties))
    convert_model_to_external_data(model, location="weights", size_threshold=0)
    onnx.save_model(model, tmp_path / "m.onnx")
    whole, weights = (tmp_path / "m.onnx").read_bytes(), (tmp_path / "weights").read_bytes()
    backend, rng = registry().backend("onnx"), random.Random(0)  # noqa: S311  (the same mutants each time)
    for _ in range(TRIES):
        content = damaged(whole, rng)
        artifact = Artifact("onnx", "unknown", {"m.onnx": content, "weights": weights})
        described = survives(lambda a=artifact: backend.describe(a))  # type: ignore[attr-defined]
        assert described is None or isinstance(described, ArtifactDescription)
        named = survives(lambda a=artifact: backend.companions(a)) or []  # type: ignore[attr-defined]
        assert isinstance(named, list)
        for companion in named:
            assert isinstance(companion, Companion)
            assert not companion.name.startswith("/")
            assert ".." not in companion.name.split("/")
        survives(lambda a=artifact: complete(a.files))
        survives(lambda c=content: with_sizes(c, "images", (1, 3, 4, 4)))


@pytest.mark.parametrize("part", ["model.xml", "metadata.yaml"])
def test_openvino_irs(tmp_path: Path, part: str) -> None:
    info = {"model_type": "YOLO", "labels": "person road_sign car", "scale_values": "255"}
    path = openvino_ir(tmp_path, onnx_classifier(), info, as_yaml(STATED))
    files = {file.name: file.read_bytes() for file in (path, path.with_name("metadata.yaml"))}
    backend, rng = registry().backend("openvino"), random.Random(0)  # noqa: S311  (the same mutants each time)
    for _ in range(TRIES):
        artifact = Artifact("openvino", "unknown", {**files, part: damaged(files[part], rng)})
        described = survives(lambda a=artifact: backend.describe(a))  # type: ignore[attr-defined]
        assert described is None or isinstance(described, ArtifactDescription)


def test_tflite_files() -> None:
    whole = tflite_bytes(tflite_classifier(), members={"metadata.json": as_json(STATED)})
    backend, rng = registry().backend("tflite"), random.Random(0)  # noqa: S311  (the same mutants each time)
    for _ in range(TRIES):
        artifact = Artifact("tflite", "unknown", {"m.tflite": damaged(whole, rng)})
        described = survives(lambda a=artifact: backend.describe(a))  # type: ignore[attr-defined]
        assert described is None or isinstance(described, ArtifactDescription)
