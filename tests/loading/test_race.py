"""load() picks the fastest configuration by a short measurement, once, and never one with wrong answers."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevision.backend import SessionSettings
from edgevision.bundle import known_answers
from edgevision.bundle.storage import Bundle, read_bundle, write_bundle
from edgevision.errors import DeviceError, OptionError
from edgevision.loading import kept
from edgevision.loading import race as racing
from edgevision.loading.choice import Request, choice_by_order, choose, competitors
from edgevision.loading.configurations import Configuration, configurations
from edgevision.loading.load import load
from edgevision.loading.race import Speed, race, winner
from edgevision.plugins import registry
from edgevision.system.cores import cores

pytestmark = pytest.mark.convert


@pytest.fixture(scope="module")
def path(quickstart: Path) -> Path:
    return quickstart / "quickstart" / "digits.evb"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    monkeypatch.delenv("EDGEVISION_TUNE")
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    # Libraries that other tests have imported set up logging as they like.
    monkeypatch.setattr(logging.getLogger("edgevision"), "disabled", False)
    caplog.set_level(logging.INFO, logger="edgevision")
    return tmp_path / "cache"


@pytest.fixture
def races(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The bundles that were measured, one entry per measurement."""
    seen: list[Path] = []

    def counted(bundle: Bundle, *args: object) -> racing.Race:
        seen.append(bundle.path)
        return race(bundle, *args)

    monkeypatch.setattr(racing, "race", counted)
    return seen


def _files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.json"))


def _ran(path: Path, **arguments: object) -> tuple[str, int | None]:
    """Backend and threads that `load` chooses."""
    with load(path, **arguments) as model:
        return model.session.backend, model.session.threads


def _keep(cache: Path, **changes: object) -> Path:
    """Change fields of the one file in the cache."""
    (file,) = _files(cache)
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return file


def test_the_first_load_measures_and_the_next_reads_the_cache(path, cache, races) -> None:
    first = _ran(path)
    (file,) = _files(cache)
    kept = json.loads(file.read_text())
    assert (kept["backend"], kept["threads"]) == first
    assert "1 thread" in kept["because"]
    assert _ran(path) == first
    assert races == [path]


def test_the_configuration_in_the_cache_is_what_runs(path, cache, races) -> None:
    _ran(path)
    _keep(cache, artifact="onnx-int8-symmetric", backend="onnx", threads=1)
    assert _ran(path) == ("onnx", 1)
    assert len(races) == 1


def test_the_choice_and_its_reason_are_logged(path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edgevision"):
        backend, _ = _ran(path)
        _ran(path)
    measured, cached = [r.getMessage() for r in caplog.records if r.name == "edgevision"]
    assert f"digits.evb: {backend}-int8 on {backend}, " in measured
    assert "the fastest on this machine: " in measured
    assert "tflite-int8 on tflite, 1 thread: " in measured
    assert "ms, opened in" in measured
    assert "as measured before" in cached


def test_by_default_artifacts_of_the_preferred_precision_compete_on_the_cpu(path, tmp_path) -> None:
    bundle = _with_precisions(path, tmp_path, ("int8", "float32", "int8"))
    plugins = registry()
    first = choice_by_order(bundle, Request(), plugins)
    rivals = competitors(first, configurations(bundle, None, None, plugins), plugins)
    assert rivals[0].pair == ("tflite-int8", "tflite")
    assert {one.pair for one in rivals} == {("tflite-int8", "tflite"), ("onnx-int8-symmetric", "onnx")}
    assert {one.threads for one in rivals} == {1, cores()}
    float32 = configurations(bundle, "float32", None, plugins)
    assert {one.entry.precision for one in float32} == {"float32"}


def test_nothing_competes_with_a_choice_that_is_not_on_the_cpu(path) -> None:
    bundle, plugins = read_bundle(path), registry()
    first = choose(bundle, Request("openvino", settings=SessionSettings(device="auto")), plugins)
    assert competitors(first, configurations(bundle, None, None, plugins), plugins) == []


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ({"backend": "openvino"}, ("openvino", None)),
        ({"backend": "onnx", "settings": SessionSettings(threads=2)}, ("onnx", 2)),
        ({"tune": False}, ("tflite", None)),
        ({"tune": False, "settings": SessionSettings(threads=2)}, ("tflite", 2)),
        ({"settings": SessionSettings(options={"delegate_options": {}})}, ("tflite", None)),
    ],
    ids=str,
)
def test_a_request_is_met_and_nothing_is_measured(path, cache, races, arguments, runs) -> None:
    assert _ran(path, **arguments) == runs
    assert (races, _files(cache)) == ([], [])


def test_every_configuration_has_the_number_of_threads_that_was_asked_for(path) -> None:
    assert _ran(path, settings=SessionSettings(threads=1))[1] == 1


def test_the_environment_turns_measuring_off_and_an_argument_on_again(path, races, monkeypatch) -> None:
    monkeypatch.setenv("EDGEVISION_TUNE", "0")
    assert _ran(path) == ("tflite", None)
    assert races == []
    _ran(path, tune=True)
    assert races == [path]


def test_a_device_or_precision_that_is_not_available_is_named(path) -> None:
    with pytest.raises(DeviceError, match="npu:7"):
        load(path, backend="openvino", device="npu:7")
    with pytest.raises(OptionError, match="has no artifact of precision 'float64'"):
        load(path, precision="float64")


def test_another_bundle_request_version_or_machine_is_measured_anew(
    path, tmp_path, cache, races, monkeypatch
) -> None:
    _ran(path)
    _ran(_with_precisions(path, tmp_path, ("int8",) * 3, created="later").path)
    _ran(path, settings=SessionSettings(threads=1))
    packages = kept.installed_packages()
    monkeypatch.setattr(kept, "installed_packages", lambda: [*packages, "openvino-9999.dist-info"])
    _ran(path)
    monkeypatch.setattr(kept, "processor", lambda: "another")
    _ran(path)
    assert len(races) == len(_files(cache)) == 5


def test_the_cache_depends_on_the_version_of_every_installed_runtime() -> None:
    from importlib.metadata import version

    packages = kept.installed_packages()
    for name in ("numpy", "openvino", "onnxruntime"):
        assert f"{name}-{version(name)}.dist-info" in packages


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b'{"artifact": "tflite-int8", "backend": "tflite", "threads": 0}',
        b'{"artifact": "tflite-int8", "backend": "tflite", "threads": true}',
        b'{"artifact": "tflite-int8", "backend": "tflite", "threads": 100000}',
        b'{"artifact": "../x", "backend": "tflite", "threads": 1}',
        b'{"artifact": ["tflite-int8"], "backend": {}, "threads": 1}',
        b"[" * 100_000,
        b" " * 2_000_000,
    ],
    ids=lambda content: repr(content[:60]),
)
def test_a_damaged_file_is_measured_again_and_replaced(path, cache, races, content) -> None:
    _ran(path, settings=SessionSettings(threads=1))
    (file,) = _files(cache)
    file.write_bytes(content)
    _ran(path, settings=SessionSettings(threads=1))
    assert json.loads(file.read_text())["threads"] == 1
    assert len(races) == 2


def test_a_choice_whose_backend_is_gone_is_measured_again(path, cache, races, monkeypatch) -> None:
    _ran(path)
    _keep(cache, artifact="openvino-int8", backend="openvino", threads=1)
    broken = type(registry().backend("openvino"))
    monkeypatch.setattr(broken, "devices", lambda self: (_ for _ in ()).throw(DeviceError("is gone")))
    assert _ran(path)[0] != "openvino"
    assert len(races) == 2


@pytest.mark.parametrize("folder", ["/proc/cache", "/dev/null/cache"])
def test_a_folder_that_is_not_writable_is_not_an_error(path, races, monkeypatch, folder) -> None:
    monkeypatch.setenv("EDGEVISION_CACHE", folder)
    _ran(path)
    _ran(path)
    assert len(races) == 2


def test_a_missing_home_folder_is_not_an_error(path, monkeypatch) -> None:
    for name in ("EDGEVISION_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert _ran(path)[0] in {"tflite", "openvino", "onnx"}


def test_by_default_the_cache_lies_where_the_platform_has_it(path, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("EDGEVISION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    _ran(path)
    assert len(_files(tmp_path / "xdg" / "edgevision" / "tuning")) == 1


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        (disk / "tuning").mkdir()
        with pytest.raises(OSError, match="No space"):
            (disk / "filler").write_bytes(bytes(1 << 20))
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_not_an_error_and_nothing_is_left_on_it(path, full_disk, monkeypatch) -> None:
    monkeypatch.setenv("EDGEVISION_CACHE", str(full_disk))
    _ran(path)
    assert list((full_disk / "tuning").iterdir()) == []


def test_a_backend_that_gives_other_answers_does_not_win(path, cache, monkeypatch, caplog) -> None:
    true_answers = known_answers.compute_answers

    def wrong_but_on_onnx(session, known_inputs):  # type: ignore[no-untyped-def]
        answers = true_answers(session, known_inputs)
        return answers if session.backend == "onnx" else {name: -values for name, values in answers.items()}

    monkeypatch.setattr(known_answers, "compute_answers", wrong_but_on_onnx)
    monkeypatch.setattr(racing, "_OPENING_S", 60.0)
    assert _ran(path)[0] == "onnx"
    assert "tflite-int8 on tflite, 1 thread does not win: " in caplog.text
    assert "does not give its known answers" in caplog.text
    assert len(_files(cache)) == 1


def test_where_no_backend_gives_its_known_answers_the_order_decides_and_nothing_is_cached(
    path, cache, monkeypatch, caplog
) -> None:
    true_answers = known_answers.compute_answers
    wrong = lambda *args: {name: -values for name, values in true_answers(*args).items()}  # noqa: E731
    monkeypatch.setattr(known_answers, "compute_answers", wrong)
    assert _ran(path) == ("tflite", None)
    assert "no configuration passed the measurement, so the bundle's order decides: " in caplog.text
    assert _files(cache) == []


def test_a_competitor_that_raises_an_unexpected_error_is_left_out(path, monkeypatch) -> None:
    def breaks(self, artifact, settings):  # type: ignore[no-untyped-def]
        raise ZeroDivisionError("an internal error")

    for name in ("openvino", "onnx"):
        monkeypatch.setattr(type(registry().backend(name)), "open", breaks)
    result = _race(path)
    assert result.winner is not None
    assert result.winner.backend == "tflite"
    assert "openvino-int8 on openvino, 1 thread" in result.summary()
    assert _ran(path)[0] == "tflite"


def test_an_artifact_that_takes_long_to_open_is_not_opened_with_other_threads(path, monkeypatch) -> None:
    monkeypatch.setattr(racing, "_OPENING_S", 0.0)
    result = _race(path)
    assert [one.pair for one in result.speeds] == [("tflite-int8", "tflite")]
    assert "not tried, because opening takes long; edgevision tune tries all" in result.summary()


@pytest.mark.parametrize(
    ("speeds", "wins"),
    [
        ({("a", 1): (1.0, 0), ("b", 1): (0.5, 0)}, ("b", 1)),
        ({("a", 1): (1.0, 0), ("b", 1): (0.95, 0)}, ("a", 1)),
        ({("a", 2): (1.0, 0), ("b", 1): (1.05, 0)}, ("b", 1)),
        ({("a", 1): (2.0, 0), ("a", 2): (1.1, 0)}, ("a", 2)),
        # 10,000 calls save 0.4 s, and opening takes 0.9 s longer.
        ({("a", 1): (0.1, 10), ("b", 1): (0.06, 900)}, ("a", 1)),
        ({("a", 1): (1.0, 10), ("b", 1): (0.6, 900)}, ("b", 1)),
        ({("a", 1): (1.0, 0), ("wrong", 1): (0.1, 0), ("b", 1): (0.5, 0)}, ("b", 1)),
        ({("wrong", 1): (1.0, 0)}, None),
        ({}, None),
    ],
)
def test_the_fastest_wins_and_of_those_as_fast_the_one_with_fewer_threads_then_the_first(
    path, speeds, wins
) -> None:
    entry = read_bundle(path).manifest.artifacts[0]

    def check(one: Configuration) -> None:
        if one.backend == "wrong":
            raise ArithmeticError("other answers")

    timed = {Configuration(entry, *key): Speed(*value) for key, value in speeds.items()}
    out: dict[Configuration, str] = {}
    best = winner(timed, out, check)
    assert (None if best is None else (best.backend, best.threads)) == wins
    assert all(why == "other answers" for why in out.values())


def test_the_fastest_model_answers_as_the_others_do(path, quickstart) -> None:
    images = sorted((quickstart / "quickstart" / "evaluation" / "7").iterdir())[:10]
    with load(path) as tuned, load(path, tune=False) as by_order:
        pairs = zip(tuned(images), by_order(images), strict=True)
        agree = [one.top()[0].label == other.top()[0].label for one, other in pairs]
    assert np.mean(agree) >= 0.9


def test_no_measurement_is_imported_for_a_backend_that_was_asked_for(path) -> None:
    code = (
        "import sys, edgevision\n"
        "edgevision.load(sys.argv[1], 'tflite').close()\n"
        "print([m for m in sys.modules if 'loading.race' in m or 'benchmarking' in m])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]


def _race(path: Path) -> racing.Race:
    """The race of what competes for a load without any argument."""
    bundle, plugins = read_bundle(path), registry()
    first = choice_by_order(bundle, Request(), plugins)
    rivals = competitors(first, configurations(bundle, None, None, plugins), plugins)
    return race(bundle, rivals, SessionSettings(), plugins)


def _with_precisions(
    path: Path, folder: Path, precisions: tuple[str, ...], created: str | None = None
) -> Bundle:
    """A copy of the bundle whose manifest states these precisions."""
    original = read_bundle(path)
    entries = tuple(
        replace(entry, precision=precision)
        for entry, precision in zip(original.manifest.artifacts, precisions, strict=True)
    )
    manifest = replace(original.manifest, artifacts=entries, created=created or original.manifest.created)
    files = {entry.path: original.read(entry) for entry in original.manifest.files()}
    write_bundle(folder / "copy.evb", manifest, files)
    return read_bundle(folder / "copy.evb")
