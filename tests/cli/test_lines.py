"""A file name or a label cannot forge a line of output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgevision.cli.lines import one_line
from edgevision.cli.output.tables import echo_table
from edgevision.imaging.write import write_image
from tiny_bundles import classifier_artifact, write_artifacts

FORGED = "a\nother.png  pear 99.9%\x1b[2K\r\u202egnp.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 猫\u00a0\u202f", "plain ä 猫\u00a0\u202f"),
        ("a\nb", "a\\nb"),
        ("a\r\x1b[2Kb", "a\\r\\x1b[2Kb"),
        ("a\x85b\u2028c\u2029d", "a\\x85b\\u2028c\\u2029d"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\ud800b", "a\\ud800b"),
        ("", ""),
    ],
)
def test_what_would_leave_its_line_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_cell_of_a_table_stays_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    echo_table(("label", "share"), [("a\nb", "1"), ("c", "2")])
    assert capsys.readouterr().out.splitlines() == ["label  share", "a\\nb   1", "c      2"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    (tmp_path / "in").mkdir()
    pixels = np.zeros((8, 8, 3), np.uint8)
    write_image(tmp_path / "plain.png", pixels)
    os.rename(tmp_path / "plain.png", tmp_path / "in" / FORGED)  # noqa: PTH104
    (tmp_path / "in" / ("broken\nimage.png")).write_bytes(b"no image")
    (tmp_path / "in" / ("left\nout.txt")).write_bytes(b"")
    return tmp_path


def _run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgevision", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_predict_prints_one_line_per_image(folder: Path) -> None:
    done = _run("predict", "-v", "tiny.evb", "in", folder=folder)
    assert done.returncode == 3
    (line,) = done.stdout.splitlines()
    assert line.startswith("in/a\\nother.png  pear 99.9%\\x1b[2K\\r\\u202egnp.png  ")
    assert not any(line.startswith(("image.png", "out.txt")) for line in done.stderr.splitlines())
    assert "in/broken\\nimage.png: " in done.stderr
    assert not set("\x1b\r\u202e") & set(done.stdout + done.stderr)


def test_json_holds_the_name_itself_and_the_digest_of_the_bundle(folder: Path) -> None:
    done = _run("predict", "--json", "tiny.evb", f"in/{FORGED}", folder=folder)
    (line,) = done.stdout.splitlines()
    record = json.loads(line)
    assert record["image"] == f"in/{FORGED}"
    assert (
        record["bundle_digest"] == json.loads((folder / "tiny.evb" / "manifest.json").read_text())["digest"]
    )


@pytest.mark.parametrize("command", ["inspect", "predict", "selftest", "report", "verify"])
def test_an_error_about_a_forged_name_is_one_line(folder: Path, command: str) -> None:
    more = {"predict": ["x.png"], "report": ["-o", "x.html"]}.get(command, [])
    done = _run(command, f"{FORGED}.evb", *more, folder=folder)
    assert done.returncode not in (0, 1)
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr
