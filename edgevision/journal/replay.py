"""Replay: the frames that a journal kept, through another model; a test in its shadow before an update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import EdgeVisionError, JournalError, OptionError, first_line
from edgevision.journal.decisions import compared, words_of
from edgevision.journal.reader import JournalReader, JournalRow, read_journal
from edgevision.journal.results import document_of
from edgevision.system.arguments import callback


@dataclass(frozen=True)
class ReplayedRow:
    """One kept frame with its recorded answer and the answer of another model.

    Attributes:
        seq: number of the row.
        at: when it was recorded.
        frame_sha256: digest of the frame.
        differs: whether the two decisions are different.
        recorded, replayed: each decision in words; the status where there was no answer.
        score_difference: the largest difference of two scores of one class or object, 0…1; `None` if no score
            is in both.
    """

    seq: int
    at: str
    frame_sha256: str
    differs: bool
    recorded: str
    replayed: str
    score_difference: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def replay_journal(path: str | Path, model: Callable[[Any], Any]) -> Iterator[ReplayedRow]:
    """Run the frames that a journal kept through another model, and compare the decisions.

    Classifiers decide for the top class (with independent scores, for all that reach 0.5) and by their
    operating point; detections are the same if class and place are (IoU of 0.5). Classes are compared by
    name. Other tasks say when two results are the same (`edgevision.tasks.kind.DecidingKind`). A frame
    without an answer, then or now, counts by its status.

    Args:
        path: the journal.
        model: the other model, such as ``edgevision.load("new.evb")``; or a function that calls it, such as
            ``lambda frame: detector(frame, score_threshold=0.4)``.

    Yields:
        A `ReplayedRow` for each kept frame, in the order of the journal.

    Raises:
        OptionError: the model is of another task than the answers; or it cannot be called.
        JournalError: the journal cannot be read, or a frame is not the one that was recorded.
    """
    callback(model, "model")
    if model is None:
        raise OptionError("model: expected a model, got None")
    return _replayed(read_journal(path), model)


def _replayed(journal: JournalReader, model: Callable[[Any], Any]) -> Iterator[ReplayedRow]:
    with journal:
        for row in journal:
            if row.kind == "answer" and row.frame_is_kept:
                yield _compare(journal, row, model)


def _compare(journal: JournalReader, row: JournalRow, model: Callable[[Any], Any]) -> ReplayedRow:
    frame = journal.frame(row)
    own = getattr(getattr(model, "task", None), "name", None)
    task = row.document.get("task") or own
    facts = row.seq, row.at, str(row.document["frame"]["sha256"])
    recorded = (row.document.get("answer") or {}).get("result")
    try:
        result = model(frame)
    except EdgeVisionError as error:
        failed = f"failed: {first_line(error)}"
        differs = not row.status.startswith("failed")
        return ReplayedRow(*facts, differs, row.status, failed, None)
    replayed = document_of(result)
    try:
        if own not in (None, task):
            raise ValueError(f"task '{own}', recorded was '{task}'")
        if recorded is None:  # it was not answered then
            return ReplayedRow(*facts, True, row.status, words_of(replayed, task), None)
        difference = compared(recorded, replayed, task)
    except ValueError as error:
        raise OptionError(f"model: gives results of another task than row {row.seq} has") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise JournalError(f"row {row.seq}: its result is not one of a model (altered?)") from error
    return ReplayedRow(
        *facts, difference.differs, difference.recorded, difference.replayed, difference.score_difference
    )
