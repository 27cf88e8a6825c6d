"""Options of commands that record answers in a journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevision.cli.options.groups import option
from edgevision.cli.options.path import PATH
from edgevision.errors import first_line
from edgevision.imaging.frame import Frame
from edgevision.journal.choices import KEPT_FRAMES
from edgevision.system.log import warning

if TYPE_CHECKING:  # SQLite and the chain are imported where they are used
    from edgevision.journal.journal import Journal
    from edgevision.streaming.records import StreamFrame, StreamResult
    from edgevision.tasks.base import TaskModel

JOURNAL_OPTIONS = (
    option(
        "--journal",
        type=PATH,
        metavar="FILE",
        help="Record each answer in this journal, such as runs.db; one that exists is continued.",
    ),
    option(
        "--journal-frames",
        type=click.Choice(KEPT_FRAMES),
        help="Frames that the journal keeps, and not their digests alone. Default: none.",
    ),
)


@contextmanager
def journal_of(arguments: Mapping[str, Any], *, wait: bool) -> Iterator[Journal | None]:
    """The journal that `JOURNAL_OPTIONS` ask for, closed at the end; `None` without one.

    Args:
        arguments: the command's.
        wait: True for files, which can wait: a row that cannot be written is then an error. Otherwise nothing
            waits, and what is lost is counted.

    Raises:
        UsageError: ``--journal-frames`` was passed alone.
        EdgeVisionError: as `Journal`.
    """
    path: Path | None = arguments["journal"]
    frames = arguments["journal_frames"]
    if path is None:
        if frames is not None:
            raise click.UsageError("--journal-frames requires --journal FILE.")
        yield None
        return
    from edgevision.journal.journal import Journal

    journal = Journal(path, frames=frames or "none", wait=wait, on_error="raise" if wait else "warn")
    try:
        with journal:
            yield journal
    finally:
        if journal.skipped:
            rows = journal.skipped + journal.acknowledged
            where = "edgevision journal show says where and why"
            warning("%s: %d of %d rows could not be written; %s", path, journal.skipped, rows, where)


class AnswerLog:
    """Records the answers of one model about files; does nothing without a journal."""

    def __init__(self, journal: Journal | None, model: TaskModel) -> None:
        self._journal = journal
        self._model = model

    def add(self, name: str, frame: Frame | None, result: Any, call_ms: float, batch: int) -> None:
        """Record one answer.

        Args:
            name: of the image.
            frame: the image; `None` if it could not be read.
            result: the model's, or the error that was raised instead.
            call_ms: duration of the call that gave it.
            batch: images in that call.
        """
        if self._journal is None:
            return
        answer: dict[str, Any] = {"source": name}
        if isinstance(result, Exception):
            answer["status"] = f"failed: {type(result).__name__}: {first_line(result)}"
        else:
            from edgevision.journal.results import document_of

            answer |= {"status": "ok", "result": document_of(result)}
            answer |= {"times_ms": {"call": round(call_ms, 3)}, "batch": batch}
        self._journal.record(answer, frame, model=self._model)

    def abstain(self, name: str, frame: Frame, status: str) -> None:
        """Record that the model was not asked about an image."""
        if self._journal is not None:
            self._journal.record({"source": name, "status": status}, frame, model=self._model)

    def add_of_stream(self, name: str, frame: StreamFrame, result: StreamResult[Any]) -> None:
        """Record the answer about one frame of a video."""
        if self._journal is not None:
            from edgevision.streaming.records import record_of

            self._journal.record({**record_of(frame, result), "source": name}, frame.image)
