"""`Journal`: the record of a model's answers while it runs, for incident analysis."""

from __future__ import annotations

import os
import platform
import sqlite3
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgevision._version import __version__
from edgevision.errors import JournalBusyError, OptionError, OutputError, first_line
from edgevision.hookspecs import hookimpl
from edgevision.imaging.decode import ImageLike, as_frame
from edgevision.imaging.frame import Frame
from edgevision.journal.chain import JournalHead
from edgevision.journal.choices import KEPT_FRAMES, ON_ERROR
from edgevision.journal.database import open_for_writing
from edgevision.journal.frames import copy_of
from edgevision.journal.results import document_of
from edgevision.journal.values import json_values
from edgevision.journal.writer import Entry, Writer
from edgevision.plugins import registry
from edgevision.system.arguments import duration, flag, instance, one_of, one_path, whole_number
from edgevision.system.files import FileLock, check_folder_of
from edgevision.system.shown import shown
from edgevision.tasks.base import TaskModel

if TYPE_CHECKING:
    from edgevision.health import Health
    from edgevision.observation import Observation, StreamEvent
    from edgevision.system.numeric import RealNumber, WholeNumber
    from edgevision.tasks.base import TaskModel

_MOST_QUEUED_ROWS = 100_000
#: Facts of a run, which stand beside the answer in a row.
_RUN = ("backend", "device", "precision", "bundle_digest")
#: Seconds for the first row: a file is opened once, and its disk may be slow.
_OPEN_S = 30.0


class Journal:
    """A record of answers in one SQLite file, whose rows are chained by hash. Safe to share between threads.

    Each row has the time, bundle digest, backend, device, precision, versions, status, the result, timings,
    and the digest of the frame; the frame itself if `frames` says so. A thread of its own writes them, so a
    camera's loop waits for nothing but the copy of a frame. What could not be written is counted, and the
    count is a row, too. A file that exists is continued.

    `flush` returns when all rows before it are on the disk; neither a crash nor a power failure loses those.

    Args:
        path: the file, by convention ``….db``.
        frames: ``none``; ``all``; ``abstained``: those without an answer (abstained or failed); or
            ``sample``: the first and every `sample_every`-th after it. They are kept without loss, as PNG
            where that can be.
        sample_every: for ``sample``; 1 or more.
        on_error: ``warn``: log a warning, count what is lost, and try again; ``raise``: `record` raises, too.
        queue_rows: the most rows that wait in memory, 1 to 100,000; their frames take 64 MiB at most.
        commit_s: the longest that a row waits for others, to be written with them, in seconds, above 0.
        wait: wait for room in the queue instead of skipping: for files, which can wait.

    Attributes:
        waits: `wait`; may be set later, as when it is known whether a stream's source can wait.

    Raises:
        OptionError: an argument is out of range.
        JournalBusyError: the file is written to already.
        JournalError: the file is not a journal, damaged, or of a newer version.
        JournalChainError: rows at its end were removed or altered.
        OutputError: the folder is missing or read-only, or the disk is full.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        frames: str = "none",
        sample_every: WholeNumber = 100,
        on_error: str = "warn",
        queue_rows: WholeNumber = 1000,
        commit_s: RealNumber = 0.2,
        wait: bool = False,
    ) -> None:
        path = one_path(path, "path")
        self._frames = one_of(frames, KEPT_FRAMES, "frames")
        self._sample_every = whole_number(sample_every, "sample_every", least=1)
        self._raises = one_of(on_error, ON_ERROR, "on_error") == "raise"
        most_rows = whole_number(queue_rows, "queue_rows", least=1, most=_MOST_QUEUED_ROWS)
        commit = duration(commit_s, "commit_s")
        self.waits = flag(wait, "wait")
        self._path = path
        self._process = os.getpid()
        self._answers = 0
        self._closed = False
        self._runtimes: dict[str, str] = {}
        self._writer = _opened(path, most_rows, commit)
        self._finalizer = weakref.finalize(self, _close_in, self._process, self._writer)
        try:
            self._writer.add(Entry("opened", {"versions": _versions()}))
            self._writer.flush(_OPEN_S)
        except OutputError:
            self._finalizer()
            raise

    @property
    def acknowledged(self) -> int:
        """Rows of this object that are in the file, durably."""
        return self._writer.acknowledged

    @property
    def skipped(self) -> int:
        """Rows of this object that are not in the file and will not be: there was no room for them."""
        return sum(self._writer.skipped.values())

    @property
    def error(self) -> str:
        """The reason why the file cannot be written now; empty if it can."""
        return self._writer.error

    @property
    def head(self) -> JournalHead:
        """The end of the chain in the file, to be kept elsewhere; see `verify_journal`."""
        return self._writer.head

    def record(
        self,
        answer: Any,
        image: ImageLike | None = None,
        color: str = "rgb",
        *,
        model: TaskModel | None = None,
    ) -> bool:
        """Add one answer.

        Args:
            answer: a result, such as `Classification` or `Detections`; or a mapping of JSON values, or an
                object whose ``to_dict()`` gives one, with ``status`` and, if there is one, ``result``, as a
                stream's results have. ``status`` is ``ok``, ``stale``, ``abstained: REASON`` or
                ``failed: REASON``; ``backend``, ``device``, ``precision`` and ``bundle_digest`` in it count
                before the model's. Of more than 100 classes the best 100 are kept.
            image: what was answered, in any form that a model takes; arrays are copied. `None` if there was
                no image.
            color: channel order of an array.
            model: what answered; `None` if `answer` says so, or nothing did.

        Returns:
            True if it will be written; False if it was skipped, and counted.

        Raises:
            OptionError: the answer has values that JSON does not have, or the journal is closed.
            InputError: `image` is not an image.
            OutputError: under ``on_error="raise"``, the file cannot be written.
        """
        frame = None if image is None else as_frame(image, color)
        document = _answer_of(answer)
        if model is not None:
            run = _run_of(instance(model, TaskModel, "model"))
            document = {**run, **document}
        return self._add("answer", document, frame)

    def flush(self, timeout_s: RealNumber = 10.0) -> JournalHead:
        """Wait until all rows that were added before are on the disk.

        Returns:
            The end of the chain.

        Raises:
            OutputError: they cannot be written; or not within `timeout_s` seconds.
            OptionError: the journal is closed.
        """
        limit_s = duration(timeout_s, "timeout_s")
        self._check_open()
        return self._writer.flush(limit_s)

    def close(self) -> None:
        """Write what is queued, and close the file. May be called twice.

        Raises:
            OutputError: under ``on_error="raise"``, rows were lost.
        """
        if self._closed or self._process != os.getpid():
            return
        self._closed = True
        self._finalizer()
        if self._raises and self._writer.error:
            raise self._writer.refusal()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Journal: {self._path}, {self.acknowledged} rows written, {self.skipped} skipped>"

    # As an observer: `with edgevision.observe(journal): …`

    @hookimpl
    def edgevision_model_loaded(self, model: Any, path: Path) -> None:
        """Record that a model was loaded."""
        self._add("model", json_values({**_run_of(model), "path": str(path)}, "model"), None)

    @hookimpl
    def edgevision_inferred(self, observation: Observation) -> None:
        """Record an answer."""
        self._observe("answer", observation)

    @hookimpl
    def edgevision_failed(self, observation: Observation) -> None:
        """Record that there was no answer."""
        self._observe("answer", observation)

    @hookimpl
    def edgevision_dropped(self, observation: Observation) -> None:
        """Record that a frame was not answered."""
        self._observe("dropped", observation)

    @hookimpl
    def edgevision_stream_event(self, model: Any, event: StreamEvent) -> None:
        """Record what happened to the source of a stream."""
        told = {"status": f"stream {event.kind}", "message": event.message}
        self._add("event", {**_run_of(model), **_answer_of(told)}, None)

    @hookimpl
    def edgevision_health_changed(self, health: Health, before: Health | None) -> None:
        """Record that a model's health changed, or that another one answers in its place."""
        values = health.to_dict()
        run = {name: values.pop(name) for name in _RUN if values[name] is not None}
        status = f"health {health}"
        was = {} if before is None else {"before": before.to_dict()}
        self._add("health", {**run, **_answer_of({"status": status, **values, **was})}, None)

    def _observe(self, kind: str, observation: Observation) -> None:
        answer = {
            **observation.facts,
            "status": observation.status,
            "times_ms": observation.times_ms,
            **({} if observation.result is None else {"result": document_of(observation.result)}),
        }
        run = {} if observation.model is None else _run_of(observation.model)
        self._add(kind, {**run, **_answer_of(answer)}, observation.image)

    def _add(self, kind: str, document: Mapping[str, Any], frame: Frame | None) -> bool:
        self._check_open()
        keep = False
        if kind == "answer":
            keep = frame is not None and self._keeps(document.get("status", ""))
            self._answers += 1
        backend = document.get("backend")
        if isinstance(backend, str):
            document = {
                **document,
                "versions": {"edgevision": __version__, "runtime": self._runtime(backend)},
            }
        copied = None if frame is None else copy_of(frame)
        added = self._writer.add(Entry(kind, document, copied, keep), self.waits)
        if self._raises and self._writer.error:
            raise self._writer.refusal()
        return added

    def _keeps(self, status: str) -> bool:
        if self._frames == "sample":
            return self._answers % self._sample_every == 0
        no_answer = status.startswith(("abstained", "failed"))
        return self._frames == "all" or (self._frames == "abstained" and no_answer)

    def _runtime(self, backend: str) -> str:
        if backend not in self._runtimes:
            try:
                self._runtimes[backend] = registry().backend(backend).version()
            except (Exception, SystemExit) as error:  # of a plugin; the answer is recorded nevertheless
                self._runtimes[backend] = f"unknown: {first_line(error)}"
        return self._runtimes[backend]

    def _check_open(self) -> None:
        if self._process != os.getpid():
            raise OptionError(
                f"{self._path}: this journal was opened before this process was forked; open another one here"
            )
        if self._closed:
            raise OptionError(
                f"{self._path}: this journal is closed; open it again with edgevision.Journal(…)"
            )


def _opened(path: Path, most_rows: int, commit_s: float) -> Writer:
    check_folder_of(path, "the journal's path")
    try:
        lock = FileLock(path)
    except BlockingIOError as error:
        raise JournalBusyError(
            f"{path}: another process, or another Journal of this one, writes to this journal; "
            "choose another file"
        ) from error
    try:
        connection = open_for_writing(path)
        return Writer(path, connection, lock, most_rows, commit_s)
    except BaseException:
        lock.release()
        raise


def _close_in(process: int, writer: Writer) -> None:
    """Close in the process that opened: the child of a fork has neither its thread nor its locks."""
    if process == os.getpid():
        writer.close()


def _versions() -> dict[str, str]:
    return {
        "edgevision": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "sqlite": sqlite3.sqlite_version,
    }


def _run_of(model: TaskModel) -> dict[str, Any]:
    session = model.session
    run = {"backend": session.backend, "device": session.device, "precision": session.precision}
    task = getattr(getattr(model, "task", None), "name", None)
    run |= {} if task is None else {"task": task}
    return run if model.bundle_digest is None else {**run, "bundle_digest": model.bundle_digest}


def _answer_of(answer: Any) -> dict[str, Any]:
    """The fields of a row: status and facts of the run, and the rest as ``answer``."""
    values = answer if isinstance(answer, Mapping) else document_of(answer)
    if "status" not in values:
        values = {"status": "ok", "result": values}
    document = json_values(values, "answer")
    status = document.pop("status")
    if not isinstance(status, str) or not status:
        raise OptionError(f"answer: expected the text of a status, such as 'ok', got {shown(status)}")
    run = {name: document.pop(name) for name in _RUN if name in document}
    return {"status": status, **run, "answer": document}
