"""Sources that kill, hang, fill or take over the process that reads them: ``convert`` says so, and lives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from edgevision import errors
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.conversion.source_limits import SourceLimits
from edgevision.imaging.input_options import InputOptions
from edgevision.tasks.options import TaskOptions

pytest.importorskip("tensorflow", reason="needs the extra `convert`")
pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
pytestmark = pytest.mark.convert

HELPER = Path(__file__).with_name("hostile_sources.py")


class Case(NamedTuple):
    """A source, what is expected of it, and the doors that it is tried at."""

    source: str
    error: type[errors.EdgeVisionError]
    words: str
    limits: Mapping[str, float] = MappingProxyType({})
    trusted: bool = False
    doors: tuple[str, ...] = ("command line", "Python")


#: What needs TensorFlow to fail takes seconds, so each of these is tried at one door.
COMMAND_LINE, PYTHON = ("command line",), ("Python",)
CASES = [
    Case(
        "looping.h5",
        errors.SourceLimitError,
        "while the file was checked (limit reading_s: 2)",
        {"reading_s": 2},
    ),
    Case("external.h5", errors.SourceError, "is stored in another file"),
    Case("bomb.keras", errors.SourceError, "'config.json' has 73,400,327 bytes, expected 67,108,864 at most"),
    Case("pipe.keras", errors.SourceError, "expected a file or directory"),
    Case("with_pipe", errors.SourceError, "variables.index: expected a regular file"),
    Case("marks.keras", errors.UntrustedSourceError, "(Lambda) contains code"),
    Case("custom.keras", errors.SourceError, "of the custom class 'Custom'", doors=COMMAND_LINE),
    Case("huge.keras", errors.SourceError, "takes 1000000 x 1000000 x 3 values", doors=PYTHON),
    Case("writes", errors.UntrustedSourceError, "(WriteFile) accesses data outside", doors=COMMAND_LINE),
    Case("reads", errors.UntrustedSourceError, "(ReadFile) accesses data outside", doors=PYTHON),
    Case("calls_python", errors.UntrustedSourceError, "(EagerPyFunc) accesses data", doors=COMMAND_LINE),
    Case(
        "loops",
        errors.SourceLimitError,
        "while the model was read (limit reading_s: 9)",
        {"reading_s": 9},
        doors=PYTHON,
    ),
    Case(
        "fills",
        errors.SourceLimitError,
        "memory were in use, while the model was read (limit memory_gb: 2)",
        {"memory_gb": 2},
        doors=COMMAND_LINE,
    ),
    Case(
        "sleeps.keras",
        errors.SourceLimitError,
        "nothing was computed for 2 s, while the model was read (limit idle_s: 1.5)",
        {"idle_s": 1.5},
        trusted=True,
        doors=PYTHON,
    ),
    Case(
        "leaves_processes.keras",
        errors.SourceLimitError,
        "(limit total_s: 9)",
        {"total_s": 9},
        trusted=True,
        doors=COMMAND_LINE,
    ),
    Case(
        "aborts.keras",
        errors.SourceError,
        "killed by SIGABRT in a process of its own",
        trusted=True,
        doors=PYTHON,
    ),
    Case(
        "opens.keras",
        errors.SourceLimitError,
        "Too many open files: '/dev/null', while the model was read (limit open_files: 200)",
        {"open_files": 200},
        trusted=True,
        doors=COMMAND_LINE,
    ),
]
ROWS = [(case, door) for case in CASES for door in case.doors]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    done = subprocess.run(
        [sys.executable, HELPER, folder], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(10):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 256, (8, 8, 3), np.uint8))
    return folder


def _processes_with(word: str) -> list[str]:
    """Processes that were started with a word in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if word.encode() in place.read_bytes():
                found.append(place.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(("case", "door"), ROWS, ids=[f"{case.source}, {door}" for case, door in ROWS])
def test_a_hostile_source_is_refused_and_leaves_nothing(
    sources: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edgevision_command: Callable[..., subprocess.CompletedProcess[str]],
    case: Case,
    door: str,
) -> None:
    temporary, output = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    output.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(sources)  # a module beside the model
    source = sources / case.source
    if door == "command line":
        limits = [word for name, value in case.limits.items() for word in ("--limit", f"{name}={value}")]
        words = ["convert", source, "--target", "generic-cpu", "--precision", "float32", *limits]
        words += ["--evaluation", images, "--scores", "logits", "--input-range", "0..1"]
        words += ["--trust-source"] * case.trusted
        done = edgevision_command(*words, "-o", output / "model.evb", cwd=sources)
        assert done.returncode == case.error.exit_code, done.stdout + done.stderr
        message = done.stderr.splitlines()[-1]
    else:
        task = TaskOptions(image=InputOptions(value_range=(0, 1)), score_kind="logits")
        settings = ConversionSettings(
            task=task, trust_source=case.trusted, source_limits=SourceLimits(**case.limits)
        )
        named = {"targets": ["generic-cpu"], "precisions": ["float32"], "evaluation": images}
        with pytest.raises(case.error) as raised:
            convert(source, output / "model.evb", settings=settings, **named)
        message = str(raised.value)
    assert case.words in message
    assert case.source in message
    for name, value in case.limits.items():
        assert f"--limit {name}={2 * value:g} (source_limits=SourceLimits({name}={2 * value:g}))" in message
    assert not (sources / "marker").exists()
    assert not list(output.iterdir())
    assert not list(temporary.iterdir())
    assert not _processes_with(f"TMPDIR={temporary}/")
