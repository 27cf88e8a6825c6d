"""``-v`` and ``-q``: on the group and on its commands, with results on stdout untouched."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from edgevision.cli import cli
from edgevision.cli.options.verbosity import verbosity, verbosity_options
from edgevision.cli.output.terminal import progress_on
from edgevision.imaging.write import write_image

DATA = Path(__file__).parents[2] / "data"
BARE = ("--input-range", "0..1", "--scores", "softmax", "--output-name", "scores", "--json")
COMMANDS = ("bench", "compare", "convert", "evaluate", "generate", "predict", "selftest", "tune")
LOG = logging.getLogger("edgevision")
NOISY = """\
import logging, os, click
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.terminal import without_noise

@click.command()
@verbosity_options
def command():
    with without_noise():
        os.write(2, b'noise')
        logging.getLogger('edgevision').info('reason')
    print('result')

command()
"""


@click.group()
@verbosity_options
def group() -> None: ...


@group.command()
@verbosity_options
def work() -> None:
    LOG.debug("detail")
    LOG.info("reason")
    LOG.warning("warning")
    with progress_on(sys.stderr) as progress:
        if progress is not None:
            progress("stage", 0, 1)
    click.echo(f"result {verbosity()}")


@pytest.mark.parametrize(
    ("words", "stdout", "stderr"),
    [
        ("work -v", "result 1", ["reason", "warning", "stage"]),
        ("-v work", "result 1", ["reason", "warning", "stage"]),
        ("work -vv", "result 2", ["detail", "reason", "warning", "stage"]),
        ("-v work -v", "result 2", ["detail", "reason", "warning", "stage"]),
        ("work -q", "result -1", []),
        ("-q work", "result -1", []),
        ("-q work -q", "result -1", []),
    ],
)
def test_the_log_and_progress_go_to_stderr(words: str, stdout: str, stderr: list[str]) -> None:
    before = LOG.level, list(LOG.handlers), LOG.propagate
    result = CliRunner().invoke(group, words.split())
    assert result.stdout == f"{stdout}\n"
    assert result.stderr == "".join(f"edgevision: {line}\n" for line in stderr)
    assert (LOG.level, LOG.handlers, LOG.propagate) == before


@pytest.mark.parametrize("words", ["work -v -q", "-v work -q", "-q work -v"])
def test_quiet_and_verbose_contradict_each_other(words: str) -> None:
    result = CliRunner().invoke(group, words.split())
    assert result.exit_code == 2
    assert "-q and -v contradict each other" in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_runs_models_has_both(name: str) -> None:
    text = CliRunner().invoke(cli, [name, "--help"]).output
    assert "-v, --verbose" in text
    assert "-q, --quiet" in text


def test_the_log_is_shown_while_the_noise_of_libraries_is_hidden() -> None:
    done = subprocess.run([sys.executable, "-c", NOISY, "-v"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("result\n", "edgevision: reason\n")


@pytest.mark.parametrize("words", [("predict", "-v"), ("-v", "predict")])
def test_predict_logs_its_backend_and_keeps_its_json_clean(edgevision_command, tmp_path: Path, words) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    write_image(tmp_path / "image.png", np.zeros((8, 8, 3), np.uint8))
    model = DATA / "tiny.tflite"
    done = edgevision_command(*words, model, "image.png", *BARE)
    assert f"edgevision: {model}: on tflite: the first available backend" in done.stderr
    assert json.loads(done.stdout)["backend"] == "tflite"
    assert "on tflite" not in edgevision_command("predict", model, "image.png", *BARE).stderr
