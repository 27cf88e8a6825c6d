"""Converted artifacts describe their model: each file by itself gives the answers of the bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_conversion import TinyConverter, learned_images, tiny_plugins, tiny_request

import edgevision
from edgevision.bundle.storage import Bundle, open_bundle
from edgevision.conversion.convert import Conversion
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Evidence
from edgevision.plugins import registry

pytestmark = pytest.mark.usefixtures("speeds")


def convert(folder: Path, precisions: tuple[str, ...], **settings: Any) -> tuple[Bundle, Evidence]:
    budget = edgevision.Budget(min_agreement=0.5)
    request = tiny_request(folder, precisions, calibrated=True, budget=budget, **settings)
    request = replace(request, calibration=learned_images(200, 1), evaluation=learned_images(200, 0))
    Conversion.prepare(request, tiny_plugins(TinyConverter())).run()
    bundle = open_bundle(folder / "model.evb")
    text = bundle.read(bundle.manifest.evidence).decode()
    return bundle, read_evidence(text, "evidence")


@pytest.mark.parametrize("calibrate_scores", [False, True])
def test_a_file_alone_gives_the_scores_of_the_bundle(tmp_path: Path, calibrate_scores: bool) -> None:
    bundle, evidence = convert(tmp_path, ("float32", "int8"), calibrate_scores=calibrate_scores)
    pictures = list(learned_images(8, 5))
    for entry in bundle.manifest.artifacts:
        artifact = bundle.artifact(entry)
        backend: Any = registry().backend("tflite")
        assert backend.read_description(artifact).labels == bundle.labels
        assert (entry.score_calibration is not None) == calibrate_scores
        path = bundle.path / entry.files[0].path
        with edgevision.load_classifier(path) as alone:
            found = alone.scores(pictures)
        with edgevision.load_classifier(bundle.path, precision=entry.precision, selftest="always") as whole:
            np.testing.assert_array_equal(found, whole.scores(pictures))
        (measured,) = [one for one in evidence.results if one.artifact == entry.id]
        assert (measured.sha256, measured.size_bytes) == (artifact.sha256, artifact.size_bytes)


def test_the_evidence_names_what_other_programs_are_not_told(tmp_path: Path) -> None:
    _, evidence = convert(tmp_path, ("float32", "int8"))
    (note,) = [note for note in evidence.notes if "MediaPipe" in note]
    assert note.startswith(
        "tflite-float32, tflite-int8: no metadata for MediaPipe Tasks, which cannot say: several outputs"
    )
