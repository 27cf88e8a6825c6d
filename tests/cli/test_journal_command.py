"""``edgevision journal`` and ``predict --journal``, as a user types them."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import edgevision as ev
from edgevision import cli
from edgevision.cli import stream as stream_command
from edgevision.imaging.write import write_image
from edgevision.journal.writer import Writer
from evaluation.tiny_bundle import write_tiny_bundle

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

Command = Callable[..., Any]
FRAMES = 8


@pytest.fixture
def edgevision_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """As the fixture of that name, in this process: there are many calls, and each takes milliseconds."""

    def run(*words: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["edgevision", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        sys.stdout.flush()
        stdout, stderr = capfd.readouterr()
        return SimpleNamespace(stdout=stdout, stderr=stderr, returncode=ended.value.code)

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, another one with other labels, and five images, of which one is damaged."""
    folder = tmp_path_factory.mktemp("journal")
    write_tiny_bundle(folder / "tiny.evb")
    write_tiny_bundle(folder / "renamed.evb", labels=("a", "other", "c", "d", "e"))
    (folder / "images").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)
        write_image(folder / "images" / f"{number}.png", pixels)
    (folder / "images" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture(scope="module")
def journal(folder: Path) -> Path:
    """A journal of that bundle, with all frames."""
    with (
        ev.Journal(folder / "runs.db", frames="all") as journal,
        ev.load_classifier(folder / "tiny.evb") as model,
    ):
        for path in sorted((folder / "images").glob("[0-9].png")):
            frame = ev.read_frame(path)
            journal.record(model(frame), frame, model=model)
        journal.record({"status": "failed: the lens is covered"}, frame, model=model)
    return folder / "runs.db"


def test_predict_records_every_image_also_those_that_it_could_not_use(
    edgevision_command: Command, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    command = ["predict", folder / "tiny.evb", folder / "images", "--json", "--journal", path]
    for round_ in (1, 2):
        done = edgevision_command(*command, "--journal-frames", "all")
        assert done.returncode == 3, done.stderr
        printed = {row["image"]: row for row in map(json.loads, done.stdout.splitlines())}
        with ev.read_journal(path) as reader:
            rows = [row for row in reader if row.kind == "answer"]
        assert len(rows) == 5 * round_
        for row in rows[-5:]:
            name = row.document["answer"]["source"]
            assert row.document["bundle_digest"] == ev.read_bundle(folder / "tiny.evb").digest
            if name.endswith("damaged.png"):
                assert row.status.startswith("failed: InputError: ")
                assert "error" in printed[name]
            else:
                result = row.document["answer"]["result"]
                assert result["classes"][0] == printed[name]["classes"][0]
                assert row.frame_is_kept
    assert ev.verify_journal(path).ok


def test_predict_refuses_a_journal_that_cannot_be_written(edgevision_command: Command, folder: Path) -> None:
    command = "predict", folder / "tiny.evb", folder / "images" / "0.png"
    assert edgevision_command(*command, "--journal", folder / "images" / "0.png").returncode == 17
    assert edgevision_command(*command, "--journal", folder / "missing" / "a.db").returncode == 12
    done = edgevision_command(*command, "--journal-frames", "all")
    assert (done.returncode, "requires --journal" in done.stderr) == (2, True)


def stream_into(run: Command, path: Path, folder: Path, policy: str) -> tuple[int, int]:
    """Stream eight frames into a journal: frames that it has, and rows that it says are missing."""
    frames = path.parent / "frames"
    frames.mkdir()
    for number in range(FRAMES):
        write_image(frames / f"{number}.png", np.full((20, 24, 3), number, np.uint8))
    done = run(
        *("stream", folder / "tiny.evb", frames, "--policy", policy, "--health-every-s", "0"),
        *("--journal", path, "--journal-frames", "all"),
    )
    assert done.returncode == 0, done.stderr
    assert ev.verify_journal(path).ok
    with ev.read_journal(path) as reader:
        rows = [row.document for row in reader]
    skipped = sum(sum(row["counts"].values()) for row in rows if row["kind"] == "skipped")
    return sum("frame" in row for row in rows), skipped


def test_a_journal_waits_where_the_source_of_a_stream_can_wait(
    edgevision_command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("edgevision.journal.writer._MOST_QUEUED_BYTES", 1)  # room for one frame
    kept, skipped = stream_into(edgevision_command, tmp_path / "runs.db", folder, "wait")
    assert (kept, skipped) == (FRAMES, 0)
    assert "could not be written" not in caplog.text


def test_elsewhere_it_does_not_and_what_is_missing_is_counted_and_told(
    edgevision_command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    ended = threading.Event()
    commit, consume = Writer._commit, stream_command._consume

    def commit_after_the_stream(writer: Writer, batch: Any) -> None:
        if writer.acknowledged:  # the first row says that it is open
            assert ended.wait(60)
        commit(writer, batch)

    def consume_and_go_on(*arguments: Any) -> None:
        consume(*arguments)
        ended.set()

    monkeypatch.setattr("edgevision.journal.writer._MOST_QUEUED_BYTES", 1)
    monkeypatch.setattr(Writer, "_commit", commit_after_the_stream)
    monkeypatch.setattr(stream_command, "_consume", consume_and_go_on)
    kept, skipped = stream_into(edgevision_command, tmp_path / "runs.db", folder, "latest")
    assert (kept, skipped) == (0, FRAMES)
    assert re.search(
        rf"runs.db: {FRAMES} of \d+ rows could not be written; edgevision journal show", caplog.text
    )


def test_verify_prints_the_head_and_takes_it_back(edgevision_command: Command, journal: Path) -> None:
    done = edgevision_command("journal", "verify", journal)
    assert done.returncode == 0, done.stderr
    head = done.stdout.splitlines()[-1].removeprefix("head ")
    assert head == str(ev.verify_journal(journal).head)
    document = json.loads(edgevision_command("journal", "verify", journal, "--head", head, "--json").stdout)
    assert (document["ok"], document["anchored"], document["kinds"]["answer"]) == (True, True, 5)
    assert edgevision_command("journal", "verify", journal, "--head", "7").returncode == 2


def test_verify_exits_with_17_for_what_was_changed_and_what_is_no_journal(
    edgevision_command: Command, journal: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.db"
    changed.write_bytes(journal.read_bytes())
    connection = sqlite3.connect(changed)
    connection.execute("DELETE FROM rows WHERE seq = 3")
    connection.commit()
    connection.close()
    done = edgevision_command("journal", "verify", changed)
    assert done.returncode == 17
    assert "problem: row 3 is missing: removed" in done.stdout
    assert "head " not in done.stdout
    assert done.stderr.count("\n") == 1
    assert json.loads(edgevision_command("journal", "verify", changed, "--json").stdout)["ok"] is False
    (tmp_path / "text.db").write_text("no journal")
    for name in ("text.db", "missing.db"):
        assert edgevision_command("journal", "verify", tmp_path / name).returncode == 17
        assert edgevision_command("journal", "show", tmp_path / name).returncode == 17


def test_show_lists_rows_and_one_with_its_frame(
    edgevision_command: Command, journal: Path, folder: Path, tmp_path: Path
) -> None:
    lines = edgevision_command("journal", "show", journal, "--last", "2").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["6", "7"]
    assert "failed: the lens is covered" in lines[0]
    failed = edgevision_command(
        "journal", "show", journal, "--status", "failed", "--json"
    ).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in failed] == [6]
    assert len(edgevision_command("journal", "show", journal, "--all").stdout.splitlines()) == 7
    frame = tmp_path / "frame.png"
    done = edgevision_command("journal", "show", journal, "--row", "2", "--frame", frame)
    assert json.loads(done.stdout)["seq"] == 2
    assert np.array_equal(cv2.imread(str(frame)), cv2.imread(str(folder / "images" / "0.png")))
    assert edgevision_command("journal", "show", journal, "--row", "99").returncode == 2
    assert edgevision_command("journal", "show", journal, "--row", "1", "--frame", frame).returncode == 2
    assert edgevision_command("journal", "show", journal, "--row", "2", "--frame", "a.jpg").returncode == 2


def test_a_row_cannot_forge_a_line(edgevision_command: Command, tmp_path: Path) -> None:
    with ev.Journal(tmp_path / "runs.db") as journal:
        journal.record({"status": "failed: a\n     9  2026  answer  ok\x1b[2J"})
    assert len(edgevision_command("journal", "show", tmp_path / "runs.db").stdout.splitlines()) == 3


def test_json_lines_have_every_row(edgevision_command: Command, journal: Path, tmp_path: Path) -> None:
    done = edgevision_command("journal", "export", journal, "-o", "-")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    with ev.read_journal(journal) as reader:
        assert rows == [{**row.document, "hash": row.digest} for row in reader]
    output = tmp_path / "rows.jsonl"
    done = edgevision_command("journal", "export", journal, "-o", output, "--frames", "--json")
    assert json.loads(done.stdout)["rows"] == 7
    assert sum("frame_content" in json.loads(line) for line in output.read_text().splitlines()) == 5
    assert edgevision_command("journal", "export", journal, "-o", output).returncode == 2
    assert edgevision_command("journal", "export", journal, "-o", output, "--overwrite").returncode == 0
    assert "frame_content" not in output.read_text()
    assert edgevision_command("journal", "export", journal, "-o", tmp_path / "rows.txt").returncode == 2
    assert (
        edgevision_command("journal", "export", journal, "-o", tmp_path / "no" / "a.jsonl").returncode == 12
    )


def test_parquet_has_columns_and_frames(edgevision_command: Command, journal: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    output = tmp_path / "rows.parquet"
    assert edgevision_command("journal", "export", journal, "-o", output, "--frames").returncode == 0
    rows = parquet.read_table(output).to_pylist()
    with ev.read_journal(journal) as reader:
        for row, found in zip(reader, rows, strict=True):
            assert (found["seq"], found["kind"], found["hash"]) == (row.seq, row.kind, row.digest)
            assert found["at"].isoformat() == row.at
            if row.kind == "answer":
                assert found["backend"] == "tflite"
                assert found["frame_content"] == reader.frame_content(row)
                result = (row.document["answer"]).get("result")
                assert result == (found["result"] and json.loads(found["result"]))


def test_mcap_has_messages_and_images(edgevision_command: Command, journal: Path, tmp_path: Path) -> None:
    mcap = pytest.importorskip("mcap.reader", reason="needs the extra `mcap`")
    output = tmp_path / "rows.mcap"
    assert edgevision_command("journal", "export", journal, "-o", output, "--frames").returncode == 0
    with output.open("rb") as file:
        messages = [
            (channel.topic, message) for _, channel, message in mcap.make_reader(file).iter_messages()
        ]
    rows = [json.loads(m.data) for topic, m in messages if topic == "/edgevision/journal"]
    assert sorted(row["seq"] for row in rows) == list(range(1, 8))
    assert sum(topic == "/edgevision/frames" for topic, _ in messages) == 5


@pytest.mark.parametrize("library", ["pyarrow", "mcap"])
def test_a_missing_library_says_what_to_install(
    journal: Path, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    from edgevision.journal.export import FORMS

    monkeypatch.setitem(sys.modules, library, None)
    extra = "parquet" if library == "pyarrow" else library
    monkeypatch.setitem(sys.modules, f"{library}.writer", None)
    with (
        ev.read_journal(journal) as reader,
        pytest.raises(ev.errors.MissingRuntimeError, match=rf"edgevision\[{extra}\]"),
    ):
        FORMS[f".{extra}"](reader, io.BytesIO(), False)


def test_replay_shows_the_decisions_that_differ(
    edgevision_command: Command, journal: Path, folder: Path
) -> None:
    done = edgevision_command("journal", "replay", journal, "--bundle", folder / "tiny.evb", "--json")
    document = json.loads(done.stdout)
    assert (document["compared"], document["differing"]) == (5, 1)  # the one that was not answered then
    assert document["rows"][0]["recorded"] == "failed: the lens is covered"
    done = edgevision_command("journal", "replay", journal, "--bundle", folder / "renamed.evb")
    assert done.returncode == 0
    with ev.read_journal(journal) as reader:
        tops = [
            row.document["answer"]["result"]["classes"][0]["label"] for row in reader if row.status == "ok"
        ]
    assert f"{1 + tops.count('b')} of 5 decisions differ" in done.stdout
    assert "other" in done.stdout


def test_replay_without_frames_says_how_to_keep_them(
    edgevision_command: Command, folder: Path, tmp_path: Path
) -> None:
    with ev.Journal(tmp_path / "runs.db") as journal:
        journal.record({"status": "ok"})
    done = edgevision_command("journal", "replay", tmp_path / "runs.db", "--bundle", folder / "tiny.evb")
    assert (done.returncode, "frames='all'" in done.stderr) == (3, True)


def test_stream_records_every_answer(edgevision_command: Command, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    (tmp_path / "images").mkdir()
    for image in (folder / "images").glob("[0-9].png"):
        (tmp_path / "images" / image.name).write_bytes(image.read_bytes())
    done = edgevision_command("stream", folder / "tiny.evb", tmp_path / "images", "-q", "--journal", path)
    assert done.returncode == 0, done.stderr
    verified = ev.verify_journal(path)
    assert verified.ok
    # The source is opened and ends; the model is healthy at the first look, and stopped at the last.
    expected = {"answer": 4, "closed": 1, "event": 2, "health": 2, "model": 1, "opened": 1}
    assert verified.kinds == expected
    with ev.read_journal(path) as reader:
        answers = [row.document["answer"] for row in reader if row.kind == "answer"]
    assert [answer["index"] for answer in answers] == [0, 1, 2, 3]
    assert all("inference" in answer["times_ms"] for answer in answers)
