"""Verifying a journal: that its rows are those that were written, as far as its chain can tell."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import JournalError
from edgevision.journal.chain import GENESIS, JournalHead, canonical, next_hash
from edgevision.journal.reader import JournalReader, StoredRow, document_of_row
from edgevision.system.arguments import instance, one_path

_START = JournalHead(0, GENESIS.hex())
#: Problems that are listed; all are counted.
_MOST_LISTED = 20


@dataclass(frozen=True)
class JournalVerification:
    """What the chain of a journal shows.

    Attributes:
        path: the file.
        head: the end of the chain that was computed from the rows, to be kept elsewhere.
        kinds: kind of row -> rows.
        frames: frames that are kept.
        skipped: rows that the writer could not write, by its own count.
        first_at, last_at: times of the first and the last row; empty without rows.
        closed: whether the last row says that the journal was closed; if not, it is being written, its
            process was killed, or rows at the end were removed together with the noted head.
        anchored: whether an earlier head was passed, and found in the chain.
        problems: the first 20, in the order of the rows.
        problem_count: all of them.
    """

    path: Path
    head: JournalHead
    kinds: Mapping[str, int]
    frames: int
    skipped: int
    first_at: str
    last_at: str
    closed: bool
    anchored: bool
    problems: tuple[str, ...]
    problem_count: int

    @property
    def ok(self) -> bool:
        """True if no problem was found."""
        return self.problem_count == 0

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "journal": str(self.path),
            "ok": self.ok,
            "head": str(self.head),
            "rows": self.head.rows,
            "kinds": dict(self.kinds),
            "frames": self.frames,
            "skipped": self.skipped,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "closed": self.closed,
            "anchored": self.anchored,
            "problems": list(self.problems),
            "problem_count": self.problem_count,
        }


def verify_journal(path: str | Path, head: JournalHead | str | None = None) -> JournalVerification:
    """Check every row and every kept frame of a journal.

    Found are rows that were altered, removed (at the end, too), inserted or reordered by someone who did not
    compute the whole chain anew. Someone who did is found by `head` alone: pass one that was kept where they
    could not change it, such as on another machine, or signed.

    Args:
        path: the file.
        head: the end of the chain at an earlier time, as `Journal.flush` returned it, or its text.

    Returns:
        What was found; broken chains do not raise.

    Raises:
        JournalError: the file is missing, not a journal, or of a newer version.
        OptionError: `head` is not a head.
    """
    path = one_path(path, "path")
    if head is not None:
        head = JournalHead.parse(head) if isinstance(head, str) else instance(head, JournalHead, "head")
    with JournalReader(path) as journal:
        check = _Check(head)
        try:
            check.noted = journal.head  # first: more rows may be written while these are read
            for stored in journal.stored_rows():
                check.row(stored, journal)
            check.end(journal)
        except JournalError as error:
            check.problem(str(error).removeprefix(f"{path}: "))
    return check.result(path)


class _Check:
    """The state of one verification.

    Attributes:
        noted: the end of the chain, as the file says.
    """

    def __init__(self, anchor: JournalHead | None) -> None:
        self.noted = _START
        self._anchor = anchor
        self._anchored = anchor == _START
        self._last = 0
        self._digest = GENESIS
        self._kinds: Counter[str] = Counter()
        self._kept: set[int] = set()
        self._skipped = 0
        self._first_at = self._last_at = ""
        self._last_kind = ""
        self._problems: list[str] = []
        self._count = 0

    def problem(self, text: str) -> None:
        """Note a problem."""
        self._count += 1
        if len(self._problems) < _MOST_LISTED:
            self._problems.append(text)

    def row(self, stored: StoredRow, journal: JournalReader) -> None:
        """Check one row, and go on from the hash that it has: one altered row is one problem."""
        seq = stored.seq
        if seq != self._last + 1:
            missing = (
                f"row {seq - 1} is" if seq == self._last + 2 else f"rows {self._last + 1} to {seq - 1} are"
            )
            self.problem(f"{missing} missing: removed")
        document = document_of_row(stored)
        if document is None:
            self.problem(f"row {seq} is not a row of a journal: altered")
        elif document["seq"] != seq:
            self.problem(
                f"row {seq} has the content of row {document['seq']}: reordered, inserted or removed"
            )
        elif seq == self._last + 1 and stored.digest != next_hash(self._digest, stored.record or ""):
            self.problem(f"row {seq} does not match its hash: it, or the row before it, was altered")
        elif canonical(document) != stored.record:
            self.problem(f"row {seq} is not in canonical form: altered")
        if document is not None:
            self._note(seq, document, journal)
        self._last, self._digest = seq, stored.digest
        if self._is_other(self.noted):
            self.problem(f"row {seq} has another hash than the file noted for it: altered")
        if self._anchor is not None and self._anchor.rows == seq:
            self._anchored = not self._is_other(self._anchor)
            if not self._anchored:
                self.problem(f"row {seq} has another hash than the head that was passed: altered up to there")

    def end(self, journal: JournalReader) -> None:
        """Find what is missing at the end, and what does not belong to it."""
        if self.noted.rows > self._last:
            gone = self.noted.rows - self._last
            self.problem(f"{gone} {'row is' if gone == 1 else 'rows are'} missing at the end: removed")
        if journal.head.rows < self._last:
            self.problem(f"rows after {journal.head.rows} were not written by the journal: inserted")
        if self._anchor is not None and self._anchor.rows > self._last:
            self.problem(
                f"the head that was passed has {self._anchor.rows} rows, and the journal {self._last}: rows "
                "were removed at the end"
            )
        for seq in journal.frame_numbers():
            if seq not in self._kept and seq <= self._last:
                self.problem(f"row {seq} has a frame that was not recorded: inserted")

    def result(self, path: Path) -> JournalVerification:
        """The result."""
        return JournalVerification(
            path,
            JournalHead(self._last, self._digest.hex()),
            dict(sorted(self._kinds.items())),
            len(self._kept),
            self._skipped,
            self._first_at,
            self._last_at,
            self._last_kind == "closed",
            self._anchored,
            tuple(self._problems),
            self._count,
        )

    def _is_other(self, head: JournalHead) -> bool:
        """True for another head of the last row."""
        return head.rows == self._last and head.digest != self._digest.hex()

    def _note(self, seq: int, document: Mapping[str, Any], journal: JournalReader) -> None:
        """Take over what the row says, and check its frame."""
        kind, at = document["kind"], document["at"]
        self._kinds[kind] += 1
        self._first_at, self._last_at = self._first_at or at, at
        self._last_kind = kind
        if kind == "skipped":
            counts = document.get("counts")
            numbers = counts.values() if isinstance(counts, dict) else ()
            self._skipped += sum(number for number in numbers if isinstance(number, int))
        kept = (document.get("frame") or {}).get("kept")
        if not isinstance(kept, dict):
            return
        self._kept.add(seq)
        content = journal.frame_content(seq)
        if content is None:
            self.problem(f"row {seq}: its frame is missing: removed")
        elif hashlib.sha256(content).hexdigest() != kept.get("sha256"):
            self.problem(f"row {seq}: its frame was altered")
