"""Hostile archives and folders: zip bundles with any bytes changed, and those that somebody thought of."""

from __future__ import annotations

import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from edgevision.bundle.storage import archive_of
from fuzz.harness import Attempt, EscapeError, Kind
from fuzz.opened import bases

#: Contents of a good bundle: name -> content.
Contents = Mapping[str, bytes]
Hostile = Callable[[Path, Contents], object]


def members(*entries: tuple[Any, bytes], method: int = zipfile.ZIP_DEFLATED) -> Hostile:
    """A zip with more members."""

    def make(path: Path, contents: Contents) -> None:
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
            warnings.simplefilter("ignore")  # a name twice
            for name, content in [*contents.items(), *entries]:
                archive.writestr(name, content)

    return make


def in_folder(change: Callable[[Path], object]) -> Hostile:
    """A folder that is changed afterwards."""

    def make(path: Path, contents: Contents) -> None:
        for name, content in contents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        change(path)

    return make


def pipe_as(name: str) -> Hostile:
    """A folder in which a pipe stands in place of a file."""

    def change(path: Path) -> None:
        file = next(path.glob(name))
        file.unlink()
        os.mkfifo(file)

    return in_folder(change)


def _link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("link")
    member.external_attr = 0o120777 << 16
    return member


def _moved_and_linked(path: Path) -> None:
    shutil.rmtree(path.parent / "artifacts", ignore_errors=True)
    shutil.move(path / "artifacts", path.parent / "artifacts")
    (path / "artifacts").symlink_to(path.parent / "artifacts")


def _hard_link(path: Path) -> None:
    (path.parent / "labels.txt").unlink(missing_ok=True)
    os.link(path / "labels.txt", path.parent / "labels.txt")


HOSTILE: dict[str, Hostile] = {
    "a second manifest": members(("manifest.json", b"{}")),
    "a second file of labels": members(("labels.txt", b"dog\ncat\n")),
    "labels under another spelling": members(("./labels.txt", b"dog\ncat\n")),
    "an unlisted file": members(("run.sh", b"rm -rf /")),
    "a link": members((_link(), b"/etc/passwd")),
    "a folder of nothing in a zip": members(("more/", b"")),
    "LZMA": members(method=zipfile.ZIP_LZMA),
    "BZIP2": members(method=zipfile.ZIP_BZIP2),
    "a name that leads out": members(("../../evil", b"")),
    "an absolute name": members(("/evil", b"")),
    "a name with an end of line": members(("a\nb", b"")),
    "a bomb": members(("bomb", bytes(20_000_000))),
    "other content before the zip": lambda path, contents: path.write_bytes(
        b"#!/bin/sh\n" + archive_of(contents)
    ),
    "an empty file": lambda path, _: path.write_bytes(b""),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path, _: path.symlink_to(path.name),
    "an empty folder": lambda path, _: path.mkdir(),
    "a pipe as manifest": pipe_as("manifest.json"),
    "a pipe as labels": pipe_as("labels.txt"),
    "a pipe as artifact": pipe_as("artifacts/*/*"),
    "a huge manifest": in_folder(lambda path: os.truncate(path / "manifest.json", 1 << 40)),
    "a device as evidence": in_folder(
        lambda path: ((path / "evidence.json").unlink(), (path / "evidence.json").symlink_to("/dev/zero"))
    ),
    "a folder as labels": in_folder(
        lambda path: ((path / "labels.txt").unlink(), (path / "labels.txt").mkdir())
    ),
    "an unlisted file in the folder": in_folder(lambda path: (path / "notes.txt").write_text("")),
    "a hidden unlisted file": in_folder(lambda path: (path / ".hidden").write_text("")),
    "an unlisted file beside the artifact": in_folder(
        lambda path: next(path.glob("artifacts/*")).joinpath("model.extra").write_text("")
    ),
    "a link to a folder": in_folder(_moved_and_linked),
    "a folder of nothing": in_folder(lambda path: (path / "more").mkdir()),
    "folders in folders": in_folder(lambda path: path.joinpath(*["a"] * 200).mkdir(parents=True)),
    "a hard link": in_folder(_hard_link),
    "a signature that is a pipe": in_folder(lambda path: os.mkfifo(path / "model.sig")),
}


def _mutated(random: Random, good: bytes) -> bytes:
    damaged = bytearray(good)
    for _ in range(random.choice((1, 1, 4, 32))):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    return bytes(damaged[: random.randrange(len(damaged))] if random.random() < 0.2 else damaged)


def open_archives(folder: Path, only: str) -> Callable[[Random], Attempt]:
    """See `Kind.open`."""
    known = [basis for basis in bases(folder) if only in basis.format]
    zipped = {basis.format: archive_of(basis.contents) for basis in known}

    def make(random: Random) -> Attempt:
        basis = random.choice(known)
        path = folder / "hostile.evb"
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:  # rmtree would wait for the other end of a pipe
            path.unlink(missing_ok=True)
        way = random.choice(["changed bytes"] * len(HOSTILE) + sorted(HOSTILE))
        if way == "changed bytes":
            path.write_bytes(_mutated(random, zipped[basis.format]))
            return Attempt({"format": basis.format, "way": way}, lambda: basis.use(path))
        HOSTILE[way](path, basis.contents)
        return Attempt({"format": basis.format, "way": way}, lambda: _refused(basis.use(path)))

    return make


def _refused(_: str) -> None:
    raise EscapeError("a hostile bundle was opened")


ARCHIVES = Kind("archives", 60, open_archives)
