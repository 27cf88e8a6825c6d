"""A bundle is written whole or not at all, and no byte is used whose digest was not checked."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgevision.bundle.manifest import ArtifactEntry, Manifest, SourceEntry, digest_of
from edgevision.bundle.storage import Bundle, check_output, file_entry, open_bundle, read_bundle, write_bundle
from edgevision.errors import BundleError, OutputError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tasks.description import ClassifyTask
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration
from edgevision.tensors import Quantization, TensorSpec

Read = Callable[[Path], Bundle]

FILES = {
    "labels.txt": b"cat\ndog\n",
    "selftest.npz": b"known answers",
    "evidence.json": b"{}",
    "artifacts/fake-int8/model.fake": b"weights",
}


def _manifest() -> Manifest:
    entry = ArtifactEntry(
        id="fake-int8",
        format="fake",
        precision="int8",
        files=(file_entry("artifacts/fake-int8/model.fake", FILES["artifacts/fake-int8/model.fake"]),),
        inputs=(TensorSpec("image", (None, 4, 4, 3), "int8", Quantization(1.0, -128)),),
        outputs=(TensorSpec("scores", (None, 2), "int8", Quantization(1 / 256, -128)),),
        targets=("generic-cpu",),
        backends=("fake",),
    )
    return Manifest(
        created="2026-11-23T00:00:00Z",
        task=ClassifyTask("scores", "softmax"),
        preprocessing=Preprocessing((4, 4), (0.0, 255.0)),
        source=SourceEntry("model.keras", "Keras 3 .keras file", "0" * 64),
        artifacts=(entry,),
        labels=file_entry("labels.txt", FILES["labels.txt"]),
        selftest=file_entry("selftest.npz", FILES["selftest.npz"]),
        evidence=file_entry("evidence.json", FILES["evidence.json"]),
        versions={"edgevision": "0"},
    )


def write_manifest(bundle: Path, document: dict[str, Any]) -> None:
    """Write a manifest with the digest that it must have."""
    document["digest"] = digest_of(document)
    (bundle / "manifest.json").write_text(json.dumps(document))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model.evb"
    write_bundle(path, _manifest(), FILES)
    return path


def test_an_artifact_that_is_a_folder_keeps_the_names_in_it(tmp_path: Path) -> None:
    parts = {
        f"artifacts/fake-int8/{name}": name.encode() for name in ("a.json", "parts/a.json", "parts/b.bin")
    }
    entry = replace(
        _manifest().artifacts[0], files=tuple(file_entry(path, content) for path, content in parts.items())
    )
    files = {**{name: FILES[name] for name in ("labels.txt", "selftest.npz", "evidence.json")}, **parts}
    write_bundle(tmp_path / "model.evb", replace(_manifest(), artifacts=(entry,)), files)
    read = read_bundle(tmp_path / "model.evb").artifact(entry).files
    assert read == {"a.json": b"a.json", "parts/a.json": b"parts/a.json", "parts/b.bin": b"parts/b.bin"}


def _manifest_with(calibration: ScoreCalibration) -> Manifest:
    manifest = _manifest()
    return replace(manifest, artifacts=(replace(manifest.artifacts[0], score_calibration=calibration),))


CALIBRATION = ScoreCalibration(1.25, OperatingPoint("dog", 1, 0.3, "sensitivity", 0.95))


@pytest.mark.parametrize(
    "calibration", [CALIBRATION, ScoreCalibration(0.7), ScoreCalibration(None, CALIBRATION.operating_point)]
)
def test_a_score_calibration_is_written_by_the_schema_and_read_back(tmp_path: Path, calibration) -> None:
    write_bundle(tmp_path / "model.evb", _manifest_with(calibration), FILES)
    assert read_bundle(tmp_path / "model.evb").manifest == _manifest_with(calibration)
    schema = json.loads(files("edgevision.schemas").joinpath("manifest.schema.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "model.evb" / "manifest.json").read_text()), schema)


def test_a_bundle_of_a_release_without_score_calibration_is_read(bundle: Path) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    del document["artifacts"][0]["score_calibration"]
    write_manifest(bundle, document)
    assert read_bundle(bundle).manifest == _manifest()


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ("warm", "expected a temperature and an operating point"),
        ({"temperature": 0, "operating_point": None}, "temperature: expected a number above 0, got 0"),
        ({"temperature": 1, "operating_point": {"positive": "dog"}}, "expected a temperature and an"),
    ],
)
def test_a_wrong_score_calibration_is_named(bundle: Path, calibration, message: str) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    document["artifacts"][0]["score_calibration"] = calibration
    write_manifest(bundle, document)
    with pytest.raises(BundleError, match=rf"artifacts\[0\]: score_calibration: {message}"):
        read_bundle(bundle)


def test_a_field_of_an_artifact_that_this_release_does_not_know_is_refused(bundle: Path) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    document["artifacts"][0]["score_reading"] = {"temperature": 2.0, "operating_point": None}
    write_manifest(bundle, document)
    with pytest.raises(BundleError, match=r"artifacts\[0\]: unknown field 'score_reading'; known fields:"):
        read_bundle(bundle)


def test_a_bundle_is_read_back_as_it_was_written(bundle: Path) -> None:
    opened = read_bundle(bundle)
    assert opened.manifest == _manifest()
    assert opened.labels == ("cat", "dog")
    artifact = opened.artifact(opened.manifest.artifacts[0])
    assert (artifact.name, artifact.content, artifact.precision) == ("model.fake", b"weights", "int8")


@pytest.mark.parametrize("top", ["", "model.evb/"], ids=["content", "directory"])
def test_a_zip_of_the_directory_is_read_as_the_directory_is(bundle: Path, tmp_path: Path, top: str) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(bundle.rglob("*")):
            archive.write(path, top + str(path.relative_to(bundle)))
    unpacked = read_bundle(packed)
    assert unpacked.manifest == _manifest()
    assert unpacked.artifact(unpacked.manifest.artifacts[0]).content == b"weights"


def test_writing_leaves_nothing_beside_the_bundle(bundle: Path) -> None:
    assert [path.name for path in bundle.parent.iterdir()] == ["model.evb"]


@pytest.mark.parametrize("read", [read_bundle, open_bundle])
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(bundle: Path, name: str, read: Read) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name}.*is missing"):
        read(bundle)


def _change_one_byte(bundle: Path, name: str) -> None:
    content = bytearray(FILES[name])
    content[0] ^= 1
    (bundle / name).write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_one_other_byte_is_refused(bundle: Path, name: str) -> None:
    _change_one_byte(bundle, name)
    with pytest.raises(BundleError, match=f"{name}: is not the file that the manifest was written for: sha"):
        read_bundle(bundle)


@pytest.mark.parametrize("read", [read_bundle, open_bundle])
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_size_is_refused_before_it_is_read(bundle: Path, name: str, read: Read) -> None:
    size = len(FILES[name])
    for other in (0, size - 1, 10**12):
        with (bundle / name).open("r+b") as file:
            file.truncate(other)
        message = f"{name}: is not the file that the manifest was written for: {other} bytes, expected {size}"
        with pytest.raises(BundleError, match=message):
            read(bundle)


def test_opening_reads_the_manifest_and_the_labels_alone(bundle: Path) -> None:
    for name in FILES:
        if name != "labels.txt":
            _change_one_byte(bundle, name)
    opened = open_bundle(bundle)
    assert opened.labels == ("cat", "dog")
    assert opened.digest == json.loads((bundle / "manifest.json").read_text())["digest"]
    with pytest.raises(BundleError, match=r"model\.fake: is not the file that the manifest was written for"):
        opened.artifact(opened.manifest.artifacts[0])
    with pytest.raises(
        BundleError, match=r"selftest\.npz: is not the file that the manifest was written for"
    ):
        opened.read(opened.manifest.selftest)
    with pytest.raises(BundleError, match="is not the file that the manifest was written for"):
        opened.verify()


def test_labels_are_checked_when_a_bundle_is_opened(bundle: Path) -> None:
    _change_one_byte(bundle, "labels.txt")
    with pytest.raises(BundleError, match=r"labels\.txt: is not the file that the manifest was written for"):
        open_bundle(bundle)


@pytest.mark.parametrize("read", [read_bundle, open_bundle])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(bundle: Path, read: Read) -> None:
    (bundle / "selftest.npz").unlink()
    os.mkfifo(bundle / "selftest.npz")
    with pytest.raises(BundleError, match=r"selftest\.npz: is a link or a special file"):
        read(bundle)


def test_a_damaged_file_in_a_zip_is_refused(bundle: Path, tmp_path: Path) -> None:
    _change_one_byte(bundle, "artifacts/fake-int8/model.fake")
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", bundle)
    opened = open_bundle(packed)
    with pytest.raises(BundleError, match=r"model\.fake: is not the file that the manifest was written for"):
        opened.artifact(opened.manifest.artifacts[0])
    with pytest.raises(BundleError, match=r"model\.fake: is not the file that the manifest was written for"):
        read_bundle(packed)


def test_paths_may_be_text(tmp_path: Path) -> None:
    path = str(tmp_path / "model.evb")
    write_bundle(path, _manifest(), FILES)
    for read in (read_bundle, open_bundle):
        assert read(path).path == Path(path)
    check_output(path, force=True)


def _edit(bundle: Path, **fields: object) -> None:
    path = bundle / "manifest.json"
    write_manifest(bundle, {**json.loads(path.read_text()), **fields})


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/passwd", "a/../../b", "..\\outside.txt", ""])
def test_a_path_that_leads_out_of_the_bundle_is_refused(bundle: Path, name: str) -> None:
    _edit(bundle, labels={"path": name, "sha256": "0" * 64, "size_bytes": 1})
    with pytest.raises(BundleError, match="lies outside the bundle"):
        read_bundle(bundle)


def test_a_link_that_leads_out_of_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "labels.txt"
    outside.write_bytes(FILES["labels.txt"])
    (bundle / "labels.txt").unlink()
    (bundle / "labels.txt").symlink_to(outside)
    with pytest.raises(BundleError, match=r"labels\.txt: is a link or a special file"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"schema_version": 99, "versions": {"edgevision": "7.2.0"}},
            r"schema version 99, and edgevision .* reads up to 2; edgevision 7\.2\.0 wrote it: run: "
            r'pip install -U "edgevision>=7\.2\.0"',
        ),
        ({"schema_version": 99, "versions": {"edgevision": "1; rm -rf /"}}, 'pip install -U "edgevision"'),
        ({"schema_version": 0}, "schema version 0, expected 1 to 2"),
        ({"schema_version": None}, "field 'schema_version': unexpected None"),
        ({"artifacts": []}, "artifacts: expected one or more"),
        ({"task": {"name": "fly", "output": "x", "score_kind": "softmax"}}, "task 'fly'"),
        ({"task": {"name": ["classify"]}}, "is not supported"),
        (
            {"task": {"name": "classify", "output": "x", "score_kind": "odds"}},
            "task: score_kind: expected one of",
        ),
        ({"task": {"name": "classify", "score_kind": "softmax"}}, "task: field 'output' is missing"),
        ({"preprocessing": {}}, "preprocessing: field"),
        ({"labels": "labels.txt"}, "field 'labels': unexpected 'labels.txt'"),
    ],
)
def test_a_wrong_field_of_the_manifest_is_named(
    bundle: Path, fields: dict[str, object], message: str
) -> None:
    _edit(bundle, **fields)
    with pytest.raises(BundleError, match=message):
        read_bundle(bundle)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_not_a_json_object_is_refused(bundle: Path, text: bytes) -> None:
    (bundle / "manifest.json").write_bytes(text)
    with pytest.raises(BundleError, match=r"manifest.json"):
        read_bundle(bundle)


def test_labels_that_are_not_text_are_refused(tmp_path: Path) -> None:
    content = b"\xff\xfe"
    manifest = replace(_manifest(), labels=file_entry("labels.txt", content))
    write_bundle(tmp_path / "model.evb", manifest, {**FILES, "labels.txt": content})
    with pytest.raises(BundleError, match=r"labels\.txt: is not UTF-8 text"):
        read_bundle(tmp_path / "model.evb")


def test_a_path_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such bundle"):
        read_bundle(tmp_path / "absent.evb")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(BundleError, match="cannot be read as a zip of a bundle"):
        read_bundle(tmp_path / "text.zip")


def test_other_zips_files_and_folders_are_no_damaged_bundles(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    (tmp_path / "model_openvino").mkdir()
    for name in ("model.keras", "model.onnx", "model_openvino"):
        with pytest.raises(BundleError, match="is not a bundle, .*edgevision convert makes one"):
            read_bundle(tmp_path / name)


def test_an_existing_output_is_kept_unless_it_is_a_bundle_and_force_is_set(
    bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="already exists; pass --force to replace it"):
        write_bundle(bundle, _manifest(), FILES)
    write_bundle(bundle, replace(_manifest(), created="later"), FILES, force=True)
    assert read_bundle(bundle).manifest.created == "later"
    precious = tmp_path / "precious.evb"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="exists and is not a bundle"):
        write_bundle(precious, _manifest(), FILES, force=True)
    assert (precious / "thesis.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.evb", "precious.evb"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("model.zip", r"ends in \.evb"), ("absent/model.evb", "does not exist; run: mkdir -p")],
)
def test_an_impossible_output_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        write_bundle(tmp_path / name, _manifest(), FILES)


def test_a_full_disk_leaves_nothing_but_the_old_bundle_intact(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_bundle(bundle, replace(_manifest(), created="later"), FILES, force=True)
    assert [path.name for path in bundle.parent.iterdir()] == ["model.evb"]
    assert read_bundle(bundle).manifest == _manifest()


@pytest.mark.skipif(
    shutil.which("mount") is None or os.geteuid() != 0, reason="needs root, to mount a small disk"
)
def test_a_disk_that_is_really_full_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        big = {**FILES, "labels.txt": b"x" * 200_000}
        with pytest.raises(OutputError, match="No space left on device; nothing was left behind"):
            write_bundle(disk / "model.evb", _manifest(), big)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_is_not_writable_is_refused() -> None:
    # Not even root may make a folder in /proc.
    with pytest.raises(OutputError, match=r"model\.evb: .*cannot be written"):
        write_bundle(Path("/proc/model.evb"), _manifest(), FILES)


def test_a_process_that_is_killed_while_it_writes_leaves_no_bundle(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "import test_storage as t, edgevision.system.files as f\n"
        "f._put_in_place = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.write_bundle(Path(sys.argv[1]) / 'model.evb', t._manifest(), t.FILES)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path, Path(__file__).parent], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "model.evb").exists()
    write_bundle(tmp_path / "model.evb", _manifest(), FILES)
    assert read_bundle(tmp_path / "model.evb").manifest == _manifest()
    assert [path.name for path in tmp_path.iterdir()] == ["model.evb"]  # what the dead writer left is gone


def test_a_link_to_itself_is_refused(bundle: Path) -> None:
    (bundle / "evidence.json").unlink()
    (bundle / "evidence.json").symlink_to("evidence.json")
    with pytest.raises(BundleError, match=r"evidence\.json: is a link"):
        open_bundle(bundle)


def test_a_zip_of_two_bundles_is_refused(bundle: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for top in ("a", "b"):
            archive.write(bundle / "manifest.json", f"{top}/manifest.json")
    with pytest.raises(BundleError, match="holds 2 bundles, expected one"):
        open_bundle(packed)
