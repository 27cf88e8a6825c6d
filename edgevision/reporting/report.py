"""write_report(): the conversion report of a bundle as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.bundle.manifest import Manifest
from edgevision.bundle.pictures import Picture, read_pictures
from edgevision.bundle.storage import Bundle, read_bundle
from edgevision.errors import BundleError, OutputError
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Evidence
from edgevision.loading.bare import BareModel, bare_options
from edgevision.loading.bare_bundle import BareBundle, bare_bundle
from edgevision.loading.choice import Request
from edgevision.metrics.comparison import Comparison
from edgevision.metrics.formatting import unit_of_all
from edgevision.plugins import registry
from edgevision.reporting.attention import attention
from edgevision.reporting.changes import changes
from edgevision.reporting.layers import artifact_precisions, quantized_artifacts, rankings
from edgevision.reporting.metrics import (
    class_metric_tables,
    cost_chart,
    interval_methods,
    interval_sources,
    metric_tables,
)
from edgevision.reporting.page import render
from edgevision.reporting.predictions import label_agreements, predictions
from edgevision.reporting.score_calibration import calibrated_scores
from edgevision.reporting.summary import artifact_statuses, summary, unchecked_limits
from edgevision.system.arguments import flag, one_path
from edgevision.system.files import OutputState, check_folder_of, write_file
from edgevision.target import load_targets
from edgevision.tasks.description import task_to_dict
from edgevision.tasks.kind import kind_of

_SUFFIXES = (".html", ".htm")


def write_report(
    bundle: str | Path, output: str | Path, *, force: bool = False, bare: BareModel | None = None
) -> None:
    """Write the conversion report of a bundle as one self-contained HTML page without scripts.

    The page shows the bundle's `edgevision.evidence.records.Evidence` and its example images, and nothing
    else, so the same bundle gives the same page, byte for byte.

    A bare model file has no evidence: its page says so, and shows its tensors, how it is run, its classes and
    digests.

    Args:
        bundle: path of a bundle, a directory or a zip; or of a bare model file.
        output: path of the page to write, ``NAME.html``.
        force: replace an existing file.
        bare: options for a bare file.

    Raises:
        OptionError: there are options for bare files, and this is a bundle; or a bare file needs others.
        BundleError: the bundle is damaged, or this release does not support its evidence.
        MissingRuntimeError: jinja2 is not installed.
        OutputError: the page cannot be written; nothing is left behind.
    """
    output = one_path(output, "output")
    before = _check_output(output, flag(force, "force"))
    path = one_path(bundle, "bundle")
    described = bare_options(path, bare)
    if described is None:
        page = report_html(read_bundle(path))
    else:
        page = bare_html(bare_bundle(path, Request(), described, registry()))
    write_file(output, page.encode("utf-8"), before)


def report_html(bundle: Bundle) -> str:
    """The conversion report of a bundle as HTML.

    Raises:
        BundleError, MissingRuntimeError: as `write_report`.
    """
    return render(_facts(bundle, _evidence(bundle), _pictures(bundle)))


def bare_html(bundle: BareBundle) -> str:
    """The facts of a bare model file, as HTML.

    Raises:
        MissingRuntimeError: jinja2 is not installed.
    """
    (entry,) = bundle.manifest.artifacts
    facts = {
        "name": bundle.path.name,
        "bundle": bundle,
        "manifest": bundle.manifest,
        "entry": entry,
        "size_bytes": bundle.content.size_bytes,
        "settings": _settings(bundle.manifest),
    }
    return render(facts, "bare.html")


def _check_output(path: Path, force: bool) -> OutputState:
    if path.suffix.lower() not in _SUFFIXES:
        html_name = path.with_suffix(".html") if path.name else "report.html"
        raise OutputError(f"{path}: expected a name that ends in .html; pass -o {html_name}")
    before = check_folder_of(path, "-o")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; pass another name with -o")
    if before and not force:
        raise OutputError(f"{path}: already exists; pass --force to replace it")
    return before


def _evidence(bundle: Bundle) -> Evidence:
    entry = bundle.manifest.evidence
    text = bundle.read(entry).decode("utf-8", "replace")
    try:
        return read_evidence(text, f"{bundle.path}: {entry.path}")
    except BundleError as error:
        raise BundleError(f"{error}; convert again, or use the release that wrote the bundle") from error


def _pictures(bundle: Bundle) -> tuple[Picture, ...]:
    entry = bundle.manifest.pictures
    return () if entry is None else read_pictures(bundle.read(entry), f"{bundle.path}: {entry.path}")


def _facts(bundle: Bundle, evidence: Evidence, pictures: tuple[Picture, ...]) -> dict[str, Any]:
    manifest = bundle.manifest
    name = bundle.path.resolve().name
    tables = metric_tables(evidence)
    statuses = artifact_statuses(evidence, manifest, load_targets())
    return {
        "name": name,
        "bundle": bundle,
        "manifest": manifest,
        "evidence": evidence,
        "summary": summary(evidence, statuses),
        "artifacts": statuses,
        "unchecked": unchecked_limits(evidence),
        "unit_of_drops": unit_of_all(row.metric for row in statuses if row.metric is not None),
        "unit_of_all_drops": unit_of_all(metric for table in tables for _, metric in table.rows),
        "interval_sources": interval_sources(evidence),
        "cost_chart": cost_chart(evidence),
        "metrics": tables,
        "methods": interval_methods(tables),
        "class_metrics": class_metric_tables(evidence),
        "predictions": predictions(evidence, bundle.labels),
        "changes": changes(evidence, pictures),
        "attention": attention(evidence, pictures),
        "score_calibration": calibrated_scores(evidence),
        "precisions": artifact_precisions(evidence, manifest),
        "quantized": quantized_artifacts(evidence),
        "rankings": rankings(evidence, manifest),
        "training_input": evidence.training_input,
        "training_steps": _training_steps(evidence),
        "notes": _notes(evidence),
        "task": manifest.task,
        "label_agreements": label_agreements(evidence),
        "texts": kind_of(manifest.task).texts,
        "settings": _settings(manifest),
    }


def _training_steps(evidence: Evidence) -> list[tuple[str, Comparison]]:
    found = evidence.training_input
    return found.steps((one.artifact, one.comparison) for one in evidence.results) if found else []


def _notes(evidence: Evidence) -> list[str]:
    of_results = (note for result in evidence.results for note in result.comparison.notes)
    return list(dict.fromkeys([*evidence.notes, *of_results]))


def _settings(manifest: Manifest) -> list[tuple[str, str]]:
    """Settings of the task and the preprocessing, one per row, with nested settings flattened."""
    settings = {**task_to_dict(manifest.task)}
    settings.update({} if manifest.preprocessing is None else manifest.preprocessing.to_dict())
    nested = [part for part in settings.values() if isinstance(part, dict)]
    rows = {name: value for name, value in settings.items() if not isinstance(value, dict)}
    for part in nested:
        rows.update(part)
    return [(name.replace("_", " "), _as_text(value)) for name, value in rows.items()]


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_as_text(part)}" for name, part in value.items() if part is not None)
    return ", ".join(map(_as_text, value)) if isinstance(value, (list, tuple)) else str(value)
