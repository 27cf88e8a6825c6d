"""Reading a journal: rows one after the other, and the frames that were kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edgevision.errors import JournalError
from edgevision.imaging.frame import Frame
from edgevision.journal.chain import JournalHead
from edgevision.journal.frames import unpacked
from edgevision.journal.stored import StoredJournal, StoredRow, document_of_row
from edgevision.system.arguments import instance, one_path


@dataclass(frozen=True)
class JournalRow:
    """One row of a journal.

    Attributes:
        seq: its number, from 1.
        kind: ``opened``, ``model``, ``answer``, ``dropped``, ``event``, ``health``, ``skipped`` or
            ``closed``.
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
        self._stored = StoredJournal(self._path)

    @property
    def head(self) -> JournalHead:
        """The end of the chain, as the file says.

        Raises:
            JournalError: the file is damaged.
        """
        return self._stored.head

    def __iter__(self) -> Iterator[JournalRow]:
        for stored in self._stored.rows():
            yield self._row(stored)

    def frame_content(self, row: JournalRow) -> bytes | None:
        """The frame of a row as it was stored: the content of a PNG or npy file; `None` if it was not kept.

        Raises:
            JournalError: the file is damaged.
        """
        row = instance(row, JournalRow, "row")
        return self._stored.frame_content(row.seq) if row.frame_is_kept else None

    def frame(self, row: JournalRow) -> Frame | None:
        """The frame of a row, exactly as the model had it; `None` if it was not kept.

        Raises:
            JournalError: it was removed, altered or damaged since.
        """
        row = instance(row, JournalRow, "row")
        if not row.frame_is_kept:
            return None
        where = f"{self._path}: row {row.seq}"
        content = self._stored.frame_content(row.seq)
        if content is None:
            raise JournalError(f"{where}: its frame was kept, and is not there any more")
        return unpacked(content, row.document["frame"], where)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._stored.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _row(self, stored: StoredRow) -> JournalRow:
        document = document_of_row(stored)
        if document is None:
            raise JournalError(
                f"{self._path}: row {stored.seq} cannot be read (altered or damaged?); run "
                f"edgevision journal verify {self._path}"
            )
        return JournalRow(stored.seq, document["kind"], document["at"], document, stored.digest.hex())


def read_journal(path: str | Path) -> JournalReader:
    """Open a journal for reading: ``with read_journal("runs.db") as journal: for row in journal: …``.

    Raises:
        JournalError: it is missing, not a journal, damaged, or of a newer version.
    """
    return JournalReader(path)
