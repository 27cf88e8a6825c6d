"""batch(): predictions about many images, or their evaluation, on this machine or a cluster, resumable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from edgevision.batching.prediction import Prediction, pin
from edgevision.batching.references import ImageReference
from edgevision.batching.results import ResultTable
from edgevision.batching.rows import UNCHANGED
from edgevision.batching.settings import BatchRun, BatchSettings
from edgevision.batching.sources import Sources
from edgevision.batching.table_forms import table_form
from edgevision.errors import OptionError
from edgevision.evaluation.open_model import RunSettings
from edgevision.executor import Answer, Executor, Unit, Work
from edgevision.plugins import registry
from edgevision.streaming.records import ABSTAINED, FAILED, OK
from edgevision.system.arguments import callback, instance, one_path, sequence
from edgevision.system.credentials import without_credentials
from edgevision.system.in_order import in_blocks
from edgevision.system.progress import Progress, no_progress
from edgevision.system.shown import shown

#: Stage of the progress.
_STAGE = "predicting"


def batch(
    bundle: str | Path,
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    on: RunSettings | None = None,
    *,
    settings: BatchSettings | None = None,
    progress: Progress | None = None,
) -> BatchRun:
    """Predict about many images, and write a table of the results.

    The table is a folder of parts, each a file that is written whole, with one row per image: see
    `edgevision.batching.rows.BatchRow` for the columns. An image that cannot be used is a row with the status
    ``failed: …``, and stops nothing. A run that was killed goes on when it is called again with the same arguments:
    images with a row are left alone, unless their size or time, or ETag, says that they changed; then they are read,
    and worked on again if their SHA-256 is another one. The table has one row per image in the end.

    Results are the same on every executor, but for the times: each inference has one CPU thread unless `on` says
    otherwise, and workers run the artifact on the backend and device that was chosen here.

    Args:
        bundle: the bundle. With another executor than ``local``, it must be at this path on each of its machines.
        sources: folders, zip archives, patterns, image files, Parquet files with the bytes of images, ``@`` and the
            path of a list (one path or URL per line, or ``.jsonl`` with ``path`` or ``uri``), or URLs such as
            ``s3://bucket/folder`` (extra ``remote``).
        output: folder for the table.
        on: the artifact to run, its backend and device.
        settings: the executor, the format of the table, and arguments of each call.
        progress: called after each unit with (stage, images done, images so far).

    Raises:
        OptionError: an argument is invalid, or the table has results of another bundle or other settings.
        InputError: a source does not exist, or has no images.
        OutputError: the table cannot be written; what was written before is kept.
        MissingRuntimeError: a library for a format, a source or the executor is not installed.
        EdgeVisionError: as `edgevision.load`.
    """
    path, folder = one_path(bundle, "bundle"), one_path(output, "output")
    named = _named(sources)
    on = RunSettings() if on is None else instance(on, RunSettings, "on")
    settings = BatchSettings() if settings is None else instance(settings, BatchSettings, "settings")
    tell = no_progress if progress is None else callback(progress, "progress")
    executor = registry().executor(settings.engine)
    work = _prediction(path, on, settings)
    model = work.model
    facts = {
        "bundle_digest": model.digest,
        **{"backend": model.backend, "device": model.device, "precision": model.precision},
        "call": settings.call,
        "top": settings.top,
        "input_gate": settings.input_gate,
    }
    found = Sources(named, settings.columns)
    with ResultTable(folder, table_form(settings.format), facts, settings.part_rows) as table:
        todo = _Todo(found, table)
        size = work.unit_size or executor.unit_size
        with _running(executor, work, in_blocks(todo, size), settings.workers) as answers:
            for rows in answers:
                for row in rows:
                    if row.status == UNCHANGED:
                        todo.reused += 1
                    else:
                        table.add(row)
                todo.done += len(rows)
                tell(_STAGE, todo.reused + todo.done, todo.images)
        table.complete({"sources": [without_credentials(one) for one in named], "engine": settings.engine})
    counts = table.counts
    return BatchRun(
        *(folder, model.digest, todo.images, counts[OK], counts[FAILED], counts[ABSTAINED]),
        *(todo.reused, tuple(found.left_out)),
    )


def _prediction(bundle: Path, on: RunSettings, settings: BatchSettings) -> Prediction:
    """The work, with what `edgevision.load` chose for this machine."""
    if on.bare is not None:
        raise OptionError("bare: these options describe a bare file, and a batch takes a bundle; remove them")
    pinned, model = pin(bundle, on.backend, on.device, on.precision, settings=on.settings, tune=on.tune)
    with model:
        known = model.call_arguments
        for name in settings.call:
            if name not in known:
                raise OptionError(
                    f"call: no argument {shown(name)} of a {type(model).__name__}; it takes: {', '.join(known) or 'none'}"
                )
    return Prediction(pinned, settings.call, settings.top, settings.input_gate)


def _named(sources: Any) -> list[str]:
    """The sources as text.

    Raises:
        OptionError: there are none, or one is neither text nor a path.
    """
    if isinstance(sources, (str, os.PathLike)):
        sources = [sources]
    elif isinstance(sources, (bytes, bytearray)):
        raise OptionError(f"sources: expected paths or URLs, got {shown(sources)}")
    named = []
    for source in sequence(sources, "sources", "paths or URLs"):
        if not isinstance(source, (str, os.PathLike)) or not os.fspath(source):
            raise OptionError(f"sources: expected paths or URLs, got {shown(source)}")
        path = os.fspath(source)
        named.append(str(path) if isinstance(path, str) else os.fsdecode(path))
    if not named:
        raise OptionError("sources: expected at least one path or URL, got none")
    return named


class _Todo:
    """The images of the sources that have no row yet, each once.

    Attributes:
        images: taken from the sources so far.
        reused: of these, those that have a row.
        done: of these, those that were worked on.
    """

    def __init__(self, sources: Sources, table: ResultTable) -> None:
        self._sources = sources
        self._table = table
        self.images = self.reused = self.done = 0

    def __iter__(self) -> Iterator[ImageReference]:
        seen: set[bytes] = set()
        for reference in self._sources.references():
            key = blake2b(reference.uri.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if key in seen:
                continue
            seen.add(key)
            self.images += 1
            known = self._table.known(reference.uri, reference.stamp)
            if known is None or not known.sha256:
                yield reference
            elif known.same_stamp:
                self.reused += 1
            else:
                yield replace(reference, known_sha256=known.sha256)


@contextmanager
def _running(
    executor: Executor, work: Work, units: Iterable[Unit], workers: int | None
) -> Iterator[Iterator[Answer]]:
    """The answers of an executor, whose work ends with the block."""
    answers = executor.run(work, units, workers)
    try:
        yield answers
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()
