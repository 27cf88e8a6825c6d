"""The steps of a conversion on a tiny network, with a reader and a converter that need no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision import hookimpl
from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import Conversion
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.conversion.trials import Trials
from edgevision.converter import SourceFacts
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import AgreementError, ConversionError, OptionError
from edgevision.evidence.requirements import Budget
from edgevision.plugins import Registry, discover, registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.progress import Steps
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

DATA = Path(__file__).parents[1] / "data"
LABELS = ("a", "b", "c", "d", "e")


@dataclass
class _Source:
    """The float network as a trained model."""

    path: Path
    session: CheckedSession
    kind: str = "tiny"
    description: str = "tiny network"
    sha256: str = "0" * 64
    runs: int = 0

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.session.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.session.outputs

    @property
    def facts(self) -> SourceFacts:
        return SourceFacts(pixel_range=(0.0, 1.0), score_kind="softmax")

    @property
    def versions(self) -> Mapping[str, str]:
        return {}

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.runs += 1
        return self.session.run(inputs)


class _Reader:
    name = "tiny"

    def reads(self, path: Path) -> bool:
        return path.suffix == ".tiny"

    def read(self, path: Path, **_: Any) -> _Source:
        backend = registry().backend("tflite")
        return _Source(path, open_session(backend, read_artifact(DATA / "tiny.tflite"), SessionSettings()))


class _Converter:
    """Its artifacts are files that were converted before; ``float16`` cannot be converted."""

    name, kind, format = "tiny-tflite", "tiny", "tflite"
    precisions = ("float32", "float16", "int8")

    def convert(self, source: _Source, precision: str, calibration: Any) -> Artifact:
        if precision == "float16":
            raise ConversionError("float16: not today")
        assert (calibration is not None) == (precision == "int8")
        name = {"float32": "tiny.tflite", "int8": "tiny_int8.tflite"}[precision]
        return replace(read_artifact(DATA / name), precision=precision)


class _Plugin:
    @hookimpl
    def edgevision_readers(self):
        return [_Reader()]

    @hookimpl
    def edgevision_converters(self):
        return [_Converter()]

    @hookimpl
    def edgevision_backends(self):
        return [registry().backend("tflite")]


@pytest.fixture
def plugins() -> Registry:
    found = discover([])
    found.register(_Plugin(), "tiny")
    return found


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    path = tmp_path / "targets.toml"
    path.write_text(
        '[camera]\ndescription = "a camera"\nbackend = "tflite"\nformat = "tflite"\n'
        'precisions = ["int8", "float16", "float32"]\n'
    )
    return path


def _images(count: int, seed: int) -> ImageSet:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 1, 1, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return ImageSet.from_arrays(pixels, random.integers(0, 5, count), LABELS)


@pytest.fixture
def request_of(tmp_path: Path, targets: Path):
    (tmp_path / "model.tiny").write_bytes(b"")

    def build(calibrated: bool = False, precisions: tuple[str, ...] = (), **settings: Any):
        return ConversionRequest(
            tmp_path / "model.tiny",
            tmp_path / "model.evb",
            ("camera",),
            precisions,
            _images(60, 0),
            _images(40, 1) if calibrated else None,
            ConversionSettings(TaskOptions(output="scores"), targets_files=[targets], **settings),
        )

    return build


def test_the_steps_follow_each_other_from_the_plan_to_the_bundle(request_of, plugins: Registry) -> None:
    stages: list[str] = []
    request = request_of(precisions=("float32",))
    conversion = Conversion.prepare(request, plugins, lambda stage, *_: stages.append(stage))
    assert stages == ["reading model.tiny"]
    assert conversion.source.runs == 0, "the source is read, not run"
    assert not request.output.exists()
    evidence = conversion.run()
    assert list(dict.fromkeys(stages)) == [
        "reading model.tiny",
        "measuring the source",
        "converting to tflite-float32",
        "measuring",
        "timing",
        "writing the bundle",
    ]
    assert evidence.results[0].comparison.agreement == 1.0
    bundle = read_bundle(request.output)
    assert [entry.id for entry in bundle.manifest.artifacts] == ["tflite-float32"]


def test_a_search_goes_on_where_a_candidate_misses_the_budget_or_cannot_be_converted(
    request_of, plugins: Registry
) -> None:
    request = request_of(calibrated=True, budget=Budget(min_agreement=1.0))
    evidence = Conversion.prepare(request, plugins).run()
    tried = {attempt.artifact: attempt for attempt in evidence.attempts}
    assert list(tried) == ["tflite-int8", "tflite-float16", "tflite-float32"]
    assert tried["tflite-int8"].agreement < 1.0
    assert tried["tflite-float16"].error == "float16: not today"
    assert [result.artifact for result in evidence.results] == ["tflite-float32"]
    assert evidence.sensitivities == {"tflite": ()}, "this converter cannot rank layers"


def test_an_artifact_outside_the_budget_is_reported_with_both_figures(request_of, plugins: Registry) -> None:
    request = request_of(calibrated=True, precisions=("int8",), budget=Budget(min_agreement=1.0))
    with pytest.raises(
        AgreementError,
        match=r"^tflite-int8: agreement with the source is \d\d\.\d\d % \(required: 100\.00 %\); "
        r"nothing was written; measured on \d+ images; .* lower --min-agreement$",
    ) as raised:
        Conversion.prepare(request, plugins).run()
    assert raised.value.evidence.results[0].artifact == "tflite-int8"
    assert not request.output.exists()


def test_score_calibration_is_checked_before_anything_runs(request_of, plugins: Registry) -> None:
    conversion = Conversion.prepare(request_of(calibrated=True, calibrate_scores=True), plugins)
    assert conversion.scores is not None
    assert conversion.source.runs == 0
    with pytest.raises(OptionError, match="--calibrate-scores: .* --calibration FOLDER"):
        Conversion.prepare(request_of(calibrate_scores=True), plugins)


def test_trials_store_their_arguments_and_run_nothing() -> None:
    """Any call of these arguments would be an AttributeError."""
    trials = Trials(None, None, None, Steps(None, 0))
    assert (trials.attempts, trials.sensitivities) == ([], {})
