"""The chain: what `verify_journal` finds, and what it cannot find."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgevision as ev
from edgevision.errors import OptionError
from edgevision.journal.chain import GENESIS, canonical, next_hash

PHOTO = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
ANSWERS = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Rows 1 ``opened``, 2 to 7 answers with frames, 8 ``closed``."""
    path = tmp_path / "runs.db"
    with ev.Journal(path, frames="all") as journal:
        for number in range(ANSWERS):
            journal.record({"status": "ok", "index": number}, PHOTO + number)
    return path


def run(connection: sqlite3.Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement)


def relabelled(connection: sqlite3.Connection, seq: int) -> str:
    (record,) = connection.execute("SELECT record FROM rows WHERE seq = ?", (seq,)).fetchone()
    return str(record).replace('"status":"ok"', '"status":"stale"')


def altered(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE rows SET record = ? WHERE seq = 4", (relabelled(connection, 4),))


def altered_with_its_hash(connection: sqlite3.Connection) -> None:
    (previous,) = connection.execute("SELECT hash FROM rows WHERE seq = 3").fetchone()
    record = relabelled(connection, 4)
    connection.execute(
        "UPDATE rows SET record = ?, hash = ? WHERE seq = 4", (record, next_hash(previous, record))
    )


def spaced(connection: sqlite3.Connection) -> None:
    """Other bytes of the same values, with a hash that is right for them."""
    (previous,) = connection.execute("SELECT hash FROM rows WHERE seq = 7").fetchone()
    (record,) = connection.execute("SELECT record FROM rows WHERE seq = 8").fetchone()
    record = json.dumps(json.loads(record))
    digest = next_hash(previous, record)
    connection.execute("UPDATE rows SET record = ?, hash = ? WHERE seq = 8", (record, digest))
    connection.execute("UPDATE head SET hash = ?", (digest,))


def removed_and_renumbered(connection: sqlite3.Connection) -> None:
    run(connection, "DELETE FROM rows WHERE seq = 4")
    for seq in range(5, 9):
        connection.execute("UPDATE rows SET seq = ? WHERE seq = ?", (seq - 1, seq))
    run(connection, "UPDATE head SET rows = 7")


def reordered(connection: sqlite3.Connection) -> None:
    run(
        connection,
        "UPDATE rows SET seq = 100 WHERE seq = 3",
        "UPDATE rows SET seq = 3 WHERE seq = 5",
        "UPDATE rows SET seq = 5 WHERE seq = 100",
    )


def inserted(connection: sqlite3.Connection) -> None:
    for seq in range(8, 4, -1):
        connection.execute("UPDATE rows SET seq = ? WHERE seq = ?", (seq + 1, seq))
    run(
        connection,
        "INSERT INTO rows SELECT 5, record, hash FROM rows WHERE seq = 4",
        "UPDATE head SET rows = 9",
    )


def appended(connection: sqlite3.Connection) -> None:
    (previous,) = connection.execute("SELECT hash FROM rows WHERE seq = 8").fetchone()
    record = canonical({"seq": 9, "kind": "answer", "at": "2026", "status": "ok"})
    connection.execute("INSERT INTO rows VALUES (9, ?, ?)", (record, next_hash(previous, record)))


TAMPERED: dict[str, tuple[Callable[[sqlite3.Connection], None], str]] = {
    "altered": (altered, "row 4 does not match its hash"),
    "altered with its hash": (altered_with_its_hash, "row 5 does not match its hash"),
    "hash altered": (
        lambda c: run(c, "UPDATE rows SET hash = zeroblob(32) WHERE seq = 4"),
        "row 4 does not match",
    ),
    "other type": (lambda c: run(c, "UPDATE rows SET record = x'ff' WHERE seq = 4"), "row 4 is not a row"),
    "other bytes of the same values": (spaced, "row 8 is not in canonical form"),
    "removed": (lambda c: run(c, "DELETE FROM rows WHERE seq = 4"), "row 4 is missing"),
    "several removed": (lambda c: run(c, "DELETE FROM rows WHERE seq IN (4, 5)"), "rows 4 to 5 are missing"),
    "first removed": (lambda c: run(c, "DELETE FROM rows WHERE seq = 1"), "row 1 is missing"),
    "last removed": (lambda c: run(c, "DELETE FROM rows WHERE seq = 8"), "1 row is missing at the end"),
    "all removed": (lambda c: run(c, "DELETE FROM rows"), "8 rows are missing at the end"),
    "removed and renumbered": (removed_and_renumbered, "row 4 has the content of row 5"),
    "reordered": (reordered, "row 3 has the content of row 5"),
    "inserted": (inserted, "row 5 has the content of row 4"),
    "appended": (appended, "rows after 8 were not written by the journal"),
    "head altered": (lambda c: run(c, "UPDATE head SET hash = zeroblob(32)"), "row 8 has another hash"),
    "head removed": (lambda c: run(c, "DELETE FROM head"), "it has no head"),
    "frame altered": (
        lambda c: run(
            c, "UPDATE frames SET content = (SELECT content FROM frames WHERE seq = 3) WHERE seq = 4"
        ),
        "row 4: its frame was altered",
    ),
    "frame removed": (lambda c: run(c, "DELETE FROM frames WHERE seq = 4"), "row 4: its frame is missing"),
    "frame inserted": (
        lambda c: run(c, "INSERT INTO frames VALUES (1, x'00')"),
        "row 1 has a frame that was not recorded",
    ),
}


@pytest.mark.parametrize(("tamper", "message"), TAMPERED.values(), ids=TAMPERED)
def test_a_journal_that_was_changed_is_found(
    path: Path, tamper: Callable[[sqlite3.Connection], None], message: str
) -> None:
    assert ev.verify_journal(path).ok
    connection = sqlite3.connect(path)
    tamper(connection)
    connection.commit()
    connection.close()
    verified = ev.verify_journal(path)
    assert not verified.ok
    assert any(message in problem for problem in verified.problems), verified.problems
    assert verified.to_dict()["ok"] is False


def test_one_altered_row_is_one_problem(path: Path) -> None:
    connection = sqlite3.connect(path)
    altered(connection)
    connection.commit()
    connection.close()
    assert ev.verify_journal(path).problem_count == 1


def written_anew(path: Path, rows: int) -> None:
    """As someone would who knows how: the first `rows`, one of them altered, with all hashes and the head."""
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM rows WHERE seq > ?", (rows,))
    connection.execute("DELETE FROM frames WHERE seq > ?", (rows,))
    connection.execute("UPDATE rows SET record = ? WHERE seq = 4", (relabelled(connection, 4),))
    digest = GENESIS
    for seq, record in connection.execute("SELECT seq, record FROM rows ORDER BY seq").fetchall():
        digest = next_hash(digest, record)
        connection.execute("UPDATE rows SET hash = ? WHERE seq = ?", (digest, seq))
    connection.execute("UPDATE head SET rows = ?, hash = ?", (rows, digest))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("rows", [8, 6])
def test_a_file_that_was_written_anew_is_found_by_an_earlier_head_alone(path: Path, rows: int) -> None:
    head = ev.verify_journal(path).head
    written_anew(path, rows)
    assert ev.verify_journal(path).ok  # this is what the file alone cannot tell
    for given in (head, str(head)):
        verified = ev.verify_journal(path, given)
        assert not verified.ok
        assert "head that was passed" in verified.problems[0]
        assert not verified.anchored


def test_an_earlier_head_is_found_in_a_journal_that_went_on(path: Path) -> None:
    head = ev.verify_journal(path).head
    with ev.Journal(path) as journal:
        journal.record({"status": "ok"})
    verified = ev.verify_journal(path, head)
    assert (verified.ok, verified.anchored, verified.head.rows) == (True, True, head.rows + 3)


def test_a_verification_says_what_the_journal_holds(path: Path) -> None:
    verified = ev.verify_journal(path)
    assert verified.kinds == {"answer": ANSWERS, "closed": 1, "opened": 1}
    assert (verified.frames, verified.skipped, verified.closed) == (ANSWERS, 0, True)
    assert verified.first_at <= verified.last_at
    assert verified.head.rows == 8


def test_a_file_that_is_damaged_in_its_middle_is_found(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 7] = bytes(4096 * 5)
    path.write_bytes(content)
    verified = ev.verify_journal(path)
    assert not verified.ok


@pytest.mark.parametrize("head", ["", "3", "3:xyz", "-1:" + "0" * 64, 7, b"3", "3:" + "0" * 64 + " "])
def test_a_head_that_is_none_is_refused(path: Path, head: object) -> None:
    with pytest.raises(OptionError, match="head"):
        ev.verify_journal(path, head)  # type: ignore[arg-type]


def test_the_hash_of_a_row_is_sha256_of_the_hash_before_and_the_text(path: Path) -> None:
    """Computed here by hand, so that others can write a verifier of their own."""
    import hashlib

    connection = sqlite3.connect(path)
    previous = hashlib.sha256(b"edgevision journal 1").digest()
    for record, digest in connection.execute("SELECT record, hash FROM rows ORDER BY seq"):
        assert hashlib.sha256(previous + record.encode()).digest() == digest
        previous = digest
    connection.close()


def test_the_view_for_queries_by_hand_has_the_answers(path: Path) -> None:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT seq, status FROM answers WHERE status = 'ok'").fetchall()
    connection.close()
    assert found == [(seq, "ok") for seq in range(2, 8)]
