"""``edgevision stream --preview`` and ``--track``, as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

from edgevision.imaging.write import write_image
from streaming.video_files import write_video
from tiny_bundles import DETECT, classifier_artifact, detector_artifact, write_artifacts

pytest.importorskip("ai_edge_litert")
pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifact = {"tflite-float32": classifier_artifact()}
    return write_artifacts(tmp_path_factory.mktemp("bundle") / "tiny.evb", artifact)


def long_folder(folder: Path, images: int = 20_000) -> Path:
    folder.mkdir()
    write_image(folder / "0.png", np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
    for index in range(1, images):
        os.link(folder / "0.png", folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_page_is_served_until_a_signal_ends_the_stream(
    bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    words = ["stream", bundle, long_folder(tmp_path / "many"), "--preview", "0"]
    command = [sys.executable, "-m", "edgevision", *map(str, words)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = ""
        while not url:
            line = process.stderr.readline()
            assert line, process.wait()
            url = (re.findall(r"preview: (http://127\.0\.0\.1:\d+/)\n", line) or [""])[0]
        live: dict[str, Any] = {}
        while "frame" not in live:
            with urlopen(f"{url}live.json") as answer:  # noqa: S310  # its own address
                live = json.load(answer)
        with urlopen(f"{url}metrics") as answer:  # noqa: S310
            text = answer.read()
            assert b"edgevision_info{version=" in text
            assert (
                b'edgevision_health{backend="tflite",device="cpu",precision="float32",state="ok"} 1' in text
            )
        assert live["health"]["state"] in ("starting", "ok")
        with urlopen(f"{url}card.json") as answer:  # noqa: S310
            card = json.load(answer)
        with urlopen(f"{url}picture.mjpg") as moving:  # noqa: S310
            assert moving.read(30)
            process.send_signal(number)
            _, told = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 143), told
    assert "Traceback" not in told
    assert [one["label"] for one in live["frame"]["found"]]
    assert (card["name"], len(card["digest"]), card["thresholds"]) == ("tiny.evb", 64, [])


def test_a_preview_ends_with_the_stream(bundle: Path, tmp_path: Path, edgevision_command: Any) -> None:
    clip = write_video(tmp_path / "clip.avi", frames=5)
    done = edgevision_command("stream", bundle, clip, "--preview=0", "--jsonl", "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 5


def test_a_port_in_use_is_told(bundle: Path, tmp_path: Path, edgevision_command: Any) -> None:
    clip = write_video(tmp_path / "clip.avi", frames=5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = edgevision_command("stream", bundle, clip, f"--preview={port}")
    assert (done.returncode, "Address already in use; choose another port" in done.stderr) == (2, True)
    done = edgevision_command("stream", "--preview", bundle, clip)
    assert (done.returncode, "write --preview=PORT" in done.stderr or "Missing argument" in done.stderr) == (
        2,
        True,
    )


def test_objects_are_followed_on_the_command_line(tmp_path: Path, edgevision_command: Any) -> None:
    pytest.importorskip("trackers", reason="needs the extra `track`, and trackers")
    from edgevision.artifact import read_artifact
    from tiny_bundles import DATA

    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    detector = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": artifact}, task=DETECT)
    clip = write_video(tmp_path / "clip.avi", frames=6)
    words = ["stream", detector, clip, "--jsonl", "-", "--score-threshold", "0.01", "--track", "bytetrack"]
    lowered = [
        "--track-setting",
        "track_activation_threshold=0.01",
        "--track-setting",
        "high_conf_det_threshold=0.01",
    ]
    done = edgevision_command(*words, *lowered)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    ids = [{one["tracker_id"] for one in row["result"]["objects"]} for row in rows]
    assert ids[0] == {-1}
    assert max(ids[-1]) >= 0
    wrong = edgevision_command(*words, "--track-setting", "speed=1")
    assert (wrong.returncode, "no setting 'speed'" in wrong.stderr) == (2, True)
    assert edgevision_command(*words[:-2], "--track-setting", "frame_rate=30").returncode == 2
