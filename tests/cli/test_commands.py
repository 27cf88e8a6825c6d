"""The command line as people and programs meet it: a process of its own, its output and exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from edgevision import cli, errors
from edgevision.bundle.storage import read_bundle
from edgevision.evidence.document import read_evidence
from edgevision.imaging.write import write_image

convert = pytest.mark.convert
DATA = Path(__file__).parents[1] / "data"


def _schema(name: str) -> dict[str, object]:
    return json.loads(files("edgevision.schemas").joinpath(name).read_text())


def _error_line(done, code: int) -> str:
    """The one line that a failed command prints on stderr."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = [
        line for line in done.stderr.splitlines() if not line.startswith("INFO: Created TensorFlow Lite")
    ]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_help_names_every_command_and_exit_code_without_importing_one(edgevision_command) -> None:
    done = edgevision_command("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in cli.COMMANDS)
    codes = {kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    assert all(f"{code} " in done.stdout for code in codes)


def test_without_a_command_the_help_is_shown(edgevision_command) -> None:
    done = edgevision_command()
    assert (done.returncode, done.stdout) == (0, edgevision_command("--help").stdout)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_explains_itself(edgevision_command, name: str) -> None:
    done = edgevision_command(name, "--help")
    assert done.returncode == 0
    assert "Usage: edgevision" in done.stdout


def test_help_loads_neither_numpy_nor_an_image_library() -> None:
    code = (
        "import sys, edgevision.cli as c\n"
        "try: c.cli.main(['--help'], standalone_mode=False)\n"
        "finally: print([m for m in ('numpy', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


def test_backends_is_a_table_for_people_and_json_for_programs(edgevision_command) -> None:
    table = edgevision_command("backends").stdout
    document = json.loads(edgevision_command("backends", "--json").stdout)
    rows = {row["name"]: row for row in document["backends"]}
    assert {"tflite", "openvino", "cuda", "onnx"} <= set(rows)
    assert all(name in table for name in rows)
    assert document["problems"] == []
    for row in rows.values():
        assert row["devices"] if row["ready"] else "pip install" in row["reason"] or row["reason"]


def test_a_plugin_can_be_left_out(edgevision_command) -> None:
    document = json.loads(
        edgevision_command("backends", "--json", EDGEVISION_DISABLE_PLUGINS="cuda,openvino").stdout
    )
    assert {row["name"] for row in document["backends"]} == {"onnx", "tflite"}


def test_targets_is_a_table_for_people_and_json_for_programs(edgevision_command, tmp_path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[my-camera]\ndescription = "ours"\nbackend = "tflite"\nformat = "tflite"\nprecisions = ["int8"]\n'
    )
    assert "my-camera" in edgevision_command("targets", "--targets-file", mine).stdout
    rows = json.loads(edgevision_command("targets", "--json", EDGEVISION_TARGETS=str(mine)).stdout)
    assert rows[-1]["name"] == "my-camera"


@convert
def test_inspect_shows_a_person_what_is_in_a_bundle(quickstart, edgevision_command) -> None:
    done = edgevision_command("inspect", "quickstart/digits.evb", cwd=quickstart)
    assert done.returncode == 0
    for word in (
        "digits.keras",
        "tflite-int8",
        "softmax",
        "stretch to 32x32",
        "agreement",
        "all digests match",
    ):
        assert word in done.stdout


@convert
def test_inspect_prints_documents_that_match_their_published_schemas(quickstart, edgevision_command) -> None:
    document = json.loads(
        edgevision_command("inspect", "quickstart/digits.evb", "--json", cwd=quickstart).stdout
    )
    jsonschema.validate(document["manifest"], _schema("manifest.schema.json"))
    jsonschema.validate(document["evidence"], _schema("evidence.schema.json"))
    assert document["digest"] == document["manifest"]["digest"]
    assert document["signed"] is False


@convert
def test_predict_prints_one_json_object_per_line_and_continues_after_a_broken_image(
    quickstart, edgevision_command, tmp_path
) -> None:
    sevens = sorted((quickstart / "quickstart" / "evaluation" / "7").iterdir())[:3]
    for path in sevens:
        shutil.copy(path, tmp_path)
    (tmp_path / "0000.png").write_text("no image")
    done = edgevision_command(
        "predict", quickstart / "quickstart" / "digits.evb", ".", "--json", "--top", "2"
    )
    assert done.returncode == 3
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["image"]).name for row in rows] == ["0000.png", *(path.name for path in sevens)]
    assert "0000.png" in rows[0]["error"]
    assert "classes" not in rows[0]
    assert all(len(row["classes"]) == 2 and row["backend"] == "tflite" for row in rows[1:])
    assert "1 of 4 images could not be used" in done.stderr


@convert
def test_predict_runs_the_backend_that_is_asked_for_and_checks_known_answers(
    quickstart, edgevision_command
) -> None:
    seven = next((quickstart / "quickstart" / "evaluation" / "7").iterdir())
    for backend in ("tflite", "openvino", "onnx"):
        done = edgevision_command(
            "predict",
            "quickstart/digits.evb",
            seven,
            "--backend",
            backend,
            "--selftest",
            "--json",
            cwd=quickstart,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["backend"] == backend


@convert
def test_options_for_bare_files_are_refused_for_a_bundle(quickstart, edgevision_command) -> None:
    done = edgevision_command(
        "predict", "quickstart/digits.evb", "quickstart/evaluation", "--input-range", "0..1", cwd=quickstart
    )
    assert "a bundle defines its own preprocessing and labels" in _error_line(done, 2)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("predict", "absent.evb", "."), 3, "no images found"),
        (("predict", "absent.evb", DATA.parent / "data" / "README.md"), 5, "there is no such bundle"),
        (("predict", DATA / "tiny.tflite", DATA / "README.md"), 2, "--input-range"),
        (("inspect", "absent.evb"), 5, "there is no such bundle"),
        (("targets", "--targets-file", "absent.toml"), 2, "cannot be read"),
        (("generate", DATA / "tiny.tflite", "-o", "out"), 2, "expected a bundle, got a bare model file"),
        (("predict", DATA / "tiny.tflite", "absent"), 3, "absent: does not exist"),
        (("inspect", DATA / "README.md"), 5, "is not a bundle"),
        (("inspect", DATA / "tiny.tflite"), 5, "is not a bundle"),
        (("inspect", DATA), 5, "is not a bundle"),
        (("predict", "m.tflite", ".", "--overwrite"), 2, "--overwrite requires --save FOLDER"),
        (("predict", "m.tflite", ".", "--top", "0"), 2, "0 is not in the range x>=1; run edgevision predict"),
        (("frobnicate",), 2, "No such command 'frobnicate'; run edgevision --help"),
        (("predct",), 2, "No such command 'predct'. (Did you mean 'predict'?); run edgevision --help"),
        (("predict",), 2, "Missing argument 'MODEL'; run edgevision predict --help"),
        (("predict", "m.tflite", ".", "--input-range", "0-1"), 2, "expected LOW..HIGH such as 0..255"),
        (("convert", "m.keras", "-o", "m.evb", "--evaluation", "."), 2, "no target; pass --target NAME"),
        (
            *(("convert", "m.keras", "-o", "m.evb", "--target", "onnx-cpu", "--task", "depht"), 6),
            "no task 'depht'; did you mean 'depth'?",
        ),
        (
            ("convert", "m.keras", "-o", "m.evb", "--evaluation", ".", "--target", "raspbery-pi5"),
            2,
            "did you mean 'raspberry-pi-5'?",
        ),
        (
            ("convert", "m.keras", "-o", "m.evb", "--evaluation", ".", "--target", "generic-cpu"),
            4,
            "m.keras: no such file or directory",
        ),
        (
            ("convert", "m.keras", "-o", "x/m.evb", "--evaluation", ".", "--target", "generic-cpu"),
            12,
            "run: mkdir -p x",
        ),
    ],
    ids=lambda value: " ".join(map(str, value[:3])) if isinstance(value, tuple) else None,
)
def test_a_wrong_call_is_one_line_and_a_documented_exit_code(
    edgevision_command, words, code, message
) -> None:
    assert message in _error_line(edgevision_command(*words), code)


def test_an_internal_error_is_one_line_and_the_way_to_a_traceback(edgevision_command) -> None:
    assert cli.TRACEBACK_VARIABLE == "EDGEVISION_TRACEBACK"
    code = (
        "import edgevision.cli as c, edgevision.cli.targets as t\n"
        "t.load_targets = lambda files: 1 / 0\n"
        "import sys; sys.argv = ['edgevision', 'targets']; c.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "edgevision: internal error: ZeroDivisionError: division by zero; "
        "run again with EDGEVISION_TRACEBACK=1 for the traceback, and please report it"
    ]
    environment = {**os.environ, "EDGEVISION_TRACEBACK": "1"}
    traced = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" in traced.stderr


@pytest.mark.parametrize(("signum", "code", "message"), [(2, 130, "interrupted"), (15, 143, "")])
def test_an_interrupted_command_ends_with_the_signals_exit_code(signum: int, code: int, message: str) -> None:
    script = (
        "import edgevision.cli as c, edgevision.cli.targets as t, os, sys, time\n"
        f"t.load_targets = lambda files: os.kill(os.getpid(), {signum}) or time.sleep(60)\n"
        "sys.argv = ['edgevision', 'targets']; c.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_restore_sigint,
        timeout=50,
    )
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.strip() == (f"edgevision: {message}" if message else "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgevision", "targets"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (
        errors.OutputError.exit_code,
        "edgevision: the output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        "targets --json",
        "convert --help",
        f"predict {DATA / 'tiny.tflite'} images --json --input-range 0..1 --scores softmax "
        "--output-name scores",
    ],
    ids=lambda words: words.split()[0],
)
def test_a_closed_pipe_ends_a_command_without_an_error(tmp_path: Path, words: str) -> None:
    if words.startswith("predict"):
        pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "0.png", np.zeros((8, 8, 3), np.uint8))
    for place in range(1, 1000):  # their lines are more than a pipe holds
        (tmp_path / "images" / f"{place}.png").hardlink_to(tmp_path / "images" / "0.png")
    command = f"{sys.executable} -m edgevision {words} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = [
        line for line in done.stderr.splitlines() if not line.startswith("INFO: Created TensorFlow Lite")
    ]
    assert (done.returncode, lines) == (0, [])
    assert len(done.stdout.splitlines()) == 1


def _convert_words(folder: Path, output: str, *more: str) -> list[str]:
    source = folder / "quickstart"
    return [
        *("convert", str(source / "digits.keras"), "--target", "generic-cpu", "-o", output),
        *("--evaluation", str(source / "evaluation"), *more),
    ]


@convert
def test_convert_writes_a_bundle_whose_evidence_it_prints(quickstart, edgevision_command, tmp_path) -> None:
    words = _convert_words(quickstart, "digits.evb", "--precision", "float32", "--json")
    done = edgevision_command(*words)
    assert done.returncode == 0, done.stderr
    bundle = read_bundle(tmp_path / "digits.evb")
    assert done.stdout == bundle.read(bundle.manifest.evidence).decode()
    evidence = read_evidence(done.stdout, "stdout")
    assert evidence.results[0].comparison.agreement >= 0.999
    noise = [line for line in done.stderr.splitlines() if not line.startswith("edgevision: ")]
    assert noise == [], "the libraries' noise is kept from the terminal"


@convert
def test_too_little_agreement_is_shown_and_nothing_is_written(
    quickstart, edgevision_command, tmp_path
) -> None:
    calibration = str(quickstart / "quickstart" / "training" / "1")
    words = _convert_words(
        quickstart,
        "digits.evb",
        "--calibration",
        calibration,
        "--calibration-samples",
        "2",
        "--precision",
        "int8",
        "--min-agreement",
        "0.99",
    )
    done = edgevision_command(*words)
    assert done.returncode == 11, done.stdout + done.stderr
    assert re.search(r"agreement +at least 99.00 % .* failed", done.stdout)
    assert "nothing was written" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def _restore_sigint() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@convert
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_conversion_leaves_nothing_behind(quickstart, tmp_path, signum) -> None:
    # Calibration for int8 takes seconds: the signal arrives in the middle of that.
    calibration = str(quickstart / "quickstart" / "training")
    words = _convert_words(quickstart, "digits.evb", "--calibration", calibration)
    words += ["--precision", "float32", "--precision", "int8"]
    command = [sys.executable, "-m", "edgevision", *words]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=_restore_sigint
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "converting" in line:
                break
        time.sleep(0.3)
        process.send_signal(signum)
        rest = process.stderr.read()
    assert process.returncode == (130 if signum == signal.SIGINT else 128 + signal.SIGTERM)
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


@convert
def test_a_progress_bar_is_shown_on_a_terminal(quickstart, tmp_path) -> None:
    import pty

    primary, secondary = pty.openpty()
    words = _convert_words(quickstart, "digits.evb", "--precision", "float32", "--evaluation-samples", "20")
    with subprocess.Popen(
        [sys.executable, "-m", "edgevision", *words],
        cwd=tmp_path,
        stderr=secondary,
        stdout=subprocess.DEVNULL,
    ) as process:
        os.close(secondary)
        shown = b""
        while True:
            try:
                part = os.read(primary, 4096)
            except OSError:
                break
            if not part:
                break
            shown += part
    os.close(primary)
    assert process.returncode == 0
    assert b"converting to tflite-float32" in shown
    assert b"100%" in shown
    assert np.sum([word in shown for word in (b"tensorflow", b"WARNING", b"I0000")]) == 0


@convert
def test_a_pipe_closed_by_head_ends_inspect_without_an_error(quickstart: Path) -> None:
    command = (
        f"{sys.executable} -m edgevision inspect quickstart/digits.evb | head -n 1; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=quickstart, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
