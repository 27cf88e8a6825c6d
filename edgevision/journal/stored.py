"""The rows and frames of a journal as its file has them, unread and unverified."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from edgevision.errors import JournalError, OptionError, first_line
from edgevision.journal.chain import JournalHead
from edgevision.journal.database import head_of, open_for_reading
from edgevision.system.reading import MOST_IMAGE_BYTES, MOST_SETTINGS_BYTES
from edgevision.system.strict_json import JsonError, read_json

#: Rows that are read at once: a reader that stays between two rows must not hold up the writer's log.
_AT_ONCE = 64


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


class StoredJournal:
    """The file of a journal, open for reading.

    Args:
        path: the file.

    Attributes:
        path: likewise.

    Raises:
        JournalError: it is missing, not a journal, damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_for_reading(path)

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

    def rows(self) -> Iterator[StoredRow]:
        """The rows as the file has them, in the order of their numbers.

        Raises:
            JournalError: the file is damaged.
        """
        last = 0
        while rows := self._rows_after(last):
            for row in rows:
                if row.seq <= last:  # a damaged tree
                    raise JournalError(f"{self.path}: damaged after row {last}: its rows are not in order")
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

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._connection.close()

    def __enter__(self) -> StoredJournal:
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
            raise OptionError(f"{self.path}: this journal is closed; open it again") from error
        except sqlite3.Error as error:
            raise self._damaged(error, seq) from error

    def _damaged(self, error: sqlite3.Error, seq: int = 0) -> JournalError:
        return JournalError(f"{self.path}: damaged after row {seq}: {first_line(error)}")


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


def _text(record: bytes | None) -> str | None:
    try:
        return None if record is None else record.decode("utf-8")
    except UnicodeDecodeError:
        return None
