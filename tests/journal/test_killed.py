"""``kill -9`` at any moment: what was acknowledged is there, the chain verifies, and the journal goes on.

In full: ``EDGEVISION_KILLS=100 pytest tests/journal/test_killed.py``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import edgevision as ev

KILLS = int(os.environ.get("EDGEVISION_KILLS", "6"))
#: Records with frames without an end, and prints each head that was acknowledged.
PROGRAM = """
import sys
import numpy as np
import edgevision as ev

frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
journal = ev.Journal(sys.argv[1], frames="all", commit_s=0.001, queue_rows=20)
print(journal.head, flush=True)
index = int(sys.argv[2])
while True:
    for _ in range(1 + index % 7):
        while not journal.record({"status": "ok", "index": index}, frame + index % 256):
            journal.flush()
        index += 1
    head = journal.flush()
    print(head, index - 1, flush=True)
"""


def killed(path: Path, first: int, after_s: float) -> list[str]:
    """Run the program, and kill it `after_s` after it opened the journal; its lines that are whole."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, path, str(first)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    opened = process.stdout.readline()
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    process.stdout.close()
    return [line for line in (opened + rest).decode().split("\n")[:-1] if line]


def test_nothing_that_was_acknowledged_is_lost_and_the_journal_goes_on(tmp_path: Path) -> None:
    path, seed = tmp_path / "runs.db", random.Random(0)  # noqa: S311
    first, acknowledged = 0, []
    for _ in range(KILLS):
        lines = killed(path, first, seed.uniform(0, 0.3))
        acknowledged += [line.split()[0] for line in lines]
        if len(lines[-1].split()) == 2:
            first = int(lines[-1].split()[1]) + 1
        verified = ev.verify_journal(path, acknowledged[-1])
        assert (verified.ok, verified.anchored, verified.closed) == (True, True, False), verified
    with ev.Journal(path) as journal:  # opened again, and continued
        journal.record({"status": "ok", "index": "last"})
    with ev.read_journal(path) as reader:
        rows = list(reader)
        for row in rows:
            if row.frame_is_kept:
                frame = reader.frame(row)
                expected = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
                assert frame is not None
                assert np.array_equal(frame.pixels, expected + row.document["answer"]["index"] % 256)
    heads = {f"{row.seq}:{row.digest}" for row in rows}
    assert set(acknowledged) <= heads
    indices = {row.document["answer"]["index"] for row in rows if row.kind == "answer"}
    assert set(range(first)) <= indices
    assert sum(row.kind == "opened" for row in rows) == KILLS + 1
    assert ev.verify_journal(path, acknowledged[0]).anchored
