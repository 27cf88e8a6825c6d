"""batch(): predictions about many images, or their evaluation, on this machine or a cluster, resumable."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from edgevision.batching.evaluating import evaluate_batch
from edgevision.batching.prediction import Prediction, pin
from edgevision.batching.references import ImageReference
from edgevision.batching.results import ResultTable
from edgevision.batching.rows import UNCHANGED
from edgevision.batching.run_folder import RunFolder
from edgevision.batching.settings import BatchRun, BatchSettings, columns_of
from edgevision.batching.sources import LIST_MARK, Sources
from edgevision.batching.table_forms import table_form
from edgevision.batching.units import running
from edgevision.datasets.groups import GroupSource
from edgevision.errors import OptionError
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.open_model import RunSettings
from edgevision.plugins import registry
from edgevision.streaming.records import ABSTAINED, FAILED, OK
from edgevision.system.arguments import callback, flag, instance, one_path, optional_path, sequence
from edgevision.system.credentials import is_address, without_credentials
from edgevision.system.in_order import in_blocks
from edgevision.system.progress import Progress, no_progress
from edgevision.system.shown import shown

#: Stage of the progress.
_STAGE = "predicting"


def batch(  # noqa: PLR0913 - all but the first four by name
    bundle: str | Path,
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    on: RunSettings | None = None,
    *,
    settings: BatchSettings | None = None,
    evaluate: bool = False,
    compare_with: str | Path | None = None,
    annotations: str | Path | None = None,
    truth: str | Path | None = None,
    groups: GroupSource | None = None,
    progress: Progress | None = None,
) -> BatchRun:
    """Predict about many images, and write a table of the results; or evaluate a model on them.

    The table is a folder of parts, each a file that is written whole, with one row per image: see
    `edgevision.batching.rows.BatchRow` for the columns. An image that cannot be used is a row with the status
    ``failed: …``, and stops nothing. A run that was killed goes on when it is called again with the same
    arguments: images with a row are left alone, unless their size or time, or ETag, says that they changed;
    then they are read, and worked on again if their SHA-256 is another one. The table has one row per image
    in the end.

    Results are the same on every executor, but for the times: each inference has one CPU thread unless `on`
    says otherwise, and workers run the artifact on the backend and device that was chosen here.

    With ground truth, there are metrics instead of a table: those of `edgevision.evaluate` on the same
    images, to the last digit, whatever the executor, in ``evaluation.json``. Answers that are scores or boxes
    are kept until all are there, so that a killed run goes on from them. All files are read once by this
    process, which compares their content.

    Args:
        bundle: the bundle. With another executor than ``local``, it must be at this path on each of its
            machines.
        sources: folders, zip archives, patterns, image files, Parquet files with the bytes of images, ``@``
            and the path of a list (one path or URL per line, or ``.jsonl`` with ``path`` or ``uri``), or URLs
            such as ``s3://bucket/folder`` (extra ``remote``).
        output: folder for the table.
        on: the artifact to run, its backend and device.
        settings: the executor, the format of the table, and arguments of each call.
        evaluate: True to evaluate a classifier by the folders of the images, or `BatchSettings.label_column`.
        compare_with: another bundle: instead of an evaluation, the comparison of the two as
            `edgevision.compare` has it, with `bundle` as A, in ``comparison.json``.
        annotations, truth, groups: ground truth and groups, as for `edgevision.evaluate`; the first two
            evaluate, too.
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
    paths = GroundTruthPaths.of(annotations, truth)
    other = optional_path(compare_with, "compare_with")
    if flag(evaluate, "evaluate") or other is not None or paths != GroundTruthPaths():
        return evaluate_batch(
            *(path, named, folder, on, settings), other=other, paths=paths, groups=groups, progress=progress
        )
    if groups is not None:
        raise OptionError("groups: are for an evaluation, and predictions have none; remove them")
    executor = registry().executor(settings.engine)
    work = _prediction(path, on, settings)
    model = work.model
    facts = {
        "content": "predictions",
        "format": settings.format,
        "bundle_digest": model.digest,
        **{"backend": model.backend, "device": model.device, "precision": model.precision},
        **{"image_column": settings.image_column, "name_column": settings.name_column},
        "threads": on.settings.threads,
        **{"call": settings.call, "top": settings.top, "input_gate": settings.input_gate},
    }
    form, found = table_form(settings.format), Sources(named, columns_of(settings), folder)
    with RunFolder(folder, facts) as run, ResultTable(folder, form, settings.part_rows) as table:
        todo = _Todo(found, table)
        units = in_blocks(todo, work.unit_size or executor.unit_size)
        with running(executor, work, units, settings.workers) as answers:
            for rows in answers:
                for row in rows:
                    if row.status == UNCHANGED:
                        todo.reused += 1
                    else:
                        todo.done += 1
                        table.add(row)
                tell(_STAGE, todo.reused + todo.done, todo.images)
        table.complete()
        shown_sources = [without_credentials(one) for one in named]
        run.complete(
            {
                "sources": shown_sources,
                "engine": settings.engine,
                "counts": table.counts,
                "parts": table.parts,
            }
        )
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
                taken = ", ".join(known) or "none"
                raise OptionError(
                    f"call: no argument {shown(name)} of a {type(model).__name__}; it takes: {taken}"
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
        text = os.fsdecode(source)
        if not is_address(text):
            one_path(text.removeprefix(LIST_MARK), "sources")
        named.append(text)
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
