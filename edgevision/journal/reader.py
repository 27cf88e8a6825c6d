"""Reading a journal: rows one after the other, and the frames that were kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from edgevision.errors import JournalError, OptionError, first_line
from edgevision.imaging.frame import Frame
from edgevision.journal.chain import JournalHead
from edgevision.journal.database import head_of, open_for_reading
from edgevision.journal.frames import unpacked
from edgevision.system.arguments import instance, one_path
from edgevision.system.reading import MOST_IMAGE_BYTES, MOST_SETTINGS_BYTES
from edgevision.system.strict_json import JsonError, read_json

#: Rows that are read at once: a reader that stays between two rows must not hold up the writer's log.
_AT_ONCE = 64


@dataclass(frozen=True)
class JournalRow:
    """One row of a journal.

    Attributes:
        seq: its number, from 1.
        kind: ``opened``, ``model``, ``answer``, ``dropped``, ``skipped`` or ``closed``.
        at: UTC, ISO 8601, as the wall clock said.
        document: all of its fields.
        digest: its hash, which covers all rows up to it; 64 hexadecimal digits.
    """

    seq: int
    kind: str
    at: str
    document: Mapping[str, Any]
    digest: str

    @property
    def status(self) -> str:
        """The status of an answer; empty for other rows."""
        return str(self.document.get("status", ""))

    @property
    def frame_is_kept(self) -> bool:
        """True if the frame itself was stored."""
        frame = self.document.get("frame")
        return isinstance(frame, dict) and isinstance(frame.get("kept"), dict)


class StoredRow(NamedTuple):
    """A row as the file has it.

    Attributes:
        seq: its number.
        record: its text; `None` if that is not UTF-8 of a possible size.
        digest: its hash.
    """

    seq: int
    record: str | None
    digest: bytes


class JournalReader:
    """A journal that is open for reading; iterating gives every `JournalRow`, as they were written.

    The rows are not verified: `verify_journal` does that. A journal that is being written can be read.

    Args:
        path: the file.

    Raises:
        JournalError: it is missing, not a journal, damaged, or of a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = one_path(path, "path")
        self._connection = open_for_reading(self._path)

    @property
    def head(self) -> JournalHead:
        """The end of the chain, as the file says.

        Raises:
            JournalError: the file is damaged.
        """
        try:
            rows, digest = head_of(self._connection)
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        return JournalHead(rows, digest.hex())

    def __iter__(self) -> Iterator[JournalRow]:
        for stored in self.stored_rows():
            yield self._row(stored)

    def stored_rows(self) -> Iterator[StoredRow]:
        """The rows as the file has them, in the order of their numbers.

        Raises:
            JournalError: the file is damaged.
        """
        last = 0
        while rows := self._rows_after(last):
            for row in rows:
                if row.seq <= last:  # a damaged tree
                    raise JournalError(f"{self._path}: damaged after row {last}: its rows are not in order")
                last = row.seq
                yield row

    def frame_content(self, seq: int) -> bytes | None:
        """The content of the frame of a row, as it was stored; `None` if there is none.

        Raises:
            JournalError: the file is damaged.
        """
        try:
            row = self._connection.execute(
                "SELECT CASE WHEN typeof(content) = 'blob' AND length(content) <= ? THEN content END "
                "FROM frames WHERE seq = ?",
                (MOST_IMAGE_BYTES, seq),
            ).fetchone()
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        return None if row is None or row[0] is None else bytes(row[0])

    def frame_numbers(self) -> Iterator[int]:
        """The numbers of the rows for which a frame is stored, in their order."""
        last = 0
        while True:
            try:
                query = "SELECT seq FROM frames WHERE seq > ? ORDER BY seq LIMIT ?"
                found = [int(seq) for (seq,) in self._connection.execute(query, (last, _AT_ONCE))]
            except sqlite3.Error as error:
                raise self._damaged(error) from error
            yield from found
            if not found or found[-1] <= last:
                return
            last = found[-1]

    def frame(self, row: JournalRow) -> Frame | None:
        """The frame of a row, exactly as the model had it; `None` if it was not kept.

        Raises:
            JournalError: it was removed, altered or damaged since.
        """
        row = instance(row, JournalRow, "row")
        if not row.frame_is_kept:
            return None
        where = f"{self._path}: row {row.seq}"
        content = self.frame_content(row.seq)
        if content is None:
            raise JournalError(f"{where}: its frame was kept, and is not there any more")
        return unpacked(content, row.document["frame"], where)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rows_after(self, seq: int) -> list[StoredRow]:
        query = (
            "SELECT seq, CASE WHEN length(record) <= ? THEN CAST(record AS BLOB) END, "
            "CASE WHEN length(hash) <= 64 THEN CAST(hash AS BLOB) END "
            "FROM rows WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        limits = MOST_SETTINGS_BYTES, seq, _AT_ONCE
        try:
            return [
                StoredRow(int(number), _text(record), bytes(digest or b""))
                for number, record, digest in self._connection.execute(query, limits)
            ]
        except sqlite3.ProgrammingError as error:
            raise OptionError(f"{self._path}: this journal is closed; open it again") from error
        except sqlite3.Error as error:
            raise self._damaged(error, seq) from error

    def _row(self, stored: StoredRow) -> JournalRow:
        document = document_of_row(stored)
        if document is None:
            raise JournalError(
                f"{self._path}: row {stored.seq} cannot be read (altered or damaged?); run "
                f"edgevision journal verify {self._path}"
            )
        return JournalRow(stored.seq, document["kind"], document["at"], document, stored.digest.hex())

    def _damaged(self, error: sqlite3.Error, seq: int = 0) -> JournalError:
        return JournalError(f"{self._path}: damaged after row {seq}: {first_line(error)}")


def document_of_row(stored: StoredRow) -> dict[str, Any] | None:
    """The fields of a row; `None` if it does not have the form of one."""
    try:
        document = read_json(stored.record or "")
    except JsonError:
        return None
    if not isinstance(document, dict) or not isinstance(document.get("seq"), int):
        return None
    if not all(isinstance(document.get(name), str) for name in ("kind", "at")):
        return None
    return document


def read_journal(path: str | Path) -> JournalReader:
    """Open a journal for reading: ``with read_journal("runs.db") as journal: for row in journal: …``.

    Raises:
        JournalError: it is missing, not a journal, damaged, or of a newer version.
    """
    return JournalReader(path)


def _text(record: bytes | None) -> str | None:
    try:
        return None if record is None else record.decode("utf-8")
    except UnicodeDecodeError:
        return None
