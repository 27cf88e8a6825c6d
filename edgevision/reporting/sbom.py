"""sbom(): what a bundle is made of and what it loads, as CycloneDX, or as IEC 62304 asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from edgevision._version import __version__
from edgevision.bundle.manifest import FileEntry
from edgevision.bundle.storage import Bundle, open_bundle
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Evidence, Measured
from edgevision.metrics.comparison import Metric
from edgevision.metrics.intervals import Interval
from edgevision.reporting.loaded_libraries import Library, Loaded, loaded_libraries
from edgevision.system.arguments import one_of, one_path, optional_text
from edgevision.system.distributions import canonical
from edgevision.system.machine import now, this_machine
from edgevision.tensors import TensorSpec

#: What `sbom` writes.
FORMS = ("cyclonedx", "soup")
#: Where the faults of the runtimes are listed that were found with this package.
_KNOWN_ANOMALIES = "docs/known-anomalies.md of edgevision"


def sbom(
    bundle: str | Path,
    *,
    form: str = "cyclonedx",
    backend: str | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> dict[str, Any]:
    """The bill of materials of a bundle on this machine: its files, and the libraries that it really loads.

    The bundle is loaded in a process of its own, as `edgevision.load` would, and run once. Listed are the
    distributions that this imports, with the digests of their shared objects, and those of the system.

    Args:
        bundle: a bundle.
        form: ``cyclonedx`` is CycloneDX 1.6 with a model card: task, data sets, and every metric of the
            evidence with its interval. The libraries of the conversion are listed as excluded from its use.
            ``soup`` lists what IEC 62304 asks for of software of unknown provenance: title, manufacturer,
            version, requirements, and where anomalies are published (5.3.3, 5.3.4, 7.1.3, 8.1.2).
        backend, device, precision: as for `edgevision.load`; by default the first artifact that this machine
            runs.

    Returns:
        A document of JSON values.

    Raises:
        OptionError: an argument is unknown.
        BundleError: the bundle is damaged, or has no evidence.
        EdgeVisionError: it cannot be loaded: as `edgevision.load`.
    """
    form = one_of(form, FORMS, "form")
    opened = open_bundle(one_path(bundle, "bundle"))
    opened.verify()
    entry = opened.manifest.evidence
    text = opened.read(entry).decode("utf-8", "replace")
    evidence = read_evidence(text, f"{opened.path}: {entry.path}")
    names = (optional_text(backend, "backend"), optional_text(device, "device"))
    loaded = loaded_libraries(opened.path, *names, optional_text(precision, "precision"))
    return _cyclonedx(opened, evidence, loaded) if form == "cyclonedx" else _soup(opened, loaded)


def sbom_json(document: dict[str, Any]) -> str:
    """The text of a document of `sbom`."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _soup(bundle: Bundle, loaded: Loaded) -> dict[str, Any]:
    return {
        "standard": "IEC 62304:2006+A1:2015",
        "created": now(),
        "model": {"name": bundle.path.resolve().name, "digest": bundle.digest, "artifact": loaded.artifact},
        "where": {"backend": loaded.backend, "device": loaded.device, **this_machine()},
        "soup": [_soup_row(each, bundle, loaded) for each in loaded.libraries],
    }


def _soup_row(library: Library, bundle: Bundle, loaded: Loaded) -> dict[str, Any]:
    """One item; numbers are those of the standard's clauses."""
    machine = this_machine()
    needs = library.requirement or ("the system has it" if library.system else "another item requires it")
    place = f"{loaded.backend} {loaded.device}"
    check = f"edgevision selftest {bundle.path.resolve().name}"
    return {
        "title": library.name,  # 8.1.2 a
        "manufacturer": library.manufacturer or "not stated",  # 8.1.2 b
        "version": library.version or "not stated",  # 8.1.2 c, with the digests
        "sha256": dict(library.files),
        "licence": library.licence or "not stated",
        # 5.3.3 and 5.3.4
        "requirements": f"{needs}; {loaded.artifact} gives its known answers on {place}: {check}",
        "system_requirements": f"{machine['architecture']}, {machine['system']}, Python {machine['python']}",
        "anomalies": library.anomalies or library.home or "not stated",  # 7.1.3
        "known_anomalies": _KNOWN_ANOMALIES,
    }


def _cyclonedx(bundle: Bundle, evidence: Evidence, loaded: Loaded) -> dict[str, Any]:
    manifest = bundle.manifest
    libraries = list(_library_components(loaded))
    facts = json.dumps([bundle.digest, libraries], sort_keys=True)
    record = manifest.provenance
    authors = [] if record is None or record.author is None else [{"name": record.author}]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, facts)}",
        "version": 1,
        "metadata": {
            "timestamp": now(),
            "lifecycles": [{"phase": "operations"}],
            "tools": {"components": [{"type": "application", "name": "edgevision", "version": __version__}]},
            "authors": authors,
            "component": _model(bundle, evidence, loaded),
        },
        "components": [*libraries, *_conversion_components(evidence)],
        "dependencies": [{"ref": "model", "dependsOn": [part["bom-ref"] for part in libraries]}],
    }


def _model(bundle: Bundle, evidence: Evidence, loaded: Loaded) -> dict[str, Any]:
    manifest = bundle.manifest
    source = {
        "type": "machine-learning-model",
        "name": manifest.source.name,
        "description": manifest.source.description,
        "hashes": _hashes(manifest.source.sha256),
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": bundle.path.resolve().name,
        "version": bundle.digest,
        "hashes": _hashes(bundle.digest),
        "pedigree": {"ancestors": [source]},
        "modelCard": {
            "modelParameters": {
                "task": manifest.task.name,
                "datasets": list(_datasets(evidence)),
                "inputs": [{"format": _format(spec)} for spec in manifest.artifacts[0].inputs],
                "outputs": [{"format": _format(spec)} for spec in manifest.artifacts[0].outputs],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_performance(evidence))},
            "considerations": {"technicalLimitations": _limitations(evidence)},
        },
        "components": [_file(entry) for entry in dict.fromkeys(manifest.files())],
        "properties": list(_properties(bundle, evidence, loaded)),
    }


def _format(spec: TensorSpec) -> str:
    return f"{spec.name}: {spec.describe()}"


def _file(entry: FileEntry) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file/{entry.path}",
        "name": entry.path,
        "hashes": _hashes(entry.sha256),
    }


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _datasets(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for role, facts in (("evaluation", evidence.evaluation), ("calibration", evidence.calibration)):
        if facts is not None:
            labelled = "labelled" if facts.labelled else "unlabelled"
            yield {
                "type": "dataset",
                "bom-ref": f"data/{role}",
                "name": facts.name,
                "description": f"{role} set: {facts.images} {labelled} examples",
                "contents": {"properties": [{"name": "sha256", "value": facts.sha256}]},
            }


def _performance(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for result in evidence.results:
        yield from _metrics_of(result)


def _metrics_of(result: Measured) -> Iterator[dict[str, Any]]:
    comparison, artifact = result.comparison, result.artifact
    yield _measured("agreement", comparison.agreement, artifact, comparison.agreement_interval)
    rows = [(artifact, comparison.metrics)]
    rows += [(f"{artifact}, class {each.label}", each.metrics) for each in comparison.by_class]
    for part, metrics in rows:
        for metric in metrics:
            yield from _sides(metric, part)
    for name, value in comparison.likeness.items():
        yield _measured(name, value, artifact, comparison.likeness_intervals.get(name))
    if result.latency_ms is not None:
        yield _measured("latency (ms)", result.latency_ms, artifact, None)


def _sides(metric: Metric, part: str) -> Iterator[dict[str, Any]]:
    yield _measured(metric.name, metric.artifact, part, metric.artifact_interval)
    yield _measured(f"{metric.name} of the source", metric.source, part, metric.source_interval)
    yield _measured(f"drop in {metric.name}", metric.drop, part, metric.drop_interval)


def _measured(kind: str, value: float, part: str, interval: Interval | None) -> dict[str, Any]:
    row: dict[str, Any] = {"type": kind, "value": f"{value:.6g}", "slice": part}
    if interval is not None:
        row["confidenceInterval"] = {
            "lowerBound": f"{interval.low:.6g}",
            "upperBound": f"{interval.high:.6g}",
        }
    return row


def _limitations(evidence: Evidence) -> list[str]:
    of_results = (note for result in evidence.results for note in result.comparison.notes)
    findings = (f"{each.severity}: {each.text}" for each in evidence.calibration_findings)
    return list(dict.fromkeys([*evidence.notes, *of_results, *findings]))


def _properties(bundle: Bundle, evidence: Evidence, loaded: Loaded) -> Iterator[dict[str, str]]:
    record = evidence.provenance
    facts = {
        "created": bundle.manifest.created,
        "artifact": loaded.artifact,
        "backend": loaded.backend,
        "device": loaded.device,
        "command": "" if record is None else " ".join(record.command),
        "version": "" if record is None else record.edgevision,
        "revision": "" if record is None else record.revision or "",
    }
    yield from ({"name": f"edgevision:{name}", "value": value} for name, value in facts.items() if value)


def _library_components(loaded: Loaded) -> Iterator[dict[str, Any]]:
    for library in loaded.libraries:
        yield {
            "type": "library",
            "bom-ref": _reference(library),
            "name": library.name,
            "scope": "required",
            **({"version": library.version} if library.version else {}),
            **({"supplier": {"name": library.manufacturer}} if library.manufacturer else {}),
            **_licences(library),
            **({"purl": f"pkg:pypi/{canonical(library.name)}@{library.version}"} if library.on_index else {}),
            "components": [
                {"type": "file", "name": name, "hashes": _hashes(sha256)}
                for name, sha256 in library.files.items()
            ],
            **_references(library),
        }


def _reference(library: Library) -> str:
    """Unique in the document: two folders of the system may have a shared object of one name."""
    if library.system:
        return f"system/{library.name}@{''.join(library.files.values())[:12]}"
    return f"library/{library.name}@{library.version}"


def _licences(library: Library) -> dict[str, Any]:
    if not library.licence:
        return {}
    if library.licence_is_spdx:
        return {"licenses": [{"expression": library.licence}]}
    return {"licenses": [{"license": {"name": library.licence}}]}


def _references(library: Library) -> dict[str, Any]:
    urls = (("website", library.home), ("issue-tracker", library.anomalies))
    rows = [{"type": kind, "url": url} for kind, url in urls if url.startswith("http")]
    return {"externalReferences": rows} if rows else {}


def _conversion_components(evidence: Evidence) -> Iterator[dict[str, Any]]:
    record = evidence.provenance
    for name, version in ({} if record is None else record.libraries).items():
        yield {
            "type": "library",
            "bom-ref": f"conversion/{name}@{version}",
            "name": name,
            "version": version,
            "scope": "excluded",
        }
