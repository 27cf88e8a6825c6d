"""Evidence with any value in any field, in bundles with mended digests: refused, or shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from random import Random

import click

import edgevision as ev
from edgevision.cli import inspect
from edgevision.evidence.document import evidence_json
from fuzz.harness import Attempt, Kind
from fuzz.manifests import TEXTS, VALUES, places, replaced
from reporting.report_bundle import CASES, calibrated_scores, evidence_of, measured, write_report_bundle


def open_evidence(folder: Path, only: str) -> Callable[[Random], Attempt]:
    """See `Kind.open`."""
    documents = {}
    for name, (task, comparison) in CASES.items():
        result = measured("tflite-int8", comparison)
        if name == "classify":
            point, temperature = calibrated_scores()
            result = replace(result, operating_point=point, temperature=temperature)
        documents[name] = task, json.loads(evidence_json(evidence_of(result)))
    known = {name: each for name, each in documents.items() if only in name}

    def make(random: Random) -> Attempt:
        name = random.choice(sorted(known))
        task, document = known[name]
        place = random.choice(list(places(document)))
        if random.random() < 0.25:
            way = random.choice(TEXTS)
            text = json.dumps(replaced(document, place, "MARK")).replace('"MARK"', way, 1)
        else:
            value = random.choice(VALUES)
            way, text = repr(value), json.dumps(replaced(document, place, value))
        path = folder / "evidence.evb"
        shutil.rmtree(path, ignore_errors=True)
        write_report_bundle(path, text, task)
        facts = {"evidence": name, "field": "/".join(map(str, place)), "value": ascii(way)[:40]}
        return Attempt(facts, lambda: _shown(path))

    return make


def _shown(path: Path) -> None:
    refusals = []
    for show in (
        lambda: inspect.command.main([str(path)], standalone_mode=False),
        lambda: inspect.command.main([str(path), "--json"], standalone_mode=False),
        lambda: ev.write_report(path, path.with_name("report.html"), force=True),
        lambda: ev.sbom(path),
    ):
        try:
            with redirect_stdout(StringIO()):
                show()
        except ev.EdgeVisionError as error:
            refusals.append(error)
        except click.ClickException as error:
            raise AssertionError(str(error)) from error
    if refusals:
        raise refusals[0]


EVIDENCE = Kind("evidence", 300, open_evidence)
