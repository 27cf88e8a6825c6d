"""``edgevision explain``: pictures of what answers rest on, on a real runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.imaging.write import write_image
from tiny_bundles import DATA, DETECT, classifier_artifact, detector_artifact, write_artifacts

pytest.importorskip("ai_edge_litert")
QUICK = ("--budget", 64, "--backend", "tflite")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, random.integers(0, 256, (30, 50, 3), np.uint8))
    write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    return tmp_path


def rows_of(done: Any) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_image_gets_a_picture_and_all_a_sheet(folder: Path, edgevision_command: Any) -> None:
    done = edgevision_command("explain", "tiny.evb", "a.png", "b.png", "-o", "maps", "--json", *QUICK)
    rows = rows_of(done)
    assert [row["image"] for row in rows] == ["a.png", "b.png"]
    assert {row["samples"] for row in rows} == {64}
    assert {row["backend"] for row in rows} == {"tflite"}
    assert sorted(path.name for path in (folder / "maps").iterdir()) == ["a.png", "b.png", "sheet.png"]
    picture = cv2.imread(str(folder / "maps" / "a.png"))
    assert picture.shape[1] >= 320, "small images are enlarged"
    assert np.ptp(picture) > 100


def test_lines_for_people_name_class_place_and_reliability(folder: Path, edgevision_command: Any) -> None:
    done = edgevision_command("explain", "tiny.evb", "a.png", "-o", "maps", "--for", "pear", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "a.png  pear " in done.stdout
    assert "64 runs, reliability 0." in done.stdout


def test_occlusion_has_no_reliability(folder: Path, edgevision_command: Any) -> None:
    words = ("explain", "tiny.evb", "a.png", "-o", "maps", "--method", "occlusion", "--json", *QUICK)
    (row,) = rows_of(edgevision_command(*words))
    assert row["reliability"] is None
    assert row["method"] == "occlusion"


def test_objects_are_explained_and_framed(folder: Path, edgevision_command: Any) -> None:
    from edgevision.artifact import read_artifact

    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    write_artifacts(folder / "detector.evb", {"tflite-float32": artifact}, task=DETECT)
    (row,) = rows_of(edgevision_command("explain", "detector.evb", "a.png", "-o", "maps", "--json", *QUICK))
    left, top, right, bottom = row["box_xyxy"]
    assert 0 <= left < right <= 50
    assert 0 <= top < bottom <= 30


def test_nothing_is_replaced_unasked(folder: Path, edgevision_command: Any) -> None:
    words = ("explain", "tiny.evb", "a.png", "-o", "maps", *QUICK)
    assert edgevision_command(*words).returncode == 0
    again = edgevision_command(*words)
    assert again.returncode == 12
    assert "--overwrite" in again.stderr
    (folder / "maps" / "a.png").unlink()
    assert "sheet.png: exists" in edgevision_command(*words).stderr
    assert edgevision_command(*words, "--overwrite").returncode == 0


def test_an_unusable_image_does_not_take_the_others_with_it(folder: Path, edgevision_command: Any) -> None:
    (folder / "a.png").write_text("not an image")
    done = edgevision_command("explain", "tiny.evb", "a.png", "b.png", "-o", "maps", "--json", *QUICK)
    assert done.returncode == 3
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert "error" in rows[0]
    assert rows[1]["saved"] == "maps/b.png"
    assert "1 of 2 images could not be used" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--for", "plum"), 2, "no class 'plum'"),
        (("--budget", 1), 2, "x>=16"),
        (("--cells", 1), 2, "2<=x<=64"),
        (("--method", "lime"), 2, "lime"),
        (("--reliability", 0), 2, "reliability"),
    ],
)
def test_mistakes_are_told_in_a_line(
    folder: Path, edgevision_command: Any, words: tuple[Any, ...], code: int, message: str
) -> None:
    done = edgevision_command("explain", "tiny.evb", "a.png", "-o", "maps", *words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_that_would_be_the_sheet_is_refused(folder: Path, edgevision_command: Any) -> None:
    (folder / "a.png").rename(folder / "sheet.png")
    done = edgevision_command("explain", "tiny.evb", "sheet.png", "-o", "maps", *QUICK)
    assert done.returncode == 12
    assert "rename the image" in done.stderr


def test_maps_are_checked_against_random_ones(folder: Path, edgevision_command: Any) -> None:
    words = ("explain", "tiny.evb", "a.png", "-o", "maps", "--check", *QUICK)
    (row,) = rows_of(edgevision_command(*words, "--json"))
    assert 0 <= row["check"]["ahead"] <= 1
    assert -1 <= row["check"]["stability"] <= 1
    done = edgevision_command(*words, "--overwrite", "--method", "occlusion")
    assert "of random maps  maps/a.png" in done.stdout, "no other masks to compare with"


def test_an_image_in_which_nothing_is_found_does_not_take_the_others_with_it(
    folder: Path, edgevision_command: Any
) -> None:
    from edgevision.artifact import read_artifact

    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    task = replace(DETECT, score_threshold=1.0)
    write_artifacts(folder / "detector.evb", {"tflite-float32": artifact}, task=task)
    words = ("explain", "detector.evb", "a.png", "b.png", "-o", "maps", *QUICK)
    rows = rows_of(edgevision_command(*words, "--json"))
    assert [row["image"] for row in rows] == ["a.png", "b.png"]
    assert all("no object with a score of 1" in row["nothing_found"] for row in rows)
    assert "a.png  nothing found" in edgevision_command(*words).stdout
