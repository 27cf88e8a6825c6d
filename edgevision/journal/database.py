"""The SQLite file of a journal: its tables, and how it is opened.

SQLite opens its files itself: that is the exception to `edgevision.system.reading`. What it opens was checked
by name to be a regular file. Before any row is read, the tables, views and triggers of the file must be
exactly those below: SQL that someone else put into a file is never run.

No other code of this process may open and close the file: POSIX locks belong to the process, so that would
release SQLite's own ("How To Corrupt An SQLite Database File", section 2.2).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgevision.errors import EdgeVisionError, JournalChainError, JournalError, OutputError, first_line
from edgevision.journal.chain import GENESIS
from edgevision.system.reading import check_regular_file

SCHEMA_VERSION = 1
#: "EVJL", in the header of the file: `file runs.db` shows it.
_APPLICATION_ID = 0x45564A4C
_TABLES = {
    "rows": "CREATE TABLE rows (seq INTEGER PRIMARY KEY, record TEXT NOT NULL, hash BLOB NOT NULL)",
    "frames": "CREATE TABLE frames (seq INTEGER PRIMARY KEY, content BLOB NOT NULL)",
    "head": "CREATE TABLE head (rows INTEGER NOT NULL, hash BLOB NOT NULL)",
    # For queries by hand; nothing here reads it.
    "answers": (
        "CREATE VIEW answers AS SELECT seq, json_extract(record, '$.at') AS at, "
        "json_extract(record, '$.status') AS status, json_extract(record, '$.backend') AS backend, "
        "json_extract(record, '$.device') AS device, json_extract(record, '$.precision') AS precision, "
        "json_extract(record, '$.bundle_digest') AS bundle_digest, "
        "json_extract(record, '$.frame.sha256') AS frame_sha256, "
        "json_extract(record, '$.answer.result') AS result, json_extract(record, '$.answer.times_ms') AS "
        "times_ms FROM rows WHERE json_extract(record, '$.kind') = 'answer'"
    ),
}
#: Seconds that a reader waits while the file is being recovered or closed.
_BUSY_S = 5.0


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A journal, open for reading; one that is written at the same time, too.

    Raises:
        JournalError: it is missing, not a journal, damaged, or of a newer version.
    """
    _check_file(path)
    with _damage_in_words(path):
        try:
            connection = _connected(path, "mode=ro")
            _check_schema(path, connection)
        except sqlite3.OperationalError as error:
            if _has_log(path):
                raise JournalError(
                    f"{path}: cannot be read: {error}; it was not closed: copy it together with "
                    f"{path.name}-wal into a folder that is writable"
                ) from error
            # On a read-only disk SQLite cannot create its index of the log, which is not there either.
            connection = _connected(path, "immutable=1")
            _check_schema(path, connection)
    return connection


def open_for_writing(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A journal, open for writing, and True if it is new.

    The caller has its lock.

    Raises:
        JournalError: the file is not a journal, damaged, or of a newer version.
        JournalChainError: it does not end where it says that it ends.
        OutputError: it cannot be written.
    """
    if path.exists():
        _check_file(path)
    with _damage_in_words(path):
        try:
            connection = _connected(path, "mode=rwc")
            is_new = _is_empty(connection)
            if not is_new:
                _check_schema(path, connection)
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            # Each commit is on the disk when it returns: also a power failure keeps what was acknowledged.
            connection.execute("PRAGMA synchronous = FULL")
            if is_new:
                _create(connection)
            elif last_hash(connection) != head_of(connection):
                raise JournalChainError(
                    f"{path}: does not end where it says that it ends, so rows were removed or altered; run "
                    f"edgevision journal verify {path}, and write to another file"
                )
        except sqlite3.OperationalError as error:
            raise OutputError(f"{path}: cannot be written: {error}") from error
    return connection, is_new


def head_of(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Number of rows and hash of the last one, as they were noted with it."""
    row = connection.execute("SELECT rows, hash FROM head").fetchone()
    if row is None or not isinstance(row[0], int) or not isinstance(row[1], bytes):
        raise sqlite3.DatabaseError("it has no head")
    return row[0], row[1]


def last_hash(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Number and hash of the last row that is there."""
    row = connection.execute("SELECT seq, hash FROM rows ORDER BY seq DESC LIMIT 1").fetchone()
    return (0, GENESIS) if row is None else (row[0], row[1])


def close_for_good(connection: sqlite3.Connection) -> None:
    """Close a journal so that it is one file, which can be read on a read-only disk."""
    with suppress(sqlite3.Error):  # a reader has it open, or the disk is full: it stays as it is
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    with suppress(sqlite3.Error):
        connection.close()


def is_lasting(error: sqlite3.Error) -> bool:
    """True for damage; False for what may pass, such as a full disk."""
    # SQLITE_CORRUPT and SQLITE_NOTADB alone have this very class.
    return type(error) is sqlite3.DatabaseError


@contextmanager
def _damage_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except EdgeVisionError:
        raise
    except sqlite3.Error as error:
        raise JournalError(
            f"{path}: not a valid journal (truncated or corrupted?): {first_line(error)}"
        ) from error


def _connected(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    connection.text_factory = bytes  # text that is not UTF-8 is found by what reads it
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    return connection


def _is_empty(connection: sqlite3.Connection) -> bool:
    """True for a new file, also one whose writer was killed before its first row."""
    count = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not count and _number(connection, "application_id") == 0


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for statement in _TABLES.values():
        connection.execute(statement)
    connection.execute("INSERT INTO head VALUES (0, ?)", (GENESIS,))
    connection.execute("COMMIT")


def _check_file(path: Path) -> None:
    try:
        check_regular_file(path)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}, expected a journal") from error


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    if _number(connection, "application_id") != _APPLICATION_ID:
        raise JournalError(f"{path}: not a journal, but another SQLite database; choose another file")
    version = _number(connection, "user_version")
    if version != SCHEMA_VERSION:
        raise JournalError(
            f"{path}: has schema version {version}, and this release reads {SCHEMA_VERSION}; "
            "update edgevision: pip install -U edgevision"
        )
    found = {
        name.decode("utf-8", "replace"): (sql or b"").decode("utf-8", "replace")
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_master LIMIT 100")
    }
    if found != _TABLES:
        differing = sorted(
            name for name in found.keys() | _TABLES.keys() if found.get(name) != _TABLES.get(name)
        )
        raise JournalError(
            f"{path}: its tables are not those of a journal ('{differing[0]:.80}' differs): another program "
            "changed it"
        )


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _has_log(path: Path) -> bool:
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0
