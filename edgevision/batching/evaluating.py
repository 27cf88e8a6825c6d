"""The evaluation of a model on the images of a batch: the figures of `evaluate`, on any executor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgevision.batching.evaluation_work import MeasuringOn
from edgevision.batching.run_folder import RunFolder
from edgevision.batching.settings import BatchRun, BatchSettings, columns_of
from edgevision.batching.sources import LIST_MARK, Sources
from edgevision.bundle.storage import read_bundle
from edgevision.datasets.groups import GroupSource
from edgevision.datasets.image_sets import ImageContent, ImageSet, set_of_contents
from edgevision.errors import OptionError
from edgevision.evaluation.compare import BundleComparison, compare_on
from edgevision.evaluation.evaluate import Evaluation, evaluate_on
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.open_model import RunSettings
from edgevision.plugins import registry
from edgevision.system.credentials import is_address
from edgevision.system.files import write_file
from edgevision.system.progress import Progress

#: The file with the metrics, as ``edgevision evaluate --json`` prints them.
EVALUATION = "evaluation.json"
#: The same of ``edgevision compare --json``.
COMPARISON = "comparison.json"


def evaluate_batch(  # noqa: PLR0913 - those of `batch`
    path: Path,
    named: Sequence[str],
    folder: Path,
    on: RunSettings,
    settings: BatchSettings,
    *,
    other: Path | None,
    paths: GroundTruthPaths,
    groups: GroupSource | None,
    progress: Progress | None,
) -> BatchRun:
    """As `edgevision.batch` with ground truth; raises as it and `edgevision.evaluate`."""
    if settings.call or settings.top is not None or not settings.input_gate:
        raise OptionError(
            "call, top and input_gate are for predictions; an evaluation runs the bundle as it is"
        )
    executor = registry().executor(settings.engine)
    images = _images(named, settings, folder)
    whole = images if groups is None else images.grouped(groups)
    distinct = whole.distinct()
    facts = {
        "content": "evaluation" if other is None else "comparison",
        "bundle_digest": read_bundle(path).digest,
        "other_digest": None if other is None else read_bundle(other).digest,
        **{"backend": on.backend, "device": on.device, "precision": on.precision},
        "threads": on.settings.threads,
    }
    measuring = MeasuringOn(executor, settings.workers, folder)
    with RunFolder(folder, facts) as run:
        found: Evaluation | BundleComparison
        if other is None:
            found = evaluate_on(measuring, path, distinct, on, paths, progress)
        else:
            found = compare_on(measuring, (path, on), (other, on), distinct, paths, progress)
        document = json.dumps(found.to_dict(), indent=2, allow_nan=False)
        write_file(folder / (EVALUATION if other is None else COMPARISON), document.encode() + b"\n")
        run.complete({"engine": settings.engine, "images": found.data.images})
        measuring.forget()
    used = found.data.images + found.data.copies
    return BatchRun(
        *(folder, str(facts["bundle_digest"]), len(whole), used, len(whole) - used, 0),
        reused=measuring.reused,
        left_out=distinct.left_out if isinstance(found, BundleComparison) else found.left_out,
        evaluation=None if isinstance(found, BundleComparison) else found,
        comparison=found if isinstance(found, BundleComparison) else None,
    )


def _images(named: Sequence[str], settings: BatchSettings, folder: Path) -> ImageSet:
    """The images of the sources: of one folder or archive as `evaluate` has them."""
    only = named[0]
    if len(named) == 1 and not is_address(only) and not only.startswith(LIST_MARK):
        path = Path(only)
        if path.suffix.lower() == ".zip" or (path.is_dir() and not any(path.glob("*.parquet"))):
            # Workers may work in another folder.
            return replace(ImageSet.open(path.absolute()), name=only)
    sources = Sources(named, columns_of(settings), folder)
    contents = []
    for one in sources.references():
        name = one.name if one.frame is None else one.name.removesuffix(f"#{one.frame}")
        where = one.uri if one.frame is None else one.uri.removesuffix(f"#{one.frame}")
        contents.append(ImageContent(name, where, one.frame, one.place.read, one.label))
    return set_of_contents(named[0] if len(named) == 1 else f"{named[0]} …", contents, sources.left_out)
