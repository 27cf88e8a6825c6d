"""``edgevision stream``, and ``predict`` on videos: as processes, on real videos and a real runtime."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.imaging.write import write_image
from streaming.video_files import brightnesses, write_video
from tiny_bundles import DETECT, classifier_artifact, detector_artifact, write_artifacts

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifacts(
        tmp_path_factory.mktemp("bundle") / "tiny.evb", {"tflite-float32": classifier_artifact()}
    )


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgevision.artifact import read_artifact
    from tiny_bundles import DATA

    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    path = tmp_path_factory.mktemp("bundle") / "tiny.evb"
    return write_artifacts(path, {"tflite-float32": artifact}, task=DETECT)


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_video_to_lines_of_json(bundle: Path, tmp_path: Path, edgevision_command: Any) -> None:
    import edgevision

    clip = write_video(tmp_path / "clip.avi", frames=20)
    done = edgevision_command("stream", bundle, clip, "--jsonl", "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert "20 of 20 frames" in done.stderr
    assert "health ok" in done.stderr
    rows = rows_of((tmp_path / "out.jsonl").read_text())
    assert [row["index"] for row in rows] == list(range(20))
    assert {row["status"] for row in rows} == {"ok"}
    assert [row["presentation_s"] for row in rows] == pytest.approx([index / 10 for index in range(20)])
    with edgevision.load_classifier(bundle) as model:
        alone = [result.value.to_dict() for _, result in model.stream(clip)]
        digest = model.bundle_digest
    assert [row["result"] for row in rows] == alone
    first = rows[0]
    assert (first["backend"], first["device"], first["bundle_digest"]) == ("tflite", "cpu", digest)
    assert set(first["times_ms"]) >= {"capture", "queue", "preprocess", "inference", "postprocess"}
    assert edgevision_command("stream", bundle, clip, "--jsonl", "out.jsonl").returncode == 12
    again = edgevision_command("stream", bundle, clip, "--jsonl", "-", "--max-age-ms", "60000")
    assert [row["result"] for row in rows_of(again.stdout)] == alone
    assert "frames" not in again.stderr


def test_an_annotated_video_has_every_frame_at_its_time(
    detector: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    pytest.importorskip("av")
    clip = write_video(tmp_path / "clip.avi", frames=20)
    done = edgevision_command("stream", detector, clip, "--save", "out.mp4", "--score-threshold", "0.1")
    assert done.returncode == 0, done.stderr
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    times = []
    while capture.read()[0]:
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    assert times == pytest.approx([index / 10 for index in range(20)], abs=0.002)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_whole_files(
    bundle: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pytest.importorskip("av")
    folder = tmp_path / "many"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    write_image(folder / "0.png", image)
    for index in range(1, 2000):
        os.link(folder / "0.png", folder / f"{index}.png")
    words = ["stream", bundle, folder, "--save", "out.mp4", "--jsonl", "out.jsonl"]
    command = [sys.executable, "-m", "edgevision", *map(str, words)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    lines = tmp_path / "out.jsonl"
    until = time.monotonic() + 60
    while not (lines.exists() and lines.read_text().count("\n") >= 3) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    rows = rows_of(lines.read_text())
    assert len(rows) >= 3
    assert len(brightnesses(tmp_path / "out.mp4")) == len(rows)
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("absent.mp4",), 16, "absent.mp4: cannot be read: No such file or directory"),
        (("nonsense",), 2, "expected one of: "),
        (("clip.avi", "--policy", "newest"), 2, "expected 'wait', 'latest', or 'queue(N)'"),
        (("clip.avi", "--save", "out.gif"), 2, "expected a file of type .mp4, .mkv, .mov"),
        (("clip.avi", "--save", "absent/out.mp4"), 12, "mkdir -p absent"),
        (("clip.avi", "more", "rtsp://u:hidden@h/x"), 2, "unexpected extra arguments (more rtsp://h/x)"),
        (("clip.avi", "--overwrite"), 2, "--overwrite requires"),
        (("clip.avi", "--score-threshold", "0.5"), 2, "--score-threshold is for detectors"),
        (("cut.avi", "--jsonl", "cut.jsonl"), 16, "damaged or cut off"),
        (("99", "--reconnect-s", "0"), 16, "camera 99: no camera"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_and_faults_are_one_line(
    bundle: Path, tmp_path: Path, edgevision_command: Any, words: tuple[str, ...], code: int, told: str
) -> None:
    whole = write_video(tmp_path / "clip.avi", frames=40).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 3 // 4])
    done = edgevision_command("stream", bundle, *words, "--no-tune", "-q")
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")]  # LiteRT's own
    assert len(lines) == 1
    if "cut.jsonl" in words:
        assert len(rows_of((tmp_path / "cut.jsonl").read_text())) > 5


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_stream_does_not_overwrite_its_own_source(
    bundle: Path, tmp_path: Path, edgevision_command: Any, form: str
) -> None:
    clip = write_video(tmp_path / "clip.mp4")
    whole = clip.read_bytes()
    done = edgevision_command("stream", bundle, form.format(clip), "--save", "clip.mp4", "--overwrite")
    assert done.returncode == 2
    assert "--save clip.mp4: is the source itself" in done.stderr
    assert clip.read_bytes() == whole


def test_predict_takes_videos_among_images(bundle: Path, tmp_path: Path, edgevision_command: Any) -> None:
    clip = write_video(tmp_path / "clip.avi", frames=20)
    write_image(tmp_path / "still.png", np.full((48, 64, 3), 57, np.uint8))
    done = edgevision_command("predict", bundle, "still.png", clip, "--every", 5, "--json", "--save", "out")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    assert [row["image"] for row in rows] == ["still.png", *(f"{clip}#{index}" for index in (0, 5, 10, 15))]
    assert "presentation_s" not in rows[0]
    assert [row["presentation_s"] for row in rows[1:]] == pytest.approx([0.0, 0.5, 1.0, 1.5])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("clip#0.png", "clip#10.png", "clip#15.png", "clip#5.png", "still.png")
    ]
    every = edgevision_command("predict", bundle, clip)
    assert len(every.stdout.splitlines()) == 20


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("predict", "BUNDLE", "rtsp://u:hidden@h/x"), 2, "the address rtsp://h/x (edgevision stream MODEL"),
        (("predict", "BUNDLE", "0"), 3, "for a camera run: edgevision stream MODEL INDEX"),
        (("stream", "rtsp://u:hidden@h/x", "BUNDLE"), 2, "the address rtsp://h/x"),
        (("evaluate", "BUNDLE", "http://u:hidden@h/x?key=hidden"), 2, "the address http://h/x?…"),
    ],
)
def test_an_address_in_the_place_of_a_file_is_told_without_its_password(
    bundle: Path, edgevision_command: Any, words: tuple[str, ...], code: int, told: str
) -> None:
    done = edgevision_command(*(bundle if word == "BUNDLE" else word for word in words))
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert "hidden" not in done.stderr


def test_predict_tells_of_a_video_that_is_cut_off(
    bundle: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    whole = write_video(tmp_path / "clip.avi", frames=40).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 3 // 4])
    done = edgevision_command("predict", bundle, "cut.avi")
    assert done.returncode == 16
    assert "cut.avi: damaged or cut off" in done.stderr
    assert len(done.stdout.splitlines()) > 5


def test_predict_says_that_a_folder_has_a_video(
    bundle: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_video(folder / "clip.mp4")
    write_image(folder / "still.png", np.zeros((8, 8, 3), np.uint8))
    done = edgevision_command("predict", bundle, folder)
    assert done.returncode == 0
    assert "left out 1 file: 1 .mp4 (video; " in done.stderr
    assert edgevision_command("predict", bundle, folder, "--every", 2).returncode == 2


def test_a_full_disk_under_journal_and_video_is_told_and_what_was_written_is_whole(
    bundle: Path, tmp_path: Path
) -> None:
    """Each file may have 300 kB: the system refuses more as it does on a full disk."""
    pytest.importorskip("av")
    import resource

    import edgevision

    folder = tmp_path / "many"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(30):
        write_image(folder / f"{index:02d}.png", random.integers(0, 256, (240, 320, 3), np.uint8))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    words = ["stream", bundle, folder, "--save", "out.mp4", "--jsonl", "out.jsonl"]
    words += ["--journal", "runs.db", "--journal-frames", "all", "--no-tune", "--selftest", "never"]
    command = [sys.executable, "-m", "edgevision", *map(str, words)]
    done = subprocess.run(
        command, cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 12, done.stderr
    assert re.search(r"edgevision: out.mp4: (the video )?cannot be written: ", done.stderr), done.stderr
    assert "runs.db: the journal cannot be written: " in done.stderr
    assert "rows could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()
    assert [row["index"] for row in rows_of((tmp_path / "out.jsonl").read_text())][:2] == [0, 1]
    verified = edgevision.verify_journal(tmp_path / "runs.db")
    assert verified.ok, verified.problems


def test_predict_tells_of_damaged_frames_in_the_middle_of_a_video(
    bundle: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    av = pytest.importorskip("av", reason="needs the extra `video`")
    clip = write_video(tmp_path / "clip.avi", frames=20)  # each frame by itself, as JPEG
    with av.open(str(clip)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    torn = packets[7][:2] + bytes(len(packets[7]) - 2)
    (tmp_path / "torn.avi").write_bytes(clip.read_bytes().replace(packets[7], torn))
    done = edgevision_command("predict", bundle, "torn.avi", "--json")
    rows = rows_of(done.stdout)
    assert [row["image"] for row in rows if "classes" in row] == [
        f"torn.avi#{index}" for index in range(20) if index != 7
    ]
    assert "torn.avi#7: " in rows[7]["error"]
    assert done.returncode == 3, done.stderr
    assert "1 of 20 images could not be used" in done.stderr
    every = edgevision_command("predict", bundle, "torn.avi", "--every", 7)
    assert [line.split()[0] for line in every.stdout.splitlines()] == ["torn.avi#0", "torn.avi#14"]
    assert "torn.avi#7: " in every.stderr
