"""Damaged manifests: bytes of one as it was, and any value in any field of one whose digest was mended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from edgevision.bundle.layout import MANIFEST
from edgevision.bundle.manifest import digest_of, read_manifest, to_json
from fuzz.bundles import BYTES
from fuzz.harness import Attempt, EscapeError, Kind
from fuzz.opened import Basis, bases

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**19, 0.0, -0.0, 0.5, 1e-300, 1e300),
    *("", "a", "/", "..", "../a", "/etc/passwd", "a\\b", "x" * 10_000, "ä", "\n", "\x1b[2J", "manifest.json"),
    *([], [None], [1], ["a"], [[]], [{}], list(range(5)), {}, {"": 0}, {"a": None}, {"name": "classify"}),
    *([0, 0], [1, 0], [-1, 5], [1e300, 1e300], [2**40, 2**40], {"scale": 0, "zero_point": 0}),
]
#: What `json.dumps` does not write.
TEXTS = [
    *("NaN", "Infinity", "-Infinity", "1e400", "1" * 5000, "-" + "9" * 21),
    *('"\\ud800"', '"\\u0000"', '"a\\u0000b"', "[" * 150 + "]" * 150, '{"a":1,"a":2}'),
    *('{"path":"a","path":"b"}', "tru", "'a'", '"\x01"'),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field of a document, nested ones too."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*path, name))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a document with another value in one field."""
    changed = json.loads(json.dumps(document))
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


def open_manifests(folder: Path, only: str) -> Callable[[Random], Attempt]:
    """See `Kind.open`."""
    known = [basis for basis in bases(folder) if only in basis.format]

    def make(random: Random) -> Attempt:
        basis = random.choice(known)
        text = basis.contents[MANIFEST]
        path = folder / "damaged.evb"
        shutil.rmtree(path, ignore_errors=True)
        if random.random() < 0.5:
            way = random.choice(sorted(BYTES))
            basis.write(path, {MANIFEST: BYTES[way](random, text)})
            return Attempt({"format": basis.format, "damage": way}, lambda: _use_as_it_was(basis, path))
        document = json.loads(text)
        place = random.choice(list(places(document)))
        changed, way = _with_other_value(random, document, place)
        basis.write(path, {MANIFEST: changed.encode("utf-8", "surrogatepass")})
        facts = {"format": basis.format, "field": "/".join(map(str, place)), "value": way[:40]}
        return Attempt(facts, lambda: _use_mended(basis, path))

    return make


def _with_other_value(random: Random, document: Any, place: tuple[Any, ...]) -> tuple[str, str]:
    if random.random() < 0.25:
        text = random.choice(TEXTS)
        return json.dumps(replaced(document, place, "MARK")).replace('"MARK"', text, 1), ascii(text)
    value = random.choice(VALUES)
    changed = replaced(document, place, value)
    if isinstance(changed, dict) and place != ("digest",):
        changed["digest"] = digest_of(changed)
    return json.dumps(changed), repr(value)


def _use_as_it_was(basis: Basis, path: Path) -> None:
    basis.use(path)
    if read_manifest((path / MANIFEST).read_bytes(), MANIFEST)[0] != basis.manifest:
        raise EscapeError("another manifest in silence")


def _use_mended(basis: Basis, path: Path) -> None:
    """Whoever mends a digest may say what he likes: it is read and written again, or refused."""
    manifest, _ = read_manifest((path / MANIFEST).read_bytes(), MANIFEST)
    to_json(manifest).encode()
    import edgevision as ev

    with ev.load(path, selftest="never") as model:
        model.session.run({spec.name: _zeros(spec) for spec in model.session.inputs})


def _zeros(spec: Any) -> Any:
    import numpy as np

    return np.zeros(spec.with_batch(1), spec.dtype)


MANIFESTS = Kind("manifests", 700, open_manifests)
