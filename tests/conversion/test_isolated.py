"""Conversions in a process of their own, of a tiny network that needs no TensorFlow."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.bundle.storage import read_bundle
from edgevision.conversion.applied_limits import AppliedLimits
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.conversion.source_limits import SourceLimits
from edgevision.conversion.supervision import ConversionSupervisor
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import (
    CancelledError,
    ConversionError,
    EdgeVisionError,
    IncompleteConversionError,
    MissingOptionError,
    OptionError,
    PluginError,
    SourceLimitError,
)
from edgevision.evidence.document import evidence_json
from edgevision.system.process_family import ProcessFamily

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
from tiny_conversion import TinyConverter, tiny_images, tiny_plugins

HELPERS = Path(__file__).parent

#: What the converter does before it gives an artifact of float16, by the name of the model.
PLUGIN = """
import ctypes, fcntl, logging, os, time
from edgevision.execution.messages import Message
from edgevision.execution.worker import report
from contextlib import nullcontext
from pathlib import Path
from edgevision import hookimpl
from tiny_conversion import TinyConverter, TinyReader, tiny_artifact

READ = {
    # like HDF5, a library in native code that does not let other threads of Python run
    "deaf": lambda: ctypes.PyDLL(None).sleep(600),
    "sleeps": lambda: time.sleep(600),
    "raises": lambda: 1 / 0,
    "needs_too_much": lambda: bytearray(10**17),
    "lies": lambda: report(Message({"phase": "harmless", "artifact": "", "has_others": False})),
    "mumbles": lambda: report(Message({"stage": "x"})),
    "talks_in_tongues": lambda: [os.write(number, b"x" * 100) for number in range(3, 9) if writable(number)],
    "leaves": lambda: os._exit(0),
}

def writable(number):
    try:
        return fcntl.fcntl(number, fcntl.F_GETFL) & os.O_WRONLY
    except OSError:
        return False

class Reader(TinyReader):
    def read(self, path, **options):
        Path(os.environ["TMPDIR"], "leftover").write_text("of a library")
        READ.get(path.stem, lambda: None)()
        return super().read(path, **options)

class Converter(TinyConverter):
    def convert(self, source, precision, calibration):
        logging.getLogger("edgevision").warning("%d converts %s", os.getpid(), precision)
        if precision == "float16" and source.path.stem == "aborts":
            os.write(2, b"no such kernel\\n")
            os.abort()
        if precision == "float16" and source.path.stem == "fills":
            kept = [bytearray(b"x" * 10**8) for _ in range(100)]
        return super().convert(source, precision, calibration)

@hookimpl
def edgevision_readers():
    return [Reader()]

@hookimpl
def edgevision_converters():
    return [Converter()]
"""
TARGET = """
[camera]
description = "camera"
backend = "tflite"
format = "tflite"
precisions = ["float16", "float32"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed plugin."""
    folder = tmp_path / "site"
    metadata = folder / "tiny_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "tiny_plugin.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[edgevision]\ntiny = tiny_plugin\n")
    return folder


@pytest.fixture
def run(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Convert a model of this name in a process that has the plugin; this one has not imported it."""
    monkeypatch.syspath_prepend(str(HELPERS))
    monkeypatch.syspath_prepend(str(site))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "targets.toml").write_text(TARGET)

    def convert_named(name: str = "model", *precisions: str, **changes: Any) -> Any:
        source = tmp_path / f"{name}.tiny"
        source.write_bytes(b"")
        stated = {name: changes.pop(name) for name in ("evaluation", "groups", "progress") if name in changes}
        settings = ConversionSettings(targets_files=[tmp_path / "targets.toml"])
        settings = replace(settings, task=replace(settings.task, output="scores"), **changes)
        arguments = {"evaluation": tiny_images(200, 0), "precisions": precisions, **stated}
        try:
            return convert(source, tmp_path / "out.evb", targets=["camera"], settings=settings, **arguments)
        finally:
            assert not list(temporary.iterdir())
            assert not _running(temporary)

    return convert_named


def _running(temporary: Path) -> list[str]:
    """Processes whose temporary folder is in this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={temporary}/".encode() in place.read_bytes():
                found.append(place.parent.name)
        except OSError:
            continue
    return found


def _wait_for(condition: Callable[[], Any]) -> Any:
    for _ in range(600):
        if found := condition():
            return found
        time.sleep(0.05)
    return condition()


BOTH = ("float16", "float32")


def test_the_evidence_is_that_of_a_conversion_in_this_process(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []
    evidence = run("model", *BOTH, progress=lambda stage, done, total: stages.append(stage))
    assert "reading model.tiny" in stages
    assert "converting to tflite-float16" in stages
    monkeypatch.setattr("edgevision.conversion.convert.registry", lambda: tiny_plugins(TinyConverter()))
    here = run("model", *BOTH, source_limits=None, force=True)
    assert [result.comparison for result in evidence.results] == [one.comparison for one in here.results]
    assert evidence.evaluation == here.evaluation


def test_a_plugin_of_this_process_alone_converts_here(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    converted_by: list[int] = []

    class Converter(TinyConverter):
        def convert(self, *arguments: Any) -> Any:
            converted_by.append(os.getpid())
            return super().convert(*arguments)

    monkeypatch.setattr("edgevision.conversion.convert.registry", lambda: tiny_plugins(Converter()))
    run("model", "float32")
    assert converted_by == [os.getpid()]


def test_an_artifact_that_ends_the_process_is_a_failed_one_of_several(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    evidence = run("aborts", *BOTH, keep_passing=True)
    words = (
        "aborts.tiny: killed by SIGABRT in a process of its own: no such kernel, while "
        "tflite-float16 was converted; choose another --precision, or report it"
    )
    assert [(one.artifact, one.reason) for one in evidence.missing] == [("tflite-float16", words)]
    assert [entry.id for entry in read_bundle(tmp_path / "out.evb").manifest.artifacts] == ["tflite-float32"]
    with pytest.raises(IncompleteConversionError, match="no such kernel") as raised:
        run("aborts", *BOTH, force=True)
    assert [result.artifact for result in raised.value.evidence.results] == ["tflite-float32"]
    with pytest.raises(ConversionError, match=r"^.*killed by SIGABRT.*while tflite-float16 was converted"):
        run("aborts", "float16", force=True)


def test_an_artifact_that_takes_all_memory_is_a_failed_one_of_several(run: Callable[..., Any]) -> None:
    limits = SourceLimits(memory_gb=1)
    evidence = run("fills", *BOTH, keep_passing=True, source_limits=limits)
    (missing,) = evidence.missing
    assert (
        "GB of memory were in use, while tflite-float16 was converted (limit memory_gb: 1)" in missing.reason
    )
    with pytest.raises(
        SourceLimitError, match=r"--limit memory_gb=2 \(source_limits=SourceLimits\(memory_gb=2"
    ):
        run("fills", "float16", source_limits=limits, force=True)


def test_the_total_time_counts_that_of_earlier_processes() -> None:
    source = Path("model.keras")
    limits = AppliedLimits.of(SourceLimits(total_s=5), source)
    begun = time.monotonic() - 6
    with pytest.raises(SourceLimitError, match=r"before the model was read \(limit total_s: 5\)"):
        ConversionSupervisor(source, limits, ProcessFamily(), None, begun).look(os.getpid())


@pytest.mark.parametrize(("computed", "is_idle"), [(3.0, True), (0.0, False)])
def test_a_process_is_idle_only_where_the_system_says_what_it_computed(
    monkeypatch: pytest.MonkeyPatch, computed: float, is_idle: bool
) -> None:
    source, family = Path("model.keras"), ProcessFamily()
    monkeypatch.setattr(family, "processor_seconds", lambda: computed)
    supervisor = ConversionSupervisor(
        source, AppliedLimits.of(SourceLimits(idle_s=1e-3), source), family, None, time.monotonic()
    )
    supervisor.look(os.getpid())
    time.sleep(0.01)
    with pytest.raises(SourceLimitError, match="nothing was computed") if is_idle else nullcontext():
        supervisor.look(os.getpid())


def test_errors_of_the_child_come_back_as_themselves(run: Callable[..., Any]) -> None:
    with pytest.raises(MissingOptionError) as raised:
        run("model", evaluation=None)
    assert raised.value.questions == ("no images to evaluate on; pass --evaluation FOLDER",)
    with pytest.raises(
        SourceLimitError, match=r"needs_too_much.tiny: needs more memory than this machine has"
    ):
        run("needs_too_much")
    with pytest.raises(
        EdgeVisionError,
        match="reader 'tiny': read of .*raises.tiny: raised ZeroDivisionError: division by zero",
    ) as foreign:
        run("raises")
    assert foreign.value.exit_code == PluginError.exit_code


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "lies",
            r"sent what is no report \(ValueError: 'harmless' is not a valid Phase\), while the model was",
        ),
        ("mumbles", r"sent what is no report \(KeyError: 'done'\), while the model was read"),
        ("talks_in_tongues", r"a message of \d+ bytes came from another process"),
        ("leaves", r"ended with exit status 0 in a process of its own, while the model was read"),
    ],
)
def test_a_child_that_was_taken_over_misleads_nobody(run: Callable[..., Any], name: str, words: str) -> None:
    with pytest.raises(EdgeVisionError, match=words):
        run(name)


def test_what_the_progress_function_raises_ends_the_child(run: Callable[..., Any]) -> None:
    def cancel(stage: str, done: int, total: int) -> None:
        if stage.startswith("converting"):
            raise CancelledError("enough")

    with pytest.raises(CancelledError, match="^enough$"):
        run("model", progress=cancel)


def test_the_log_of_the_child_reaches_the_handlers_here(
    run: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "edgevision"):
        run("model", "float32")
    (line,) = [record.message for record in caplog.records if record.message.endswith(" converts float32")]
    assert line.split()[0] != str(os.getpid())


def _as_arrays(folder: Path) -> ImageSet:
    return ImageSet.from_arrays([cv2.imread(str(path))[..., ::-1] for path in sorted(folder.iterdir())])


def _as_archive(folder: Path) -> ImageSet:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return ImageSet.open(folder.with_suffix(".zip"))


@pytest.mark.parametrize("opened", [_as_arrays, _as_archive, ImageSet.open, str])
def test_image_sets_of_every_kind_travel(
    run: Callable[..., Any], tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(100):
        cv2.imwrite(str(folder / f"{number:03d}.png"), random.integers(0, 256, (8, 8, 3), np.uint8))
    images = opened(folder)
    evidence = run("model", "float32", evaluation=images, groups=[str(place // 2) for place in range(100)])
    assert evidence.evaluation.images == 100
    assert (
        evidence.evaluation.sha256
        == (images if isinstance(images, ImageSet) else ImageSet.open(images)).digest
    )
    assert "groups" in evidence_json(evidence)


def test_an_argument_that_cannot_be_sent_is_named_with_the_way_out(run: Callable[..., Any]) -> None:
    class Own(ImageSet):
        """Of a class that another process does not have."""

    images = Own.from_arrays([np.zeros((8, 8, 3), np.uint8)] * 20)
    with pytest.raises(OptionError, match=r"cannot be sent .*pass ConversionSettings\(source_limits=None\)"):
        run("model", evaluation=images)


@pytest.mark.parametrize("end", ["interrupt", "terminate", "kill"])
@pytest.mark.parametrize("name", ["deaf", "sleeps"])
def test_the_child_ends_with_the_command(tmp_path: Path, site: Path, end: str, name: str) -> None:
    (tmp_path / f"{name}.tiny").write_bytes(b"")
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "1.png"), np.zeros((8, 8, 3), np.uint8))
    temporary, output = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    output.mkdir()
    path = os.pathsep.join([str(site), str(HELPERS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    words = [
        "convert",
        f"{name}.tiny",
        "--target",
        "generic-cpu",
        "--evaluation",
        "images",
        "-o",
        output / "x.evb",
    ]
    command = subprocess.Popen(
        [sys.executable, "-m", "edgevision", *words, "--output-name", "scores"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
    )
    try:
        assert _wait_for(lambda: list(temporary.glob("*/leftover"))), "the model is being read"
        command.send_signal(
            {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM, "kill": signal.SIGKILL}[end]
        )
        _, stderr = command.communicate(timeout=60)
    finally:
        command.kill()
    assert _wait_for(lambda: not _running(temporary))
    assert not list(output.iterdir())
    if end != "kill":
        assert command.returncode == {"interrupt": 130, "terminate": 143}[end], stderr
        assert not list(temporary.iterdir())
        assert b"Traceback" not in stderr
