"""The table of results of a batch: a folder of parts, each written whole, which a killed run goes on from.

The folder has ``part-000000.parquet`` and so on, and ``_batch.json``, which says what the rows are about. Programs
that read folders of Parquet, such as pandas and DuckDB, pass over a name that begins with an underscore.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgevision._version import __version__
from edgevision.batching.rows import BatchRow
from edgevision.batching.table_forms import TableForm
from edgevision.errors import OptionError, OutputError
from edgevision.streaming.records import ABSTAINED, FAILED, OK
from edgevision.system.files import FileLock, make_folder, remove_file, write_file
from edgevision.system.machine import now
from edgevision.system.reading import MOST_DOCUMENT_BYTES, read_file
from edgevision.system.strict_json import JsonError, read_json

MANIFEST = "_batch.json"
SCHEMA = 1
#: A part is closed at this many rows, or when its first row is this old: that much is worked on again at most after a
#: run was killed.
PART_ROWS = 10_000
_PART_S = 30.0
_PART = re.compile(r"part-(\d{6,})")
#: Bytes of a key: the last one is never 0, which NumPy would cut off.
_KEY_BYTES, _SHA_BYTES = 16, 32


class KnownRow(NamedTuple):
    """A row that is there already.

    Attributes:
        same_stamp: whether size and time, or ETag, of its image are those of now.
        sha256: of its bytes; empty if another try may give another row.
        part: number of its part.
    """

    same_stamp: bool
    sha256: str
    part: int


class ResultTable:
    """A table of results, for one process at a time; a context manager.

    Args:
        folder: where it is; created, or gone on with if it has a table of the same facts.
        form: of its parts.
        facts: JSON values of what decides the rows: digest of the bundle, settings.
        part_rows: rows of a part.

    Attributes:
        counts: rows by status, ``ok``, ``failed`` and ``abstained``, of the whole table.

    Raises:
        OutputError: the folder has something else, a damaged part, or another process writes to it.
        OptionError: its rows are about another bundle or other settings.
    """

    def __init__(
        self, folder: Path, form: TableForm, facts: Mapping[str, Any], part_rows: int = PART_ROWS
    ) -> None:
        self._folder = folder
        self._form = form
        self._facts = {"format": form.suffix[1:], **facts}
        self._part_rows = part_rows
        self._pending: list[BatchRow] = []
        self._pending_since_s = 0.0
        self._replaced: dict[int, set[bytes]] = {}
        self.counts = {OK: 0, FAILED: 0, ABSTAINED: 0}
        make_folder(folder)
        self._lock = _lock(folder)
        try:
            self._rows_of_part: dict[int, int] = {}
            self._started = self._open()
            self._known = self._read()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> ResultTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None or not issubclass(
                kind, OutputError
            ):  # where nothing can be written, nothing is tried
                self._flush()
        finally:
            self._lock.release()

    def known(self, uri: str, stamp: str) -> KnownRow | None:
        """The row about an image; `None` if there is none.

        Args:
            uri: of the image.
            stamp: its present size and time, or ETag; empty if unknown, which is never the same.
        """
        return self._known.find(uri, stamp)

    def add(self, row: BatchRow) -> None:
        """Add a row; one about the same image in an earlier part is taken out when the table is closed.

        Raises:
            OutputError: a part cannot be written.
        """
        known = self._known.find(row.uri, "")
        if known is not None:
            self._replaced.setdefault(known.part, set()).add(_key(row.uri))
        if not self._pending:
            self._pending_since_s = time.monotonic()
        self._pending.append(row)
        self._count(row, 1)
        if len(self._pending) >= self._part_rows or time.monotonic() - self._pending_since_s > _PART_S:
            self._flush()

    def complete(self, facts: Mapping[str, Any]) -> None:
        """Write what is left, take out rows that were replaced, and state in the manifest that all is there.

        Args:
            facts: JSON values about the run.

        Raises:
            OutputError: something cannot be written; running again goes on from there.
        """
        self._flush()
        for part, keys in sorted(self._replaced.items()):
            self._take_out(part, keys)
        self._replaced = {}
        parts = [
            {"file": self._path(part).name, "rows": rows} for part, rows in sorted(self._rows_of_part.items())
        ]
        self._write_manifest("complete", {"finished": now(), **facts, "counts": self.counts, "parts": parts})

    def _open(self) -> str:
        """Check what is in the folder, and return when the table was begun."""
        path = self._folder / MANIFEST
        if not path.exists():
            others = sorted(one.name for one in self._folder.iterdir() if not one.name.startswith(("_", ".")))
            if others:
                raise OutputError(
                    f"{self._folder}: has files that are not results of a batch ({', '.join(others[:3])}); choose an "
                    "empty folder"
                )
            self._started = now()
            self._write_manifest("running", {})
            return self._started
        try:
            document = read_json(read_file(path, MOST_DOCUMENT_BYTES))
            begun, facts = str(document["started"]), document["facts"]
            if document["schema_version"] > SCHEMA:
                raise OutputError(f"{path}: a newer edgevision wrote it; run: pip install -U edgevision")
        except (OSError, JsonError, KeyError, TypeError) as error:
            raise OutputError(
                f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}; choose another folder"
            ) from error
        own = json.loads(json.dumps(self._facts))
        for name in {*facts, *own}:
            if facts.get(name) != own.get(name):
                raise OptionError(
                    f"{self._folder}: has results with {name.replace('_', ' ')} {facts.get(name)}, and this run has "
                    f"{own.get(name)}; choose another folder"
                )
        self._started = begun
        self._write_manifest("running", {})
        return begun

    def _write_manifest(self, state: str, facts: Mapping[str, Any]) -> None:
        document = {
            "schema_version": SCHEMA,
            "edgevision": __version__,
            "state": state,
            "started": self._started,
            "facts": self._facts,
            **facts,
        }
        write_file(self._folder / MANIFEST, json.dumps(document, indent=2).encode() + b"\n")

    def _read(self) -> _KnownRows:
        """What is there. Of two rows about one image, which a killed run may leave, the later one stays."""
        known = _KnownRows()
        for part, path in sorted(self._parts_in_folder()):
            rows = 0
            for row in self._form.read(path):
                known.add(row, part)
                self._count(row, 1)
                rows += 1
            self._rows_of_part[part] = rows
        for part, keys in known.sort().items():
            self._take_out(part, keys)
        return known

    def _parts_in_folder(self) -> Iterator[tuple[int, Path]]:
        for path in self._folder.glob(f"part-*{self._form.suffix}"):
            match = _PART.fullmatch(path.stem)
            if match is not None:
                yield int(match[1]), path

    def _take_out(self, part: int, keys: set[bytes]) -> None:
        """Write a part without the rows about some images."""
        path = self._path(part)
        kept = []
        for row in self._form.read(path):
            if _key(row.uri) in keys:
                self._count(row, -1)
            else:
                kept.append(row)
        if kept:
            self._form.write(path, kept)
            self._rows_of_part[part] = len(kept)
        else:
            remove_file(path)
            del self._rows_of_part[part]

    def _flush(self) -> None:
        if self._pending:
            part = max(self._rows_of_part, default=-1) + 1
            self._form.write(self._path(part), self._pending)
            self._rows_of_part[part] = len(self._pending)
            self._pending = []

    def _path(self, part: int) -> Path:
        return self._folder / f"part-{part:06}{self._form.suffix}"

    def _count(self, row: BatchRow, step: int) -> None:
        self.counts[row.status.partition(":")[0]] += step


class _KnownRows:
    """The rows that are there already, in 68 bytes each: their images by key, and what was known of these."""

    def __init__(self) -> None:
        self._images, self._stamps, self._digests = bytearray(), bytearray(), bytearray()
        self._in_part: list[int] = []

    def add(self, row: BatchRow, part: int) -> None:
        digest = bytes.fromhex(row.sha256) if row.is_final and row.sha256 else b""
        self._images += _key(row.uri)
        self._stamps += _key(row.stamp)
        self._digests += digest.ljust(_SHA_BYTES, b"\0")
        self._in_part.append(part)

    def sort(self) -> dict[int, set[bytes]]:
        """Make ready for `find`; returns part -> keys of the images about which a later part has a row, too."""
        images = np.frombuffer(bytes(self._images), f"S{_KEY_BYTES}")
        parts = np.array(self._in_part, np.int64)
        order = np.lexsort((parts, images))
        images = images[order]
        is_last = np.ones(len(images), bool)
        is_last[:-1] = images[:-1] != images[1:]
        earlier: dict[int, set[bytes]] = {}
        for place in np.flatnonzero(~is_last):
            earlier.setdefault(int(parts[order[place]]), set()).add(bytes(images[place]))
        self._order = order[is_last]
        self._sorted = images[is_last]
        self._parts = parts
        return earlier

    def find(self, uri: str, stamp: str) -> KnownRow | None:
        key = _key(uri)
        place = int(np.searchsorted(self._sorted, np.bytes_(key)))
        if place == len(self._sorted) or bytes(self._sorted[place]) != key:
            return None
        row = int(self._order[place])
        digest = bytes(self._digests[row * _SHA_BYTES : (row + 1) * _SHA_BYTES])
        known_stamp = bytes(self._stamps[row * _KEY_BYTES : (row + 1) * _KEY_BYTES])
        sha256 = digest.hex() if any(digest) else ""
        return KnownRow(bool(stamp) and known_stamp == _key(stamp), sha256, int(self._parts[row]))


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES - 1).digest() + b"\1"


def _lock(folder: Path) -> FileLock:
    try:
        return FileLock(folder / "_batch")
    except BlockingIOError as error:
        raise OutputError(
            f"{folder}: another process writes results there; wait for it, or choose another folder"
        ) from error
