"""``edgevision gate``, and what `predict` and `stream` do with its limits: as processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision as ev
from edgevision.datasets.image_sets import SetFacts
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from edgevision.imaging.write import write_image
from streaming.video_files import write_video
from tiny_bundles import classifier_artifact, write_artifacts

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "tiny.evb"
    facts = SetFacts("photos", 4, "0" * 64, labelled=True)
    text = evidence_json(Evidence("2026-11-24T00:00:00Z", "0" * 64, {}, facts, None, ()))
    return write_artifacts(path, {"tflite-float32": classifier_artifact()}, evidence=text.encode())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for seed in range(20):
        random = np.random.default_rng(seed)
        write_image(folder / f"{seed}.png", random.integers(0, 256, (48, 64, 3), np.uint8))
    return folder


def test_limits_go_into_the_bundle_and_predict_and_stream_obey(
    bundle: Path, good: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    proposed = edgevision_command("gate", bundle, good, "--false-abstentions", 0.2)
    assert proposed.returncode == 0, proposed.stderr
    assert "black: more than" in proposed.stdout
    assert "nothing was written" in proposed.stdout
    words = ["gate", bundle, good, "--false-abstentions", 0.2, "-o", "gated.evb", "--json"]
    written = edgevision_command(*words)
    assert written.returncode == 0, written.stderr
    gated = tmp_path / "gated.evb"
    limits = json.loads(written.stdout)["limits"]
    manifest = ev.read_bundle(gated).manifest
    assert manifest.input_gate == ev.InputGate(**limits)
    assert manifest.provenance is not None
    assert manifest.provenance.settings["input_gate"] == limits
    assert edgevision_command("selftest", gated).returncode == 0

    write_image(tmp_path / "black.png", np.zeros((48, 64, 3), np.uint8))
    said = edgevision_command("predict", gated, "black.png", good)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == "black.png  abstained: black"
    assert len(lines) == 21
    assert sum("abstained" in line for line in lines[1:]) <= 8
    rows = [
        json.loads(line)
        for line in edgevision_command("predict", gated, "black.png", "--json").stdout.splitlines()
    ]
    assert rows == [{"image": "black.png", "status": "abstained: black"}]
    assert "abstained" not in edgevision_command("predict", gated, "black.png", "--no-input-gate").stdout

    (tmp_path / "frozen").mkdir()
    for number in range(30):  # as a camera that hangs
        write_image(tmp_path / "frozen" / f"{number:02}.png", np.full((48, 64, 3), 128, np.uint8))
    gated_states = {"ok", "abstained: frozen", "abstained: blurred"}
    for options, states in (((), gated_states), (("--no-input-gate",), {"ok"})):
        streamed = edgevision_command("stream", gated, "frozen", "--jsonl", "-", *options)
        assert streamed.returncode == 0, streamed.stderr
        found = [json.loads(line)["status"] for line in streamed.stdout.splitlines()]
        assert set(found) <= states
        assert len(found) == 30
        assert ("abstained: frozen" in found) is not bool(options)
    removed = edgevision_command("pack", gated, "-o", "plain.evb", "--no-input-gate")
    assert removed.returncode == 0, removed.stderr
    assert ev.read_bundle(tmp_path / "plain.evb").manifest.input_gate is None


def test_frames_of_a_video_that_abstain_are_rows(
    bundle: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    settings = ev.PackSettings(input_gate=ev.InputGate(sharpness=1e9))
    ev.pack(bundle, tmp_path / "gated.evb", settings=settings)
    clip = write_video(tmp_path / "clip.avi", frames=10)
    rows = edgevision_command("predict", tmp_path / "gated.evb", clip, "--json").stdout.splitlines()
    assert len(rows) == 10
    assert {json.loads(row)["status"] for row in rows} == {"abstained: blurred"}


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["--force"], 2, "--force requires -o"),
        ([], 3, "20 good images cannot limit false abstentions to 0.01; pass 198 or more"),
    ],
)
def test_mistakes_are_one_line(
    bundle: Path, good: Path, edgevision_command: Any, words: list[str], code: int, reason: str
) -> None:
    done = edgevision_command("gate", bundle, good, *words)
    assert done.returncode == code
    assert reason in done.stderr
