"""write_report(): a bundle goes in, one page for a reviewer comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.bundle.manifest import Manifest
from edgevision.bundle.pictures import Picture, read_pictures
from edgevision.bundle.storage import Bundle, read_bundle
from edgevision.errors import BundleError, OutputError
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Evidence
from edgevision.reporting.changes import changes
from edgevision.reporting.decisions import decisions
from edgevision.reporting.layers import artifact_precisions, rankings
from edgevision.reporting.metrics import class_metric_tables, cost_chart, interval_methods, metric_tables
from edgevision.reporting.page import render
from edgevision.reporting.score_calibration import calibrated_scores
from edgevision.reporting.summary import artifact_statuses, summary, unverified_limits
from edgevision.system.files import check_folder_of, write_file
from edgevision.target import load_targets
from edgevision.tasks.description import task_to_dict

_SUFFIXES = (".html", ".htm")


def write_report(bundle: str | Path, output: str | Path, *, force: bool = False) -> None:
    """Write the report of a bundle: one HTML page with everything in it, that needs no network and no script.

    It tells what `edgevision.evidence.records.Evidence` holds, with the bundle's pictures, and
    nothing that is not in the bundle: so the same bundle gives the same page, byte for byte.

    Args:
        bundle: a bundle, or a zip of it.
        output: the page to be written, ``NAME.html``.
        force: replace a file that is there.

    Raises:
        BundleError: the bundle is damaged, or its evidence is not what this release reads.
        MissingRuntimeError: jinja2 is not installed.
        OutputError: the page cannot be written. Nothing is left behind.
    """
    output = Path(output)
    _check_output(output, force)
    page = report_html(read_bundle(Path(bundle)))
    write_file(output, page.encode("utf-8"))


def report_html(bundle: Bundle) -> str:
    """The page as text.

    Raises:
        BundleError, MissingRuntimeError: as `write_report`.
    """
    return render(_facts(bundle, _evidence(bundle), _pictures(bundle)))


def _check_output(path: Path, force: bool) -> None:
    if path.suffix.lower() not in _SUFFIXES:
        raise OutputError(f"{path}: a report's name ends in .html; type -o {path.with_suffix('.html')}")
    check_folder_of(path, "-o")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; choose another name with -o")
    if (path.exists() or path.is_symlink()) and not force:
        raise OutputError(f"{path}: exists; --force replaces it")


def _evidence(bundle: Bundle) -> Evidence:
    entry = bundle.manifest.evidence
    text = bundle.read(entry).decode("utf-8", "replace")
    try:
        return read_evidence(text, f"{bundle.path}: {entry.path}")
    except BundleError as error:
        raise BundleError(f"{error}; convert again, or use the release that made it") from error


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
        "unverified": unverified_limits(evidence),
        "cost_chart": cost_chart(evidence),
        "metrics": tables,
        "methods": interval_methods(tables),
        "class_metrics": class_metric_tables(evidence),
        "decisions": decisions(evidence, bundle.labels),
        "changes": changes(evidence, pictures),
        "score_calibration": calibrated_scores(evidence),
        "precisions": artifact_precisions(evidence, manifest),
        "rankings": rankings(evidence, manifest),
        "notes": _notes(evidence),
        "task": manifest.task,
        "settings": _settings(manifest),
    }


def _notes(evidence: Evidence) -> list[str]:
    measured = (note for one in evidence.results for note in one.comparison.notes)
    return list(dict.fromkeys([*evidence.notes, *measured]))


def _settings(manifest: Manifest) -> list[tuple[str, str]]:
    """What the task and the input are, a setting a row; settings of settings stand beside them."""
    given = {**task_to_dict(manifest.task)}
    given.update({} if manifest.preprocessing is None else manifest.preprocessing.to_dict())
    inner = {name: value for part in given.values() if isinstance(part, dict) for name, value in part.items()}
    plain = {name: value for name, value in given.items() if not isinstance(value, dict)}
    return [(name.replace("_", " "), _in_words(value)) for name, value in {**plain, **inner}.items()]


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(part)}" for name, part in value.items() if part is not None)
    return ", ".join(map(_in_words, value)) if isinstance(value, (list, tuple)) else str(value)
