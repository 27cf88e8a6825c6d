"""Completion as a shell asks for it: names, fast, and nothing at all where something is broken."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgevision.artifact import PRECISIONS

MINE = '[my-camera]\ndescription = "ours"\nbackend = "tflite"\nformat = "tflite"\nprecisions = ["int8"]\n'
TARGETS = ("convert", "--target")
#: Prints which of the runtimes and converters a completion has imported.
RUN_AND_LIST_MODULES = """\
import sys
from edgevision.cli import main
sys.argv = ["edgevision"]
try:
    main()
finally:
    heavy = ("ai_edge_litert", "openvino", "onnxruntime", "tensorflow", "keras")
    print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture
def complete(edgevision_command):
    """The names that bash offers for the last of the words."""

    def run(*words: object, **environment: str) -> list[str]:
        done = edgevision_command(
            COMP_WORDS=" ".join(["edgevision", *map(str, words)]),
            COMP_CWORD=str(len(words)),
            _EDGEVISION_COMPLETE="bash_complete",
            **environment,
        )
        assert done.stderr == ""
        assert done.returncode == 0
        return [line.partition(",")[2] for line in done.stdout.split()]

    return run


def _bundle(path: Path) -> Path:
    artifacts = [{"precision": "float16"}, {"precision": "int8"}, {"precision": "int8"}]
    files = {"manifest.json": json.dumps({"artifacts": artifacts}), "labels.txt": "cat\ndog\n"}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_commands_are_offered(complete) -> None:
    assert complete("ev") == ["evaluate"]
    assert {"backends", "convert", "tune"} <= set(complete(""))


def test_options_are_offered(complete) -> None:
    assert complete("convert", "--max-d") == ["--max-drop", "--max-detections"]


def test_targets_are_offered_with_those_of_the_callers_files(complete, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    assert complete(*TARGETS, "rasp") == ["raspberry-pi-4", "raspberry-pi-5"]
    assert complete("convert", "--targets-file", "mine.toml", "--target", "my") == ["my-camera"]
    assert complete(*TARGETS, "my", EDGEVISION_TARGETS="mine.toml") == ["my-camera"]


def test_zsh_gets_descriptions(edgevision_command) -> None:
    done = edgevision_command(
        COMP_WORDS="edgevision convert --target raspberry-pi-5",
        COMP_CWORD="3",
        _EDGEVISION_COMPLETE="zsh_complete",
    )
    kind, name, description = done.stdout.splitlines()
    assert (kind, name) == ("plain", "raspberry-pi-5")
    assert description.startswith("Raspberry Pi 5")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_line_of_the_help_prints_a_script_for_the_shell(edgevision_command, shell: str) -> None:
    done = edgevision_command(_EDGEVISION_COMPLETE=f"{shell}_source")
    assert f"_EDGEVISION_COMPLETE={shell}_complete" in done.stdout
    assert "_EDGEVISION_COMPLETE=bash_source" in edgevision_command("--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "--backend"),
        ("generate", "--backend"),
        ("bench", "--backend"),
        ("tune", "--backend"),
        ("selftest", "--backend"),
        ("evaluate", "--backend"),
        ("compare", "--backend-a"),
        ("compare", "--backend-b"),
    ],
    ids=" ".join,
)
def test_backends_are_offered(complete, words: tuple[str, ...]) -> None:
    assert {"onnx", "openvino", "tflite"} <= set(complete(*words, ""))
    assert complete(*words, "open") == ["openvino"]


@pytest.mark.parametrize("command", ["convert", "predict", "bench"])
def test_decoders_are_offered(complete, command: str) -> None:
    assert complete(command, "--decoder", "heat") == ["heatmap"]


@pytest.mark.parametrize("name", ["folder.evb", "file.zip"])
def test_precisions_and_labels_are_those_of_the_bundle(complete, tmp_path: Path, name: str) -> None:
    bundle = _bundle(tmp_path / name)
    assert complete("predict", bundle, "--precision", "") == ["float16", "int8"]
    assert complete("compare", "absent.evb", bundle, "x", "--precision-b", "") == ["float16", "int8"]
    assert complete("compare", "absent.evb", bundle, "x", "--precision-a", "") == list(PRECISIONS)
    assert complete("generate", bundle, "--condition", "d") == ["dog"]


def test_precisions_that_can_be_made_are_offered(complete) -> None:
    assert complete("convert", "--precision", "") == ["auto", *PRECISIONS]


def test_classes_are_those_of_the_labels_or_the_folders(complete, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    for name in ("malign", "benign"):
        (tmp_path / "set" / name).mkdir(parents=True)
    assert complete("convert", "--labels", "labels.txt", "--positive", "") == ["cat", "dog"]
    assert complete("convert", "--evaluation", "set", "--positive", "") == ["benign", "malign"]
    assert complete("convert", "--calibration", "set", "--positive", "m") == ["malign"]


@pytest.mark.parametrize(
    "words",
    [
        ("convert", "--targets-file", "absent.toml", "--target", ""),
        ("convert", "--labels", "absent.txt", "--positive", ""),
        ("convert", "--evaluation", "absent", "--positive", ""),
        ("convert", "--positive", ""),
        ("generate", "absent.evb", "--condition", ""),
        ("generate", "--condition", ""),
    ],
    ids=" ".join,
)
def test_where_nothing_is_known_nothing_is_offered(complete, words: tuple[str, ...]) -> None:
    assert complete(*words) == []


def test_a_damaged_bundle_leaves_all_precisions(complete, tmp_path: Path) -> None:
    (tmp_path / "damaged.evb").write_text("no zip")
    assert complete("predict", "damaged.evb", "--precision", "") == list(PRECISIONS)
    assert complete("generate", "damaged.evb", "--condition", "") == []


def test_a_broken_plugin_neither_prints_nor_hides_the_others(complete, tmp_path: Path) -> None:
    (tmp_path / "broken_plugin.py").write_text("print('loading')\nraise RuntimeError('broken')\n")
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[edgevision]\nbroken = broken_plugin\n")
    environment = {"PYTHONPATH": str(tmp_path)}
    assert complete("predict", "--backend", "tf", **environment) == ["tflite"]
    assert complete("ev", **environment) == ["evaluate"]


@pytest.mark.parametrize("words", ["convert --target ", "predict --backend ", "convert --decoder "])
def test_no_runtime_is_imported(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", f"edgevision {words}")
    monkeypatch.setenv("COMP_CWORD", "3")
    monkeypatch.setenv("_EDGEVISION_COMPLETE", "bash_complete")
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST_MODULES], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) > 3
    assert done.stderr.splitlines() == ["[]"]
