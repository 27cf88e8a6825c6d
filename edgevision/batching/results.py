"""The table of results of a batch: parts, each a file that is written whole, in the folder of its run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from edgevision.batching.rows import BatchRow
from edgevision.batching.table_forms import TableForm
from edgevision.errors import OutputError
from edgevision.streaming.records import ABSTAINED, FAILED, OK
from edgevision.system.files import remove_file

#: A part is closed at this many rows, or when its first row is this old: that much is worked on again at most
#: after a run was killed.
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
    """A table of results, for one process at a time; a context manager, whose end writes what is pending.

    Args:
        folder: where its parts are, ``part-000000.parquet`` and so on; those that are there are read.
        form: of its parts.
        part_rows: rows of a part.

    Attributes:
        counts: rows by status, ``ok``, ``failed`` and ``abstained``, of the whole table.

    Raises:
        OutputError: a part is damaged.
    """

    def __init__(self, folder: Path, form: TableForm, part_rows: int = PART_ROWS) -> None:
        self._folder = folder
        self._form = form
        self._part_rows = part_rows
        self._pending: list[BatchRow] = []
        self._pending_since_s = 0.0
        self._replaced: dict[int, set[bytes]] = {}
        self._rows_of_part: dict[int, int] = {}
        self.counts = {OK: 0, FAILED: 0, ABSTAINED: 0}
        self._known = self._read()

    @property
    def parts(self) -> list[dict[str, object]]:
        """Name and number of rows of each file."""
        return [
            {"file": self._path(part).name, "rows": rows} for part, rows in sorted(self._rows_of_part.items())
        ]

    def __enter__(self) -> ResultTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, OutputError):  # where nothing can be written, nothing is tried
            self._flush()

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

    def complete(self) -> None:
        """Write what is pending, and take out rows that were replaced.

        Raises:
            OutputError: something cannot be written; running again goes on from there.
        """
        self._flush()
        for part, keys in sorted(self._replaced.items()):
            self._take_out(part, keys)
        self._replaced = {}

    def _read(self) -> _KnownRows:
        """The rows that are there. Of two about one image, as a killed run may leave, the later stays."""
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
        """Make ready for `find`; returns part -> keys of the images about which a later part has a row."""
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
