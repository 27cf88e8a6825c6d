"""``edgevision bench`` as people and programs meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevision.imaging.decode import read_image

DATA = Path(__file__).parents[1] / "data"
COMMAND = ("bench", DATA / "tiny.tflite", "--seconds", 0.2, "--frame", "32x24", "--backend", "tflite")
BARE = ("--input-range", "0..1", "--scores", "softmax", "--output-name", "scores")


@pytest.fixture(autouse=True)
def _runtime() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


def test_a_table_of_stages_ends_with_the_bare_runtime(edgevision_command) -> None:
    done = edgevision_command(*COMMAND, *BARE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for stage in (
        "decode",
        "resize",
        "normalise",
        "copy",
        "invoke",
        "postprocess",
        "whole call",
        "bare runtime",
    ):
        assert any(line.startswith(stage) for line in lines), stage
    assert "decode: a JPEG of the frame; not part of the whole call, which begins with pixels" in done.stdout
    assert "whole call / bare runtime: " in done.stdout
    assert "% of the machine's ceiling" in done.stdout


def test_programs_get_json_and_a_picture(edgevision_command, tmp_path: Path) -> None:
    done = edgevision_command(*COMMAND, *BARE, "--json", "--plot", "bench.png", "--threads", 1)
    document = json.loads(done.stdout)
    assert (document["task"], document["threads"], document["sustained"]) == ("classify", 1, None)
    assert document["stages"]["invoke"]["wall_ms"]["p99"] >= document["stages"]["invoke"]["wall_ms"]["p50"]
    assert read_image(tmp_path / "bench.png").shape[1] == 960
    assert "edgevision: timing stages" in done.stderr.splitlines()
    assert "timing" not in edgevision_command(*COMMAND, *BARE, "--json", "-q").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--deadline-ms", 5), "--sustained"),
        (("--plot", "bench.pdf"), "expected a file name that ends in"),
        (("--batch", 0), "--batch"),
        (("--frame", "large"), "WIDTHxHEIGHT"),
    ],
)
def test_invalid_options_are_refused(edgevision_command, words: tuple[object, ...], message: str) -> None:
    done = edgevision_command(*COMMAND, *BARE, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_missing_folder_for_the_chart_is_reported_before_anything_is_timed(
    edgevision_command,
) -> None:
    done = edgevision_command(*COMMAND, *BARE, "--plot", "absent/bench.png")
    assert done.returncode == 12
    assert "the folder absent does not exist; run: mkdir -p absent" in done.stderr
    assert done.stdout == ""
