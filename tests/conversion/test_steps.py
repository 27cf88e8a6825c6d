"""The steps of a conversion on a tiny network, with a reader and a converter that need no TensorFlow."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tiny_conversion import TinyConverter, tiny_plugins, tiny_request

from edgevision.artifact import Artifact
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import Conversion
from edgevision.conversion.trials import Trials
from edgevision.errors import AgreementError, ConversionError, OptionError
from edgevision.evidence.requirements import Budget
from edgevision.plugins import Registry
from edgevision.system.progress import Steps

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


def _not_today() -> Artifact:
    raise ConversionError("float16: not today")


@pytest.fixture
def plugins() -> Registry:
    return tiny_plugins(TinyConverter(float16=_not_today))


@pytest.fixture
def request_of(tmp_path: Path):
    return partial(tiny_request, tmp_path)


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
