"""``edgevision convert`` where some artifacts fail: the table, what is missing, and the exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.bundle.storage import read_bundle

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

HELPERS = Path(__file__).parents[1] / "conversion"

PLUGIN = """
from edgevision import hookimpl
from edgevision.errors import ConversionError
from tiny_conversion import TinyConverter, TinyReader

def refuse():
    raise ConversionError("float16: not today")

@hookimpl
def edgevision_readers():
    return [TinyReader()]

@hookimpl
def edgevision_converters():
    return [TinyConverter(float16=refuse)]
"""


@pytest.fixture
def convert(tmp_path: Path, edgevision_command):
    """Convert the tiny network with an installed plugin, in a folder of its own."""
    site = tmp_path / "site"
    metadata = site / "tiny_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "tiny_plugin.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[edgevision]\ntiny = tiny_plugin\n")
    (tmp_path / "model.tiny").write_bytes(b"")
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    for number in range(20):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), random.integers(0, 256, (8, 8, 3), np.uint8))
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd\ne\n")
    words = ["convert", "model.tiny", "--target", "generic-cpu", "--evaluation", "images", "-o", "model.evb"]
    words += ["--output-name", "scores", "--labels", str(labels)]
    path = os.pathsep.join([str(site), str(HELPERS), os.environ.get("PYTHONPATH", "")])
    return lambda *more: edgevision_command(*words, *more, PYTHONPATH=path.rstrip(os.pathsep))


BOTH = ("--precision", "float16", "--precision", "float32")


def test_the_table_is_shown_and_nothing_is_written(convert, tmp_path: Path) -> None:
    done = convert(*BOTH)
    assert done.returncode == 15, done.stdout + done.stderr
    assert "tflite-float32  tflite cpu" in done.stdout
    assert "missing: tflite-float16 for generic-cpu: float16: not today" in done.stdout
    assert "wrote" not in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "artifacts passed" in line]
    assert line.startswith(
        "edgevision: 1 of 2 artifacts passed; nothing was written; pass --keep-passing to write "
        "tflite-float32; missing: float16: not today"
    )
    assert not (tmp_path / "model.evb").exists()


def test_those_that_pass_are_written_on_request_and_the_exit_code_still_says_so(
    convert, tmp_path: Path
) -> None:
    done = convert(*BOTH, "--keep-passing")
    assert done.returncode == 15, done.stdout + done.stderr
    assert done.stdout.endswith("wrote model.evb\n")
    assert done.stderr.splitlines()[-1] == (
        "edgevision: model.evb was written without tflite-float16: float16: not today"
    )
    assert [entry.id for entry in read_bundle(tmp_path / "model.evb").manifest.artifacts] == [
        "tflite-float32"
    ]
    assert convert("--precision", "float32", "--keep-passing", "--force").returncode == 0


def test_the_json_lists_what_is_missing(convert) -> None:
    done = convert(*BOTH, "--json")
    assert done.returncode == 15
    assert json.loads(done.stdout)["missing"] == [
        {"artifact": "tflite-float16", "targets": ["generic-cpu"], "reason": "float16: not today"}
    ]


def test_a_single_artifact_keeps_the_exit_code_of_its_failure(convert) -> None:
    done = convert("--precision", "float16")
    assert done.returncode == 10
    assert done.stderr.splitlines()[-1] == "edgevision: float16: not today"


def test_what_the_images_do_not_show_exits_with_13_unless_it_is_accepted(convert, tmp_path: Path) -> None:
    words = ("--precision", "float32", "--min-agreement", "0.9")
    done = convert(*words)
    assert done.returncode == 13, done.stdout + done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("edgevision: images: 20 images cannot show that the agreement is at least 90.00 %")
    assert "pass --evaluation with at least 3" in line
    assert not (tmp_path / "model.evb").exists()
    done = convert(*words, "--accept-not-shown")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not shown, accepted" in done.stdout
    assert done.stdout.endswith("wrote model.evb\n")
    shown = json.loads((tmp_path / "model.evb" / "evidence.json").read_text())["results"][0]
    assert (shown["status"], shown["accepted_not_shown"], shown["passed"]) == ("not shown", True, False)
