"""Bundles with one damaged file, and their manifest as it was: refused, or read as they were written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from edgevision.bundle.layout import MANIFEST
from fuzz.harness import Attempt, Kind
from fuzz.opened import Basis, bases


def _flip(random: Random, content: bytes) -> bytes:
    damaged = bytearray(content or b"\0")
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _overwrite(random: Random, content: bytes) -> bytes:
    start = random.randrange(len(content) + 1)
    block = random.choice((bytes(64), b"\xff" * 64, random.randbytes(64)))
    return content[:start] + block + content[start + 64 :]


def _cut(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _extend(random: Random, content: bytes) -> bytes:
    return content + random.randbytes(random.choice((1, 4, 4096)))


def _swap(random: Random, content: bytes) -> bytes:
    start, length = random.randrange(len(content) + 1), random.choice((1, 8, 64))
    parts = content[start : start + length], content[start + length : start + 2 * length]
    return content[:start] + parts[1] + parts[0] + content[start + 2 * length :]


BYTES = {"flip": _flip, "overwrite": _overwrite, "cut": _cut, "extend": _extend, "swap": _swap}
#: What may stand in place of a file, or beside it: file, good content.
PLACES: dict[str, Callable[[Path, bytes], object]] = {
    "removed": lambda file, _: file.unlink(),
    "empty": lambda file, _: file.write_bytes(b""),
    "a pipe": lambda file, _: (file.unlink(), os.mkfifo(file)),
    "a folder": lambda file, _: (file.unlink(), file.mkdir()),
    "a link to its copy": lambda file, good: (
        file.rename(file.with_name("copy")),
        file.symlink_to(file.with_name("copy")),
    ),
    "a link to itself": lambda file, _: (file.unlink(), file.symlink_to(file.name)),
    "a device": lambda file, _: (file.unlink(), file.symlink_to("/dev/zero")),
    "a hard link": lambda file, _: os.link(file, file.with_name("other")),
    "huge": lambda file, _: os.truncate(file, 1 << 40),
    "renamed": lambda file, _: file.rename(file.with_name("renamed")),
    "with another beside it": lambda file, _: file.with_name("extra.bin").write_bytes(b"x"),
}


def open_bundles(folder: Path, only: str) -> Callable[[Random], Attempt]:
    """See `Kind.open`."""
    known = [basis for basis in bases(folder) if only in basis.format]

    def make(random: Random) -> Attempt:
        basis = random.choice(known)
        name = random.choice([name for name in sorted(basis.contents) if name != MANIFEST])
        path = folder / "damaged.evb"
        shutil.rmtree(path, ignore_errors=True)
        basis.write(path)
        if random.random() < 0.8:
            way = random.choice(sorted(BYTES))
            (path / name).write_bytes(BYTES[way](random, basis.contents[name]))
        else:
            way = random.choice(sorted(PLACES))
            PLACES[way](path / name, basis.contents[name])
        return Attempt({"format": basis.format, "file": name, "damage": way}, lambda: _use(basis, path))

    return make


def _use(basis: Basis, path: Path) -> None:
    import edgevision as ev

    basis.use(path)
    bundle = ev.read_bundle(path)  # checks every file: what it accepts is as it was written
    assert {
        entry.path: bundle.read(entry) for entry in bundle.manifest.files()
    }.items() <= basis.contents.items()


BUNDLES = Kind("bundles", 1300, open_bundles)
