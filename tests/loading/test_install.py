"""A bundle takes the place of another on a device only if it works there, and never by halves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tampering import crashing, tampered

import edgevision
from edgevision.bundle.storage import archive_of, read_bundle
from edgevision.errors import (
    BundleError,
    InferenceError,
    OptionError,
    OutputError,
    ProcessError,
    TrustError,
)
from edgevision.loading import check_in_child, first_load
from edgevision.loading import install as installing
from edgevision.system import files as system_files
from tiny_bundles import DATA, write_artifacts

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

LABELS = {"one": ("a", "b", "c", "d", "e"), "two": ("f", "g", "h", "i", "j"), "three": tuple("klmno")}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles that differ in their labels."""
    folder = tmp_path_factory.mktemp("bundles")
    artifacts = {"tflite-float32": edgevision.artifact.read_artifact(DATA / "tiny.tflite")}
    return {
        name: write_artifacts(folder / f"{name}.evb", artifacts, labels=labels)
        for name, labels in LABELS.items()
    }


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVISION_SELFTEST", "first-load")
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(first_load, "_passed", set())
    return tmp_path / "cache"


def label(folder: Path) -> str:
    """The first label of the bundle that is installed in a folder, all of which is checked."""
    return read_bundle(folder / "model.evb").labels[0]


def test_a_bundle_is_loaded_from_the_same_path_whatever_is_installed(bundles, tmp_path) -> None:
    device = tmp_path / "device"
    first = edgevision.install(bundles["one"], device)
    assert (first.path, first.previous, first.artifact) == (device / "model.evb", None, "tflite-float32")
    with edgevision.load_classifier(first.path) as model:
        before = model.labels
        second = edgevision.install(bundles["two"], device)
        assert model(np.zeros((8, 8, 3), np.uint8)).labels == before == LABELS["one"]
    assert (second.path, second.previous) == (first.path, first.digest[:16])
    with edgevision.load_classifier(second.path) as model:
        assert model.labels == LABELS["two"]
        assert model.bundle_digest == second.digest


def test_one_earlier_bundle_is_kept_and_returned_to(bundles, tmp_path) -> None:
    device = tmp_path / "device"
    digests = [edgevision.install(path, device).digest for path in bundles.values()]
    kept = {path.stem for path in (device / "versions").iterdir()}
    assert kept == {digest[:16] for digest in digests[1:]}
    assert edgevision.roll_back(device).digest == digests[1]
    assert label(device) == "f"
    with pytest.raises(OptionError, match="no earlier bundle is kept there; run edgevision install"):
        edgevision.roll_back(device)
    assert edgevision.install(bundles["three"], device).previous == digests[1][:16]


def test_the_same_bundle_again_changes_nothing(bundles, tmp_path) -> None:
    device = tmp_path / "device"
    edgevision.install(bundles["one"], device)
    second = edgevision.install(bundles["two"], device)
    assert edgevision.install(bundles["two"], device) == second
    assert edgevision.roll_back(device).digest != second.digest


def test_nothing_to_return_to_is_an_error(tmp_path) -> None:
    with pytest.raises(OptionError, match="no bundle is installed there; run edgevision install"):
        edgevision.roll_back(tmp_path)


def _damaged(bundle: Path, folder: Path) -> Path:
    path = tampered(bundle, folder / "bad.evb")
    content = (path / "evidence.json").read_bytes()
    (path / "evidence.json").write_bytes(b"[" + content[1:])
    return path


def _with(**changes: Any):  # type: ignore[no-untyped-def]
    return lambda bundle, folder: tampered(bundle, folder / "bad.evb", **changes)


FAULTS = {
    "damaged": (_damaged, BundleError, "is not the file that the manifest was written for"),
    "no bundle": (lambda bundle, folder: folder / "absent.evb", BundleError, "there is no such bundle"),
    "crashes": (
        _with(**{"artifacts__tflite-float32__tiny_dot_tflite": crashing()}),
        ProcessError,
        "killed by SIGSEGV",
    ),
    "other labels": (_with(labels_dot_txt=b"f\nh\ng\ni\nj\n"), BundleError, "class 1 is called 'h'"),
    "another mean": (
        _with(change=lambda m: replace(m, preprocessing=replace(m.preprocessing, mean=(0.3, 0.2, 0.1)))),
        InferenceError,
        "makes other values",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bundle_that_fails_leaves_the_old_one_and_no_trace(bundles, tmp_path, fault) -> None:
    make, error, message = FAULTS[fault]
    device = tmp_path / "device"
    edgevision.install(bundles["one"], device)
    before = sorted(path for path in device.rglob("*"))
    with pytest.raises(error, match=message):
        edgevision.install(make(bundles["two"], tmp_path), device)
    assert label(device) == "a"
    assert sorted(path for path in device.rglob("*")) == before


def test_a_zip_is_installed_with_its_signature(bundles, tmp_path) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
    pem = serialization.Encoding.PEM
    (tmp_path / "own.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    (tmp_path / "own.pub").write_bytes(key.public_key().public_bytes(pem, public))
    signed, trust = (
        tampered(bundles["one"], tmp_path / "one.evb"),
        edgevision.TrustPolicy(tmp_path / "own.pub"),
    )
    edgevision.sign_bundle(signed, tmp_path / "own.pem")
    packed = tmp_path / "one.zip"
    names = [path.relative_to(signed).as_posix() for path in signed.rglob("*") if path.is_file()]
    packed.write_bytes(archive_of({name: (signed / name).read_bytes() for name in names}))
    done = edgevision.install(packed, tmp_path / "device", trust=trust)
    edgevision.load(done.path, trust=trust).close()
    with pytest.raises(TrustError, match="is not signed"):
        edgevision.install(bundles["two"], tmp_path / "device", trust=trust)
    assert label(tmp_path / "device") == "a"


def test_a_device_that_cannot_write_need_not_check_again(bundles, tmp_path, monkeypatch, cache) -> None:
    done = edgevision.install(bundles["one"], tmp_path / "device", threads=1)
    assert not cache.exists()
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(first_load, "_passed", set())
    monkeypatch.setattr(check_in_child, "decide_in_child", lambda *args: pytest.fail("was checked again"))
    edgevision.load(done.path, threads=1).close()


@pytest.mark.parametrize("what", ["a file", "a folder", "no folder for it", "busy"])
def test_a_place_that_cannot_be_used_is_an_error(bundles, tmp_path, what) -> None:
    device = tmp_path / "device"
    device.mkdir()
    if what == "a file":
        (device / "model.evb").write_bytes(b"")
    elif what == "a folder":
        (device / "model.evb").mkdir()
    elif what == "no folder for it":
        device.rmdir()
        device.write_bytes(b"")
    with system_files.alone_in(device) if what == "busy" else nullcontext(), pytest.raises(OutputError):
        edgevision.install(bundles["one"], device)
    assert what != "a file" or (device / "model.evb").read_bytes() == b""


#: Calls of the system by which something changes on the disk.
CALLS = ("open", "write", "fsync", "mkdir", "symlink", "rename", "replace", "unlink", "rmdir", "chmod")


def killed_at(call: int, job: Any) -> bool:
    """Run a job in a child that is killed right before its `call`-th change; False if it ended first."""
    child = os.fork()
    if child == 0:
        left = [call]

        def counted(real):  # type: ignore[no-untyped-def]
            def wrapped(*args: Any, **more: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **more)

            return wrapped

        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            renameat2 = system_files._renamed
            system_files._renamed = counted(renameat2)
            job()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_whenever_an_installation_is_killed_the_old_or_the_new_bundle_is_there(
    bundles, tmp_path, monkeypatch
) -> None:
    device = tmp_path / "device"
    edgevision.install(bundles["one"], device)
    edgevision.install(bundles["two"], device)
    decision = check_in_child.decide_checked(
        read_bundle(bundles["three"]), edgevision_request(), edgevision.plugins.registry()
    )
    monkeypatch.setattr(installing, "check_first_load", lambda *args, **more: decision)
    seen, call = [], 0
    while killed_at(call, lambda: edgevision.install(bundles["three"], device)):
        seen.append(label(device))
        if seen[-1] == "k":  # the switch is done; begin again from the old one
            assert edgevision.roll_back(device).digest[:16] in {
                p.stem for p in (device / "versions").iterdir()
            }
        call += 1
    assert call > 20
    assert (seen[0], set(seen)) == ("f", {"f", "k"})
    done = edgevision.install(bundles["three"], device)
    assert label(device) == "k"
    assert {path.stem for path in (device / "versions").iterdir()} == {done.digest[:16], done.previous}
    assert sorted(path.name for path in device.iterdir()) == ["model.evb", "versions"]


def edgevision_request() -> Any:
    from edgevision.loading.requests import request_of

    return request_of(None, None, None, None, None, None)


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgevision", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_command_says_what_it_did_and_has_an_exit_code_for_each_fault(bundles, tmp_path) -> None:
    done = run("install", bundles["one"], "device", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tflite-float32 on tflite gives its known answers on this device" in done.stdout
    done = run("install", bundles["two"], "device", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["path"] == "device/model.evb"
    done = run("install", "--rollback", "device", cwd=tmp_path)
    assert "device/model.evb: returned to" in done.stdout
    bad = FAULTS["crashes"][0](bundles["two"], tmp_path)
    (tmp_path / "file").write_bytes(b"")
    for words, code in (
        (("install", "--rollback", "device"), 2),
        (("install", bundles["one"]), 2),
        (("install", "absent.evb", "device"), 5),
        (("install", bundles["two"], "device", "--backend", "tensorrt"), 6),
        (("install", bundles["two"], "device", "--device", "gpu"), 7),
        (("install", bad, "device"), 9),
        (("install", bundles["two"], "file"), 12),
    ):
        done = run(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert label(tmp_path / "device") == "a"
