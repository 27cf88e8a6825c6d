"""Recording answers: what a row holds, what is acknowledged, skipped and refused."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision as ev
from edgevision.errors import (
    InputError,
    JournalBusyError,
    JournalChainError,
    JournalError,
    OptionError,
    OutputError,
)
from edgevision.imaging.write import write_image
from edgevision.testing.models import fake_classifier, fake_detector

PHOTO = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def classifier() -> ev.Classifier:
    return fake_classifier(["a", "b", "c"], [0.1, 0.2, 0.7])


def rows(path: Path, kind: str = "answer") -> list[dict[str, Any]]:
    with ev.read_journal(path) as journal:
        return [dict(row.document) for row in journal if row.kind == kind]


def test_a_row_has_what_answered_the_frames_digest_and_the_result(tmp_path: Path) -> None:
    model = classifier()
    model.bundle_digest = "sha256:" + "0" * 64
    with ev.Journal(tmp_path / "runs.db") as journal:
        result = model(PHOTO)
        assert journal.record(result, PHOTO, model=model)
        head = journal.flush()
    (row,) = rows(tmp_path / "runs.db")
    assert row["status"] == "ok"
    assert (row["backend"], row["device"], row["precision"]) == ("fake", "cpu", "float32")
    assert row["bundle_digest"] == model.bundle_digest
    assert row["versions"]["edgevision"] == ev.__version__
    assert row["answer"]["result"] == result.to_dict()
    assert row["frame"]["shape"] == [12, 16, 3]
    assert len(row["frame"]["sha256"]) == 64
    assert (head.rows, row["seq"]) == (2, 2)
    assert str(ev.JournalHead.parse(str(head))) == str(head)


def test_a_digest_tells_frames_apart_by_pixels_and_channel_order(tmp_path: Path) -> None:
    other = PHOTO.copy()
    other[3, 4, 1] ^= 1
    with ev.Journal(tmp_path / "runs.db") as journal:
        for image, color in [(PHOTO, "rgb"), (PHOTO[::1], "rgb"), (other, "rgb"), (PHOTO, "bgr")]:
            journal.record({"status": "ok"}, image, color)
    digests = [row["frame"]["sha256"] for row in rows(tmp_path / "runs.db")]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_an_answer_may_be_a_mapping_as_a_stream_gives_it(tmp_path: Path) -> None:
    answer = {
        "status": "abstained: black frame",
        "backend": "onnx",
        "device": "cpu",
        "precision": "int8",
        "times_ms": {"inference": np.float32(1.5)},
        "index": np.int64(7),
        "boxes": np.ones((1, 2), np.float32),
    }
    with ev.Journal(tmp_path / "runs.db") as journal:
        journal.record(answer)
        answer["index"] = 8  # what the caller changes later is not recorded
    (row,) = rows(tmp_path / "runs.db")
    assert row["status"] == "abstained: black frame"
    assert row["backend"] == "onnx"
    assert row["answer"] == {"times_ms": {"inference": 1.5}, "index": 7, "boxes": [[1.0, 1.0]]}
    assert "onnxruntime" in row["versions"]["runtime"].lower() or row["versions"]["runtime"]


def test_a_frame_is_copied_when_it_is_recorded(tmp_path: Path) -> None:
    frame = PHOTO.copy()
    with ev.Journal(tmp_path / "runs.db", frames="all") as journal:
        journal.record({"status": "ok"}, frame)
        frame[:] = 0  # a camera overwrites its memory
    with ev.read_journal(tmp_path / "runs.db") as reader:
        (row,) = [row for row in reader if row.kind == "answer"]
        kept = reader.frame(row)
    assert kept is not None
    assert np.array_equal(kept.pixels, PHOTO)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [("none", []), ("all", [1, 2, 3, 4]), ("abstained", [2, 3]), ("sample", [1, 3])],
)
def test_frames_are_kept_as_asked_for(tmp_path: Path, frames: str, expected: list[int]) -> None:
    with ev.Journal(tmp_path / "runs.db", frames=frames, sample_every=2) as journal:
        for status in ("ok", "abstained: blurred", "failed: no answer", "stale"):
            journal.record({"status": status}, PHOTO)
    with ev.read_journal(tmp_path / "runs.db") as reader:
        answers = [row for row in reader if row.kind == "answer"]
        assert [n for n, row in enumerate(answers, 1) if row.frame_is_kept] == expected
        assert all((reader.frame(row) is not None) == row.frame_is_kept for row in answers)


@pytest.mark.parametrize(
    "frame",
    [
        ev.Frame(PHOTO, "bgr"),
        ev.Frame(PHOTO[..., 0], "gray"),
        ev.Frame(PHOTO.astype(np.uint16) * 200, "rgb", bits=12),
        ev.Frame(PHOTO[..., 0].astype(np.float32), "gray", levels=(0.0, 300.0)),
        ev.Frame(PHOTO[..., 0].astype(np.int16) - 100, "gray", inverted=True, pixel_spacing_mm=(0.5, 0.25)),
        ev.Frame(PHOTO[:, ::-1].transpose(1, 0, 2), "rgb"),
    ],
    ids=["bgr", "gray", "16 bits", "float", "int16", "not contiguous"],
)
def test_a_kept_frame_is_exactly_what_was_recorded(tmp_path: Path, frame: ev.Frame) -> None:
    with ev.Journal(tmp_path / "runs.db", frames="all") as journal:
        journal.record({"status": "ok"}, frame)
    with ev.read_journal(tmp_path / "runs.db") as reader:
        kept = [reader.frame(row) for row in reader][1]
    assert kept is not None
    assert np.array_equal(kept.pixels, frame.pixels)
    assert kept.pixels.dtype == frame.pixels.dtype
    for name in ("color", "bits", "levels", "inverted", "pixel_spacing_mm"):
        assert getattr(kept, name) == getattr(frame, name), name


def test_many_classes_are_kept_up_to_a_hundred(tmp_path: Path) -> None:
    scores = np.linspace(0, 1, 300, dtype=np.float32)
    result = ev.Classification(scores, tuple(map(str, range(300))))
    with ev.Journal(tmp_path / "runs.db") as journal:
        journal.record(result)
    (row,) = rows(tmp_path / "runs.db")
    kept = row["answer"]["result"]
    assert kept["class_count"] == 300
    assert [one["class_id"] for one in kept["classes"]] == list(range(299, 199, -1))


def test_a_journal_is_continued_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    for status in ("ok", "stale"):
        with ev.Journal(path) as journal:
            journal.record({"status": status})
    with ev.read_journal(path) as reader:
        kinds = [(row.seq, row.kind) for row in reader]
    assert kinds == list(enumerate(["opened", "answer", "closed"] * 2, 1))
    assert ev.verify_journal(path).ok


def test_a_closed_journal_is_one_file_that_a_read_only_disk_can_hold(tmp_path: Path) -> None:
    with ev.Journal(tmp_path / "runs.db") as journal:
        journal.record({"status": "ok"})
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with ev.Journal(path) as journal, ev.read_journal(path) as reader:
        for number in range(3):
            journal.record({"status": "ok", "index": number})
            head = journal.flush()
            assert [row.document["answer"]["index"] for row in reader if row.kind == "answer"] == [
                *range(number + 1)
            ]
            verified = ev.verify_journal(path, head)
            assert (verified.ok, verified.closed, verified.anchored) == (True, False, True)
        assert journal.head == reader.head


class Blocked:
    """A journal whose writer waits until it is let go."""

    def __init__(self, journal: ev.Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.waits = threading.Event()
        real = journal._writer._commit

        def commit(batch: Any) -> None:
            self.waits.set()
            assert self.go.wait(60)
            real(batch)

        monkeypatch.setattr(journal._writer, "_commit", commit)


def test_what_does_not_fit_is_skipped_counted_and_recorded_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    with ev.Journal(path, queue_rows=4, commit_s=0.001) as journal:
        blocked = Blocked(journal, monkeypatch)
        taken = [journal.record({"status": "ok", "index": number}) for number in range(10)]
        assert taken == [True] * 4 + [False] * 6
        assert journal.skipped == 6
        blocked.go.set()
        journal.flush()
        assert journal.record({"status": "ok", "index": 10})
    with ev.read_journal(path) as reader:
        found = [
            row.document["counts"] if row.kind == "skipped" else row.document["answer"]["index"]
            for row in reader
            if row.kind in ("answer", "skipped")
        ]
    assert found == [0, 1, 2, 3, {"queue full": 6}, 10]
    verified = ev.verify_journal(path)
    assert (verified.ok, verified.skipped) == (True, 6)


def test_frames_that_wait_take_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.journal.writer._MOST_QUEUED_BYTES", 3 * PHOTO.nbytes)
    with ev.Journal(tmp_path / "runs.db", commit_s=0.001) as journal:
        blocked = Blocked(journal, monkeypatch)
        taken = [journal.record({"status": "ok"}, PHOTO) for _ in range(5)]
        blocked.go.set()
    assert taken == [True] * 3 + [False] * 2


def test_a_journal_of_files_waits_for_room(tmp_path: Path) -> None:
    with ev.Journal(tmp_path / "runs.db", queue_rows=2, wait=True) as journal:
        assert all(journal.record({"status": "ok"}, PHOTO) for _ in range(50))
    assert journal.skipped == 0
    assert len(rows(tmp_path / "runs.db")) == 50


def test_several_threads_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"

    def work(number: int) -> None:
        for index in range(20):
            assert journal.record({"status": "ok", "thread": number, "index": index}, PHOTO)

    with ev.Journal(path) as journal:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = [(row["answer"]["thread"], row["answer"]["index"]) for row in rows(path)]
    assert sorted(found) == [(t, i) for t in range(4) for i in range(20)]
    for number in range(4):
        assert [index for thread, index in found if thread == number] == list(range(20))
    assert ev.verify_journal(path).ok


# A disk that refuses


def full(journal: ev.Journal, is_full: bool) -> None:
    """SQLite's own limit: it fails as on a full disk, with SQLITE_FULL."""
    connection = journal._writer._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages if is_full else 1 << 30}")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.journal.writer._FIRST_PAUSE_S", 0.01)


def test_a_full_disk_stops_nobody_and_nothing_that_fits_in_memory_is_lost(
    tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "runs.db"
    text = "x" * 10_000
    with caplog.at_level(logging.WARNING), ev.Journal(path, queue_rows=5, commit_s=0.001) as journal:
        full(journal, True)
        assert journal.record({"status": "ok", "index": 0, "text": text})
        with pytest.raises(OutputError, match=r"runs\.db: the journal cannot be written: .*full"):
            journal.flush()
        assert "full" in journal.error
        taken = [journal.record({"status": "ok", "index": number, "text": text}) for number in range(1, 8)]
        assert taken == [True] * 4 + [False] * 3
        full(journal, False)
        while journal.error:  # tried again by itself
            threading.Event().wait(0.01)
        journal.record({"status": "ok", "index": 8})
    assert [row["answer"]["index"] for row in rows(path)] == [0, 1, 2, 3, 4, 8]
    assert [list(row["counts"].values()) for row in rows(path, "skipped")] == [[3]]
    assert ev.verify_journal(path).ok
    said = [record.getMessage() for record in caplog.records]
    assert len([line for line in said if "cannot be written" in line]) == 1
    assert any("written again" in line for line in said)


def test_a_disk_that_refused_is_not_tried_without_a_pause_and_all_that_was_kept_is_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevision.journal.writer._FIRST_PAUSE_S", 1000.0)
    path = tmp_path / "runs.db"
    with ev.Journal(path, commit_s=0.001) as journal:
        full(journal, True)
        for number in range(3):
            journal.record({"status": "ok", "index": number, "text": "x" * 10_000})
            with pytest.raises(OutputError, match="full"):
                journal.flush()
        refusals = journal._writer._refusals
        threading.Event().wait(0.2)
        assert journal._writer._refusals == refusals
        full(journal, False)
    assert [row["answer"]["index"] for row in rows(path)] == [0, 1, 2]
    assert journal.skipped == 0
    verified = ev.verify_journal(path)
    assert (verified.ok, verified.closed) == (True, True)


def test_a_caller_that_asks_for_it_is_stopped(tmp_path: Path, quick: None) -> None:
    journal = ev.Journal(tmp_path / "runs.db", on_error="raise", commit_s=0.001)
    full(journal, True)
    journal.record({"status": "ok", "text": "x" * 10_000})
    while not journal.error:
        threading.Event().wait(0.01)
    with pytest.raises(OutputError, match="cannot be written"):
        journal.record({"status": "ok"})
    with pytest.raises(OutputError, match="cannot be written"):
        journal.close()
    assert journal.skipped > 0
    assert ev.verify_journal(tmp_path / "runs.db").ok


def test_a_commit_that_reports_an_error_and_succeeded_is_not_repeated(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.db"
    with ev.Journal(path, commit_s=0.001) as journal:
        real, failed = journal._writer._commit, []

        def commit(batch: Any) -> None:
            real(batch)
            if not failed:
                failed.append(batch)
                raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(journal._writer, "_commit", commit)
        journal.record({"status": "ok"})
        while journal.acknowledged < 2:
            threading.Event().wait(0.01)
    assert len(rows(path)) == 1
    assert ev.verify_journal(path).ok


def test_a_file_that_is_damaged_meanwhile_ends_the_journal_and_not_the_loop(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = ev.Journal(tmp_path / "runs.db", commit_s=0.001)

    def commit(batch: Any) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(journal._writer, "_commit", commit)
    with caplog.at_level(logging.WARNING):
        journal.record({"status": "ok"})
        with pytest.raises(OutputError, match="malformed"):
            journal.flush()
        assert not journal.record({"status": "ok"})
        journal.close()
    assert journal.skipped == 2
    assert "nothing more is recorded" in caplog.text


# What is refused


def test_a_second_writer_is_refused_in_this_process_and_in_another(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    program = "import sys, edgevision; edgevision.Journal(sys.argv[1])"
    with ev.Journal(path) as journal:
        with pytest.raises(JournalBusyError, match=r"runs\.db: another process"):
            ev.Journal(path)
        done = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
        )
        assert "JournalBusyError" in done.stderr
        journal.record({"status": "ok"})
    with ev.Journal(path):
        pass
    assert ev.verify_journal(path).ok


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be one: " * 100)


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()


def edited(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def newer(path: Path) -> None:
    with ev.Journal(path):
        pass
    edited(path, "PRAGMA user_version = 2")


def with_trigger(path: Path) -> None:
    with ev.Journal(path):
        pass
    edited(path, "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows WHERE seq = 1; END")


def with_view_for_rows(path: Path) -> None:
    with ev.Journal(path):
        pass
    edited(
        path,
        "DROP TABLE rows",
        "CREATE VIEW rows AS WITH RECURSIVE r(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM r) "
        "SELECT seq, '' AS record, x'' AS hash FROM r",
    )


def truncated(path: Path) -> None:
    with ev.Journal(path) as journal:
        for _ in range(200):
            journal.record({"status": "ok", "text": "x" * 500})
    path.write_bytes(path.read_bytes()[:1000])


UNREADABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "No such file"),
    "no database": (not_sqlite, "not a valid journal"),
    "another database": (other_database, "another SQLite database"),
    "newer": (newer, "schema version 2, and this release reads 1; update"),
    "trigger": (with_trigger, "'t' differs"),
    "endless view": (with_view_for_rows, "'rows' differs"),
    "truncated": (truncated, "not a valid journal"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "pipe": (os.mkfifo, "is a pipe"),
}


@pytest.mark.parametrize(("make", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_journal_is_refused_by_readers_and_writers(
    tmp_path: Path, make: Callable[[Path], Any], message: str
) -> None:
    path = tmp_path / "runs.db"
    make(path)
    for read in (ev.read_journal, ev.verify_journal):
        with pytest.raises(JournalError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
    if path.exists():
        content = path.read_bytes() if path.is_file() else b""
        with pytest.raises(JournalError, match=message):
            ev.Journal(path)
        assert (path.read_bytes() if path.is_file() else b"") == content
        assert not Path(f"{path}-lock").exists()


def test_a_journal_without_its_last_row_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with ev.Journal(path) as journal:
        journal.record({"status": "ok"})
    edited(path, "DELETE FROM rows WHERE seq = 3")
    with pytest.raises(JournalChainError, match="does not end where it says"):
        ev.Journal(path)


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.touch()
    with ev.Journal(path):
        pass
    assert ev.verify_journal(path).ok


@pytest.mark.parametrize("place", ["missing/runs.db", "/proc/runs.db"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(OutputError):
        ev.Journal(tmp_path / place)


def test_a_read_only_folder_is_refused_and_a_journal_in_it_is_read() -> None:
    # pytest's folders are for the user alone, and root is stopped by no permissions.
    folder = Path(tempfile.mkdtemp())
    with ev.Journal(folder / "runs.db") as journal:
        journal.record({"status": "ok"})
    folder.chmod(0o555)
    program = (
        "import os, sys, edgevision\n"
        "from edgevision.errors import OutputError\n"
        "read, write = edgevision.verify_journal, edgevision.Journal\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "verified = read(sys.argv[1])\n"
        "assert verified.ok and verified.closed, verified\n"
        "try: write(sys.argv[1])\n"
        "except OutputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder / "runs.db"], capture_output=True, text=True, check=False
    )
    folder.chmod(0o755)
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    assert "not writable" in done.stdout, done.stdout


class Odd:
    def to_dict(self) -> dict[str, Any]:
        raise RuntimeError("odd")


BAD_ANSWERS: dict[str, Any] = {
    "number": 3,
    "class": ev.Classification,
    "NaN": {"status": "ok", "score": float("nan")},
    "object": {"status": "ok", "found": object()},
    "bytes": {"status": "ok", "found": b"x"},
    "name": {"status": "ok", 3: 4},
    "empty status": {"status": ""},
    "status is no text": {"status": None},
    "NUL": {"status": "ok", "text": "a\0b"},
    "huge number": {"status": "ok", "n": 10**30},
    "to_dict raises": Odd(),
    "endless list": {"status": "ok", "found": []},
    "large array": {"status": "ok", "found": np.zeros(1_000_000)},
}
BAD_ANSWERS["endless list"]["found"].append(BAD_ANSWERS["endless list"]["found"])


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_an_answer_that_json_cannot_hold_is_refused_and_the_journal_goes_on(
    tmp_path: Path, answer: Any
) -> None:
    with ev.Journal(tmp_path / "runs.db") as journal:
        with pytest.raises(OptionError, match="answer"):
            journal.record(answer)
        with pytest.raises(InputError):
            journal.record({"status": "ok"}, b"not an image")
        journal.record({"status": "ok"})
    assert len(rows(tmp_path / "runs.db")) == 1


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = ev.Journal(tmp_path / "runs.db")
    journal.close()
    journal.close()
    for call in (lambda: journal.record({"status": "ok"}), journal.flush):
        with pytest.raises(OptionError, match="this journal is closed"):
            call()
    reader = ev.read_journal(tmp_path / "runs.db")
    reader.close()
    reader.close()
    with pytest.raises(OptionError, match="this journal is closed"):
        list(reader)


def test_a_journal_that_nobody_closes_is_closed_at_exit(tmp_path: Path) -> None:
    program = "import sys, edgevision; j = edgevision.Journal(sys.argv[1]); j.record({'status': 'ok'})"
    subprocess.run([sys.executable, "-c", program, tmp_path / "runs.db"], check=True, timeout=60)
    verified = ev.verify_journal(tmp_path / "runs.db")
    assert (verified.ok, verified.closed, verified.kinds["answer"]) == (True, True, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    program = (
        "import os, sys, warnings, edgevision\n"
        "warnings.simplefilter('ignore')\n"
        "journal = edgevision.Journal(sys.argv[1])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try: journal.record({'status': 'ok'})\n"
        "    except edgevision.errors.OptionError as error: print(error, flush=True)\n"
        "    sys.exit(0)\n"
        "os.waitpid(child, 0)\n"
        "journal.record({'status': 'ok'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "runs.db"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "before this process was forked" in done.stdout
    verified = ev.verify_journal(tmp_path / "runs.db")
    assert (verified.ok, verified.closed, verified.kinds["answer"]) == (True, True, 1)


def test_a_journal_that_is_garbage_ends_its_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    journal = ev.Journal(tmp_path / "runs.db")
    assert set(threading.enumerate()) - before
    del journal
    assert not set(threading.enumerate()) - before
    assert ev.verify_journal(tmp_path / "runs.db").closed


def test_detections_are_recorded(tmp_path: Path) -> None:
    detector = fake_detector(["cat"], [("cat", 0.9, (1.0, 2.0, 5.0, 6.0))])
    with ev.Journal(tmp_path / "runs.db") as journal:
        journal.record(detector(PHOTO), PHOTO, model=detector)
    (row,) = rows(tmp_path / "runs.db")
    assert row["answer"]["result"]["objects"][0]["label"] == "cat"


@pytest.fixture(autouse=True)
def no_threads_are_left() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name == "edgevision-journal"]


def test_names_of_files_that_are_not_text_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"ph\xffto.png")
    write_image(path, np.zeros((8, 8, 3), np.uint8))
    model = fake_classifier(["a", "b"], [0.25, 0.75])
    with ev.Journal(tmp_path / "runs.db") as journal, ev.observe(journal):
        journal.edgevision_model_loaded(model, path)
        assert len(list(model.stream(path))) == 1
        journal.record({"status": "ok", "source": str(path)})
        journal.flush()
    with ev.read_journal(tmp_path / "runs.db") as reader:
        rows = list(reader)
    assert [row.kind for row in rows].count("answer") == 2
    told = [row.document.get("path", (row.document.get("answer") or {}).get("message", "")) for row in rows]
    assert sum("ph\\udcffto.png" in text for text in told) == 3
    assert ev.verify_journal(tmp_path / "runs.db").ok


def test_a_clock_that_is_set_back_and_forth_changes_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows keep their order, and have the time of the clock that nobody sets beside the wall clock's."""
    now = 1_800_000_000 * 10**9
    jumps_s = [0, 3600, -7200, 0.001, -86_400 * 400, 86_400 * 800]
    walls = iter(now + round(sum(jumps_s[: count + 1]) * 1e9) for count in range(len(jumps_s)))
    with ev.Journal(tmp_path / "runs.db") as journal:
        monkeypatch.setattr("edgevision.journal.writer.time.time_ns", lambda: next(walls, now))
        for index in range(len(jumps_s)):
            journal.record({"status": "ok", "index": index})
    found = rows(tmp_path / "runs.db")
    assert [row["answer"]["index"] for row in found] == list(range(len(jumps_s)))
    monotonic = [row["monotonic_ns"] for row in found]
    assert monotonic == sorted(monotonic)
    assert [row["at"] for row in found] != sorted(row["at"] for row in found)
    assert ev.verify_journal(tmp_path / "runs.db").ok


def test_a_frame_that_cannot_be_stored_ends_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(frame: Any) -> Any:
        raise MemoryError("no room for 3 GB")

    with ev.Journal(tmp_path / "runs.db", frames="all") as journal:
        with monkeypatch.context() as patch:
            patch.setattr("edgevision.journal.writer.packed", refuse)
            journal.record({"status": "ok"}, np.zeros((8, 8, 3), np.uint8))
            journal.flush()
        journal.record({"status": "ok"}, np.zeros((8, 8, 3), np.uint8))
    first, second = rows(tmp_path / "runs.db")
    assert first["frame"]["not_kept"] == "MemoryError: no room for 3 GB"
    assert second["frame"]["kept"]["form"] == "png"
    assert ev.verify_journal(tmp_path / "runs.db").ok
