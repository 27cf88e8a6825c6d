"""What runs is decided in one place, which says why; what does not run is not read."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_bundles import FakeRuntime, registry_of, write_fake_bundle

from edgevision.artifact import STANDARD_FORMATS
from edgevision.backend import DeviceInfo
from edgevision.bundle import files as files_of_bundle
from edgevision.bundle.storage import read_bundle
from edgevision.errors import BundleError, DeviceError, InferenceError, OptionError, PluginError
from edgevision.imaging.input_options import InputOptions
from edgevision.loading import first_load
from edgevision.loading import load as loading
from edgevision.loading.bare import BareModel
from edgevision.loading.choice import Request, choose_backend
from edgevision.loading.load import load
from edgevision.plugins import Registry

TINY = Path(__file__).parents[1] / "data" / "tiny.tflite"


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, FakeRuntime]:
    backends = {name: FakeRuntime(name) for name in ("one", "two")}
    monkeypatch.setattr(first_load, "_passed", set())
    monkeypatch.setattr(loading, "registry", lambda: registry_of(*backends.values()))
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    return backends


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_fake_bundle(tmp_path / "model.evb", formats=("one", "two"))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The lines that are logged, each with its level."""
    monkeypatch.setattr(logging.getLogger("edgevision"), "disabled", False)
    logged: list[str] = []
    with caplog.at_level(logging.INFO, "edgevision"):
        handler = logging.Handler()
        handler.emit = lambda record: logged.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
        logging.getLogger("edgevision").addHandler(handler)
        yield logged
        logging.getLogger("edgevision").removeHandler(handler)


def _artifact_file(bundle: Path, name: str) -> Path:
    return bundle / "artifacts" / name / f"model.{name}"


def _change_one_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def test_the_bundles_order_decides_and_is_logged(bundle: Path, lines: list[str]) -> None:
    with load(bundle) as model:
        assert model.session.backend == "one"
    assert lines == [
        f"INFO {bundle}: one-float32 on one: the first in the bundle's order that this machine can run"
    ]


def test_a_backend_that_is_asked_for_decides_and_is_logged(bundle: Path, lines: list[str]) -> None:
    with load(str(bundle), "two", "cpu", threads=2) as model:
        assert (model.session.backend, model.session.threads) == ("two", 2)
    assert lines == [f"INFO {bundle}: two-float32 on two, 2 threads: the backend that was asked for"]


def test_a_measurement_decides_then_the_cache_and_each_is_logged_once(
    bundle: Path, lines: list[str], tmp_path: Path
) -> None:
    with load(bundle, tune=True) as model:
        measured = model.session.backend, model.session.threads
    with load(bundle, tune=True) as model:
        assert (model.session.backend, model.session.threads) == measured
    first, second = lines
    assert first.startswith(f"INFO {bundle}: {measured[0]}-float32 on {measured[0]}, ")
    assert "the fastest on this machine: " in first
    assert "two-float32 on two, 1 thread: " in first
    assert f"as measured before ({tmp_path / 'cache'}" in second


def test_a_number_of_threads_may_be_numpys(bundle: Path) -> None:
    for tune in (False, True):
        with load(bundle, tune=tune, threads=np.int64(1)) as model:
            assert model.session.threads == 1


@pytest.mark.parametrize("threads", [1.5, "2"])
def test_threads_that_are_no_whole_number_are_refused(bundle: Path, threads: object) -> None:
    with pytest.raises(OptionError, match=f"threads: expected a whole number, 1 or more, got {threads!r}"):
        load(bundle, threads=threads)


def test_one_configuration_is_not_measured(tmp_path: Path, lines: list[str], fakes) -> None:
    path = write_fake_bundle(tmp_path / "single.evb", formats=("one",))
    load(path, tune=True, threads=1).close()
    assert fakes["one"].opened == 1
    assert len(lines) == 1
    assert lines[0].endswith("one, 1 thread: the first in the bundle's order that this machine can run")


def test_where_no_configuration_gives_its_known_answers_the_order_decides_after_a_warning(
    bundle: Path, lines: list[str], fakes
) -> None:
    for backend in fakes.values():
        backend.answers = {"scores": [0.0, 1e6]}
    with load(bundle, tune=True) as model:
        assert model.session.backend == "one"
    levels = [line.split()[0] for line in lines]
    assert (levels.count("INFO"), lines[-1].endswith("order that this machine can run")) == (1, True)
    assert any("no configuration passed the measurement" in line for line in lines)


def test_the_backend_of_a_bare_file_is_logged(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.undo()
    logging.getLogger("edgevision").disabled = False
    bare = BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores")
    load(TINY, bare=bare).close()
    load(TINY, "tflite", bare=bare).close()
    assert lines == [
        f"INFO {TINY}: on tflite: the first available backend that loads the format",
        f"INFO {TINY}: on tflite: the backend that was asked for",
    ]


def test_nothing_is_logged_where_logging_was_not_imported() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edgevision.system.log import info\n"
        "info('%s', 1)\n"
        "print('logging' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_an_artifact_that_does_not_run_is_not_read(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: list[str] = []
    for kind in (files_of_bundle._Folder, files_of_bundle._Zip):
        original = kind.read

        def counted(self, name, largest_bytes, original=original):  # type: ignore[no-untyped-def]
            read.append(name)
            return original(self, name, largest_bytes)

        monkeypatch.setattr(kind, "read", counted)
    for path in (bundle, Path(shutil.make_archive(str(tmp_path / "packed"), "zip", bundle))):
        read.clear()
        load(path, "two").close()
        assert read == ["manifest.json", "labels.txt", "artifacts/two/model.two"]


def test_damage_in_an_artifact_that_does_not_run_is_left_to_read_bundle(bundle: Path) -> None:
    _change_one_byte(_artifact_file(bundle, "one"))
    load(bundle, "two", selftest="always").close()
    with pytest.raises(BundleError, match=r"model\.one: is not the file that the manifest was written for"):
        load(bundle, "one")
    with pytest.raises(BundleError, match=r"model\.one: is not the file that the manifest was written for"):
        read_bundle(bundle)


def test_an_artifact_of_another_size_is_refused_whether_it_runs_or_not(bundle: Path) -> None:
    file = _artifact_file(bundle, "one")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"model\.one: is not the file that the manifest was written for"):
        load(bundle, "two")
    file.unlink()
    with pytest.raises(BundleError, match=r"model\.one: is missing"):
        load(bundle, "two")


@pytest.mark.parametrize("name", ["artifacts/one/model.one", "artifacts/two/model.two", "selftest.npz"])
def test_damage_that_a_measurement_meets_is_refused(bundle: Path, name: str, tmp_path: Path) -> None:
    _change_one_byte(bundle / name)
    with pytest.raises(BundleError, match=f"{name}: is not the file that the manifest was written for"):
        load(bundle, tune=True)
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_damaged_known_answers_are_refused_when_they_are_checked(bundle: Path) -> None:
    _change_one_byte(bundle / "selftest.npz")
    load(bundle, "one").close()
    with pytest.raises(
        BundleError, match=r"selftest\.npz: is not the file that the manifest was written for"
    ):
        load(bundle, "one", selftest="always")


def test_known_answers_are_checked_on_a_backend_for_which_the_bundle_has_no_evidence(
    bundle: Path, fakes: dict[str, FakeRuntime], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEVISION_SELFTEST", "first-load")
    stranger = fakes["stranger"] = FakeRuntime("stranger", "one")
    load(bundle, "stranger").close()
    assert lines[-1] == (
        f"INFO {bundle}: the known answers are checked: "
        "one-float32 was neither converted for backend 'stranger' nor measured on it"
    )
    stranger.answers = {"scores": [114, -119]}
    with pytest.raises(InferenceError, match="does not give its known answers on stranger cpu"):
        load(bundle, "stranger")


ORDERS = {"tflite": ["tflite", "openvino"], "openvino": ["openvino"], "onnx": ["cuda", "onnx", "openvino"]}


@pytest.mark.parametrize("artifact_format", [one.name for one in STANDARD_FORMATS])
def test_a_bare_file_runs_on_the_first_backend_of_its_own_format_then_on_others_by_name(
    artifact_format: str,
) -> None:
    backends = {
        name: FakeRuntime(name, *formats)
        for name, formats in {
            "openvino": ("openvino", "onnx", "tflite"),
            "tflite": ("tflite",),
            "onnx": ("onnx",),
            "cuda": ("onnx",),
        }.items()
    }
    order = ORDERS[artifact_format]
    for place, name in enumerate(order):
        installed = [backend for backend in backends.values() if backend.name not in order[:place]]
        assert choose_backend(Path("m"), artifact_format, Request(), registry_of(*installed)).name == name


def test_a_bare_file_runs_on_the_first_backend_that_is_available_and_has_the_device() -> None:
    broken, slow, npu = FakeRuntime("broken", "x"), FakeRuntime("slow", "x"), FakeRuntime("zeta", "y", "x")
    broken.devices = lambda: (_ for _ in ()).throw(PluginError("is not installed"))  # type: ignore[method-assign]
    npu.devices = lambda: [DeviceInfo("npu", "")]  # type: ignore[method-assign]
    plugins = registry_of(broken, slow, npu)
    assert _chosen("x", None, plugins) == "slow"
    assert _chosen("x", "npu", plugins) == "zeta"
    message = (
        "no backend that loads x files is available: broken: is not installed; slow: has no device 'gpu'"
    )
    with pytest.raises(DeviceError, match=message):
        _chosen("x", "gpu", plugins)
    with pytest.raises(DeviceError, match="no backend that loads z files is available: none is installed"):
        _chosen("z", None, plugins)


def _chosen(artifact_format: str, device: str | None, plugins: Registry) -> str:
    request = Request(settings=loading.SessionSettings(device=device))
    return choose_backend(Path("model"), artifact_format, request, plugins).name
