"""The writer of a journal: one thread that takes rows from a bounded queue and commits them in groups.

Whoever adds a row waits for nothing but the copy of a frame. Rows for which there is no room are counted by
cause, and the count becomes a row as soon as one can be written. Where the disk refuses, what was queued is
kept and tried again, less and less often.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from edgevision.errors import OutputError, first_line
from edgevision.imaging.frame import Frame
from edgevision.journal.chain import JournalHead, canonical, next_hash
from edgevision.journal.database import close_for_good, head_of, is_lasting
from edgevision.journal.frames import facts_of, packed
from edgevision.system.clock import Instant
from edgevision.system.files import FileLock
from edgevision.system.log import warning

#: Pixels that wait in memory; one frame is always taken.
_MOST_QUEUED_BYTES = 64 << 20
#: Seconds before a refused write is tried again: twice as many each time, up to the second number.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
#: The longest wait between two looks at signals.
_SIGNALS_S = 0.5
_QUEUE_FULL = "queue full"


class Entry(NamedTuple):
    """One row on its way to the file.

    Attributes:
        kind: of the row, as `JournalRow`.
        document: its fields, JSON values.
        frame: its frame, owned by the entry; `None` without one.
        keep: whether the frame itself is stored, and not its digest alone.
        wall_ns, monotonic_ns: when it was added.
    """

    kind: str
    document: Mapping[str, Any]
    frame: Frame | None = None
    keep: bool = False
    wall_ns: int = 0
    monotonic_ns: int = 0


class _Batch(NamedTuple):
    """Rows that are committed together, ready to be written.

    Attributes:
        rows: number, record, hash, and content of the frame of each.
        head: the end of the chain after them.
    """

    rows: list[tuple[int, str, bytes, bytes | None]]
    head: tuple[int, bytes]


class Writer:
    """The queue and the thread of one journal.

    Args:
        path: the file, for messages.
        connection: open for writing; the writer closes it.
        lock: of the file; released with it.
        most_rows: that wait in memory.
        commit_s: the longest that a row waits for others, to be committed with them.

    Attributes:
        acknowledged: rows that are in the file, durably.
        skipped: cause -> rows that were added and are not in the file.
        error: why the file cannot be written now; empty if it can.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: FileLock, most_rows: int, commit_s: float
    ) -> None:
        self.acknowledged = 0
        self.skipped: Counter[str] = Counter()
        self.error = ""
        self._path = path
        self._connection = connection
        self._lock = lock
        self._most_rows = most_rows
        self._commit_s = commit_s
        self._head = head_of(connection)
        self._changed = threading.Condition()
        self._queue: deque[Entry] = deque()
        self._queued_bytes = 0
        self._added = 0  # entries, ever
        self._settled = 0  # of those, the ones that were written or given up
        self._refusals = 0
        self._batch: _Batch | None = None  # one that was refused, and is tried again as it is
        self._waiting_for = 0  # number of entries that someone waits for
        self._unrecorded: Counter[str] = Counter()  # skipped, and not yet in a row
        self._closing = False
        self._broken = False  # for good
        self._thread = threading.Thread(target=self._run, name="edgevision-journal", daemon=True)
        self._thread.start()

    @property
    def head(self) -> JournalHead:
        """The end of what is in the file."""
        rows, digest = self._head
        return JournalHead(rows, digest.hex())

    def add(self, entry: Entry, wait: bool = False) -> bool:
        """Queue a row; False if it was skipped.

        Args:
            entry: the row.
            wait: wait for room, for as long as the file can be written.
        """
        size = 0 if entry.frame is None else entry.frame.nbytes
        entry = entry._replace(wall_ns=time.time_ns(), monotonic_ns=time.monotonic_ns())
        with self._changed:
            while wait and not self._has_room(size) and not self.error and not self._closing:
                self._waiting_for = self._added
                self._changed.notify_all()
                self._changed.wait(_SIGNALS_S)
            if self._closing or self._broken or not self._has_room(size):
                self._skip(self.error or _QUEUE_FULL)
                return False
            if self._unrecorded:
                self._append(self._gap(entry))
            self._append(entry)
            if len(self._queue) <= 2 or self._is_half_full():
                self._changed.notify_all()
            return True

    def flush(self, timeout_s: float) -> JournalHead:
        """Wait until all rows that were added before are in the file.

        Raises:
            OutputError: they are not, for a reason that the message has, or not yet after `timeout_s`.
        """
        until = time.monotonic() + timeout_s
        with self._changed:
            target, refusals = self._added, self._refusals
            self._waiting_for = max(self._waiting_for, target)
            self._changed.notify_all()
            while self._settled < target and self._refusals == refusals:
                left = until - time.monotonic()
                if left <= 0:
                    raise OutputError(
                        f"{self._path}: not written after {timeout_s:g} s; the disk is too slow"
                    )
                self._changed.wait(min(left, _SIGNALS_S))
            if self.error:
                raise self.refusal()
            return self.head

    def refusal(self) -> OutputError:
        """The error that says why the file cannot be written."""
        return OutputError(f"{self._path}: the journal cannot be written: {self.error}")

    def close(self) -> None:
        """Write what is queued, if that is possible, and close the file."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _has_room(self, size: int) -> bool:
        if not self._queue:
            return True
        return len(self._queue) < self._most_rows and self._queued_bytes + size <= _MOST_QUEUED_BYTES

    def _is_half_full(self) -> bool:
        return 2 * len(self._queue) >= self._most_rows or 2 * self._queued_bytes >= _MOST_QUEUED_BYTES

    def _append(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._queued_bytes += 0 if entry.frame is None else entry.frame.nbytes
        self._added += 1

    def _gap(self, following: Entry) -> Entry:
        """The row that says how many are missing before another one."""
        counts, self._unrecorded = dict(self._unrecorded), Counter()
        return following._replace(kind="skipped", document={"counts": counts}, frame=None)

    def _skip(self, cause: str) -> None:
        self.skipped[cause] += 1
        self._unrecorded[cause] += 1

    # The thread

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._wait_for_rows():
            if self._try_to_write():
                pause_s = _FIRST_PAUSE_S
            else:
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._end()

    def _wait_for_rows(self) -> bool:
        """Wait for a row, and a little longer for others; False when the journal is closed."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            until = time.monotonic() + self._commit_s
            while not (self._closing or self._waiting_for > self._settled or self._is_half_full()):
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return not self._closing

    def _try_to_write(self) -> bool:
        """Write all that is queued; False if it is still queued, or given up."""
        batch = self._batch
        try:
            if batch is None:
                batch = self._batch = self._next_batch()
            self._commit(batch)
        except Exception as error:  # whatever it is, it must not end the thread unseen
            self._refused(error)
            return False
        self._batch = None
        if self.error:  # not while others wait for the lock: a log may be slow
            warning("%s: the journal is written again", self._path)
        with self._changed:
            self.error = ""
            self._head = batch.head
            self.acknowledged += len(batch.rows)
            self._settle(len(batch.rows))
        return True

    def _next_batch(self) -> _Batch:
        with self._changed:
            entries = list(self._queue)
        number, digest = self._head
        rows = []
        for entry in entries:
            number += 1
            record, content = _record(number, entry)
            digest = next_hash(digest, record)
            rows.append((number, record, digest, content))
        return _Batch(rows, (number, digest))

    def _commit(self, batch: _Batch) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            found = head_of(self._connection)
            if found == batch.head:  # a commit that had reported an error had succeeded
                execute("ROLLBACK")
                return
            if found != self._head:
                raise sqlite3.DatabaseError("another program wrote to it")
            for number, record, digest, content in batch.rows:
                execute("INSERT INTO rows VALUES (?, ?, ?)", (number, record, digest))
                if content is not None:
                    execute("INSERT INTO frames VALUES (?, ?)", (number, content))
            execute("UPDATE head SET rows = ?, hash = ?", batch.head)
            execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite rolls back by itself where the disk is full
                execute("ROLLBACK")
            raise

    def _refused(self, error: Exception) -> None:
        reason = first_line(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
        with self._changed:
            first, self.error = not self.error, reason
            self._refusals += 1
            self._waiting_for = 0  # they are told, and the next try comes after a pause
            if not isinstance(error, sqlite3.Error) or is_lasting(error):
                self._broken = True
                self._give_up()
            self._changed.notify_all()
        if first:
            later = "nothing more is recorded" if self._broken else "it is tried again"
            warning("%s: the journal cannot be written: %s; %s", self._path, reason, later)

    def _give_up(self) -> None:
        """Count all that is queued as skipped."""
        for entry in self._queue:
            if entry.kind not in ("skipped", "closed"):
                self._skip(self.error)
        self._settle(len(self._queue))

    def _settle(self, count: int) -> None:
        for _ in range(count):
            entry = self._queue.popleft()
            self._queued_bytes -= 0 if entry.frame is None else entry.frame.nbytes
        self._settled += count
        self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while not (self._closing or self._waiting_for > self._settled):
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)

    def _end(self) -> None:
        while self._queue and not self._broken and self._try_to_write():
            pass  # a batch that had been refused first, then the rest
        if not (self._queue or self._broken):
            last = Entry("closed", {}, None, False, time.time_ns(), time.monotonic_ns())
            if self._unrecorded:
                self._append(self._gap(last))
            self._append(last)
            self._try_to_write()
        with self._changed:
            self._give_up()
        close_for_good(self._connection)
        self._lock.release()


def _record(number: int, entry: Entry) -> tuple[str, bytes | None]:
    """The canonical text of a row, and the content of its frame if that is kept."""
    content: bytes | None = None
    document = {
        **entry.document,
        "seq": number,
        "kind": entry.kind,
        "at": Instant(entry.monotonic_ns, entry.wall_ns).iso(),
        "monotonic_ns": entry.monotonic_ns,
    }
    if entry.frame is not None:
        facts = facts_of(entry.frame)
        if entry.keep and entry.frame.window is not None:
            facts["not_kept"] = "its file's own window cannot be stored"
        elif entry.keep:
            try:
                form, content = packed(entry.frame)
            except Exception as error:  # such as of memory: the answer is recorded nevertheless
                facts["not_kept"] = f"{type(error).__name__}: {first_line(error)}"
            else:
                digest = hashlib.sha256(content).hexdigest()
                facts["kept"] = {"form": form, "bytes": len(content), "sha256": digest}
        document["frame"] = facts
    return canonical(document), content
