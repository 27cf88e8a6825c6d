"""``edgevision batch``: what it prints, writes and returns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from batching.image_folders import write_images
from evaluation.tiny_bundle import write_tiny_bundle

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    write_tiny_bundle(folder / "tiny.evb")
    write_images(folder / "images", 20)
    return folder


def test_it_says_what_is_in_the_table_and_ends_with_3_where_images_failed(
    folder: Path, edgevision_command: Run
) -> None:
    words = ("batch", "tiny.evb", "images", "-o", "out", "--format", "jsonl", "--top", 2)
    done = edgevision_command(*words, cwd=folder)
    assert done.returncode == 3
    assert done.stdout == "21 images\nout: 20 ok, 1 failed, 0 abstained\n"
    assert "1 of 21 images could not be used: see the column 'status' of out" in done.stderr
    rows = [json.loads(line) for line in (folder / "out" / "part-000000.jsonl").read_text().splitlines()]
    assert [len(row["result"]["classes"]) for row in rows if row["status"] == "ok"] == [2] * 20
    again = edgevision_command(*words, "--json", cwd=folder)
    assert json.loads(again.stdout)["reused"] == 21


def test_an_evaluation_prints_what_evaluate_prints(folder: Path, edgevision_command: Run) -> None:
    first = edgevision_command("evaluate", "tiny.evb", "images", cwd=folder)
    second = edgevision_command("batch", "tiny.evb", "images", "-o", "metrics", "--evaluate", cwd=folder)
    assert (first.returncode, second.returncode) == (3, 3), second.stderr
    assert first.stdout == second.stdout
    assert "1 of 21 images could not be used" in second.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nothing", "-o", "a"), 3, "nothing: does not exist"),
        (("images", "-o", "tiny.evb"), 12, "tiny.evb"),
        (("images", "-o", "b", "--engine", "cloud"), 6, "no executor 'cloud'; available: local, ray"),
        (("images", "-o", "c", "--score-threshold", "0.5"), 2, "no argument 'score_threshold'"),
        (("images", "-o", "d", "--device", "cuda:0", "--backend", "tflite"), 7, "cuda:0"),
    ],
)
def test_what_is_wrong_is_one_line_with_an_exit_code(
    words: tuple[str, ...], code: int, message: str, folder: Path, edgevision_command: Run
) -> None:
    done = edgevision_command("batch", "tiny.evb", *words, "--format", "jsonl", cwd=folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_keeps_what_was_written(folder: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: what is there stays whole, and another run goes on."""
    program = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "sys.argv = ['edgevision', *sys.argv[1:]]\n"
        "runpy.run_module('edgevision', run_name='__main__')\n"
    )
    words = ["batch", str(folder / "tiny.evb"), str(folder / "images"), "-o", "out", "--format", "jsonl"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 12, done.stderr
    assert "part-000000.jsonl: cannot be written" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_batch.json"]
