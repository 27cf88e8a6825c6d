"""``evaluate`` counts what it leaves out: other files of the folder, and images that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgevision.cli.evaluate import command
from edgevision.errors import InputError
from edgevision.imaging.write import write_image
from evaluation.tiny_bundle import LABELS, write_tiny_bundle

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(25):
        path = tmp_path / "data" / LABELS[number % 5] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, random.integers(0, 256, (8, 8, 3), np.uint8))
    (tmp_path / "data" / "a" / "film.mp4").touch()
    return tmp_path / "data"


def _evaluate(tmp_path: Path, data: Path, *words: object) -> Result:
    bundle = tmp_path / "tiny.evb"
    if not bundle.exists():
        write_tiny_bundle(bundle)
    return CliRunner().invoke(command, [str(bundle), str(data), *map(str, words)], standalone_mode=False)


def _document(done: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_other_files_are_counted_in_text_and_json(tmp_path: Path, data: Path) -> None:
    done = _evaluate(tmp_path, data, "--json")
    assert done.exception is None
    document = _document(done)
    assert (document["data"]["images"], document["data"]["other_files"]) == (25, 1)
    assert document["left_out"] == [
        {"file": str(data / "a" / "film.mp4"), "reason": document["left_out"][0]["reason"]}
    ]
    assert "left out 1 file: 1 .mp4 (video" in done.stderr
    assert "left out 1 file: 1 .mp4 (video" in _evaluate(tmp_path, data).stderr


def test_images_that_cannot_be_read_are_counted_and_the_others_measured(tmp_path: Path, data: Path) -> None:
    whole = _document(_evaluate(tmp_path, data, "--json"))
    broken = data / LABELS[2] / "02.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    done = _evaluate(tmp_path, data, "--json", "--save", tmp_path / "out")
    assert isinstance(done.exception, InputError)
    assert "1 of 25 images could not be used" in str(done.exception)
    document = _document(done)
    assert (document["data"]["images"], document["data"]["other_files"]) == (24, 2)
    assert [Path(left["file"]).name for left in document["left_out"]] == ["film.mp4", "02.png"]
    assert "damaged or cut short" in document["left_out"][1]["reason"]
    worst = [row["image"] for row in document["worst"]]
    assert [name for name in worst if name not in [row["image"] for row in whole["worst"]]] == []
    first = sorted(path.name for path in (tmp_path / "out").iterdir())[1]
    assert first == f"worst-01-{Path(worst[0]).stem}.png"


def test_a_set_of_which_nothing_can_be_read_is_an_error(tmp_path: Path, data: Path) -> None:
    for path in data.rglob("*.png"):
        path.write_bytes(b"no picture")
    done = _evaluate(tmp_path, data)
    assert isinstance(done.exception, InputError)
    assert done.stdout == ""
