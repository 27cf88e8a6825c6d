"""Whatever is done to a bundle, it is opened as it was written, or refused with a `BundleError`."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_storage import FILES, _manifest, write_manifest

from edgevision.bundle.manifest import from_json, read_manifest, to_json
from edgevision.bundle.storage import bundle_archive, read_bundle, write_bundle
from edgevision.errors import BundleError

#: With other seeds for ``EDGEVISION_FUZZ_SEED``, and more of each for ``EDGEVISION_FUZZ_COUNT``.
SEED, COUNT = (
    int(os.environ.get("EDGEVISION_FUZZ_SEED", "0")),
    int(os.environ.get("EDGEVISION_FUZZ_COUNT", "1")),
)

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**19, 0.0, -0.0, 0.5, 1e-300, 1e300),
    *("", "a", "/", "..", "../a", "/etc/passwd", "a\\b", "x" * 10_000, "ä", "\n", "\x1b[2J", "manifest.json"),
    *([], [None], [1], ["a"], [[]], [{}], list(range(5)), {}, {"": 0}, {"a": None}, {"name": "classify"}),
    *([0, 0], [1, 0], [-1, 5], [1e300, 1e300], [2**40, 2**40], {"scale": 0, "zero_point": 0}),
]
#: What `json.dumps` does not write.
TEXTS = [
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1" * 5000,
        "-" + "9" * 21,
        '"\\ud800"',
        '"\\u0000"',
        '"a\\u0000b"',
    ),
    *("[" * 150 + "]" * 150, '{"a":1,"a":2}', '{"path":"a","path":"b"}', "tru", "'a'", '"\x01"'),
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _places(inner, (*path, name))


def _replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return copy


def _tried(text: str | bytes) -> str:
    """What becomes of the text of a manifest."""
    try:
        manifest, _ = read_manifest(text, "manifest.json")
    except BundleError as error:
        str(error).encode()
        return "refused"
    to_json(manifest).encode()  # what was read can be written again
    return "read"


DOCUMENT = json.loads(to_json(_manifest()))


@pytest.mark.parametrize("version", [1, 2])
def test_any_value_in_any_field_of_a_manifest_is_read_or_refused(version: int) -> None:
    from edgevision.bundle.manifest import digest_of

    original = {**DOCUMENT, "schema_version": version}
    seen = {"read": 0, "refused": 0}
    for path in _places(original):
        for value in VALUES:
            document = _replaced(original, path, value)
            if version == 1:
                document.pop("digest", None)
            elif path != ("digest",):
                document["digest"] = digest_of(document)
            seen[_tried(json.dumps(document))] += 1
        missing = _replaced(original, path, "MARK")
        for text in TEXTS:
            assert _tried(json.dumps(missing).replace('"MARK"', text)) == "refused", (path, text)
    assert seen["refused"] > 5 * seen["read"] > 0


def test_no_flipped_bit_of_a_manifest_changes_what_it_says() -> None:
    text = to_json(_manifest()).encode()
    choose = random.Random(SEED)  # noqa: S311
    for _ in range(700 * COUNT):
        damaged = bytearray(text)
        damaged[choose.randrange(len(text))] ^= 1 << choose.randrange(8)
        if _tried(bytes(damaged)) == "read":
            assert from_json(bytes(damaged), "manifest.json") == _manifest()


def _opened(path: Path) -> str:
    started = time.monotonic()
    try:
        bundle = read_bundle(path)
    except BundleError:
        assert time.monotonic() - started < 10
        return "refused"
    assert bundle.manifest == _manifest()
    assert bundle.labels == ("cat", "dog")
    return "read"


def test_no_damage_to_a_zip_changes_what_is_in_it(tmp_path: Path) -> None:
    good = bundle_archive(_manifest(), FILES)
    choose, path = random.Random(SEED + 1), tmp_path / "model.evb"  # noqa: S311
    for _ in range(400 * COUNT):
        damaged = bytearray(good)
        for _ in range(choose.choice((1, 1, 4, 32))):
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        if choose.random() < 0.2:
            damaged = damaged[: choose.randrange(len(damaged))]
        path.write_bytes(bytes(damaged))
        _opened(path)


def _members(*entries: tuple[Any, bytes], method: int = zipfile.ZIP_DEFLATED) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in {"manifest.json": to_json(_manifest()).encode(), **FILES}.items():
                archive.writestr(name, content)
            for name, content in entries:
                archive.writestr(name, content)

    return make


def _in_folder(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write_bundle(path, _manifest(), FILES)
        change(path)

    return make


def _pipe_as(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        (path / name).unlink()
        os.mkfifo(path / name)

    return _in_folder(change)


def _link(path: Path) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("link")
    member.external_attr = 0o120777 << 16
    return member


def _moved_and_linked(path: Path) -> None:
    shutil.move(path / "artifacts", path.parent / "artifacts")
    (path / "artifacts").symlink_to(path.parent / "artifacts")


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a second manifest": _members(("manifest.json", b"{}")),
    "a second file of labels": _members(("labels.txt", b"dog\ncat\n")),
    "labels under another spelling": _members(("./labels.txt", b"dog\ncat\n")),
    "an unlisted file": _members(("run.sh", b"rm -rf /")),
    "a link": _members((_link(Path()), b"/etc/passwd")),
    "LZMA": _members(method=zipfile.ZIP_LZMA),
    "BZIP2": _members(method=zipfile.ZIP_BZIP2),
    "a name that leads out": _members(("../../evil", b"")),
    "an absolute name": _members(("/evil", b"")),
    "a name with an end of line": _members(("a\nb", b"")),
    "a bomb": _members(("bomb", bytes(20_000_000))),
    "other content before the zip": lambda path: path.write_bytes(
        b"#!/bin/sh\n" + bundle_archive(_manifest(), FILES)
    ),
    "an empty file": lambda path: path.write_bytes(b""),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "an empty folder": Path.mkdir,
    "a pipe as manifest": _pipe_as("manifest.json"),
    "a pipe as labels": _pipe_as("labels.txt"),
    "a pipe as artifact": _pipe_as("artifacts/fake-int8/model.fake"),
    "a huge manifest": _in_folder(lambda path: os.truncate(path / "manifest.json", 1 << 40)),
    "a device as evidence": _in_folder(
        lambda path: ((path / "evidence.json").unlink(), (path / "evidence.json").symlink_to("/dev/zero"))
    ),
    "a folder as labels": _in_folder(
        lambda path: ((path / "labels.txt").unlink(), (path / "labels.txt").mkdir())
    ),
    "an unlisted file in the folder": _in_folder(lambda path: (path / "notes.txt").write_text("")),
    "a hidden unlisted file": _in_folder(lambda path: (path / ".hidden").write_text("")),
    "an unlisted file beside the artifact": _in_folder(
        lambda path: (path / "artifacts" / "fake-int8" / "model.bin").write_text("")
    ),
    "a link to a folder": _in_folder(_moved_and_linked),
    "a hard link": _in_folder(lambda path: os.link(path / "labels.txt", path.parent / "labels.txt")),
    "a signature that is a pipe": _in_folder(lambda path: os.mkfifo(path / "model.sig")),
}


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_bundle_is_refused_at_once(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.evb"
    HOSTILE[case](path)
    assert _opened(path) == "refused"


def test_a_manifest_with_a_field_that_nobody_knows_is_refused() -> None:
    for path in _places(DOCUMENT):
        place = DOCUMENT
        for name in path:
            place = place[name]
        if isinstance(place, dict) and path[:1] not in (("versions",),):
            with pytest.raises(BundleError):
                read_manifest(json.dumps(_replaced(DOCUMENT, (*path, "unknown"), 1)), "manifest.json")


def test_a_damaged_known_answer_is_a_bundle_error(tmp_path: Path) -> None:
    import io

    import numpy as np

    from edgevision.bundle.known_answers import read_known_answers
    from edgevision.imaging.preprocess import Preprocessing

    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, images=np.zeros((2, 4, 4, 3), np.uint8), **{"a/scores": np.zeros((2, 3), np.float32)}
    )
    good, choose, how = buffer.getvalue(), random.Random(SEED + 2), Preprocessing((4, 4), (0.0, 1.0))  # noqa: S311
    assert read_known_answers(good, how, "selftest.npz").outputs["a"]["scores"].shape == (2, 3)
    for _ in range(400 * COUNT):
        damaged = bytearray(good)
        for _ in range(choose.choice((1, 3, 20))):
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        try:
            read_known_answers(bytes(damaged), how, "selftest.npz")
        except BundleError:
            continue


def test_replacing_a_bundle_removes_what_its_manifest_lists_and_nothing_else(tmp_path: Path) -> None:
    from edgevision.errors import OutputError

    path = tmp_path / "model.evb"
    write_bundle(path, _manifest(), FILES)
    (path / "artifacts" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        OutputError, match=r"no part of the bundle \(artifacts/thesis.txt\), so it is not replaced"
    ):
        write_bundle(path, _manifest(), FILES, force=True)
    (path / "artifacts" / "thesis.txt").unlink()
    document = json.loads((path / "manifest.json").read_text())
    document["labels"]["path"] = "../precious.txt"
    (tmp_path / "precious.txt").write_text("years of work")
    write_manifest(path, document)
    with pytest.raises(OutputError, match="its manifest cannot be read"):
        write_bundle(path, _manifest(), FILES, force=True)
    assert (tmp_path / "precious.txt").exists()
