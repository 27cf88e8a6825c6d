"""Conversions whose evaluation images are too few to show what is required: neither pass nor fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_conversion import TARGET, TinyConverter, tiny_artifact, tiny_plugins, tiny_request

import edgevision
from edgevision.artifact import Artifact
from edgevision.bundle.storage import read_bundle
from edgevision.cli.output.evidence import echo_evidence
from edgevision.conversion.convert import Conversion
from edgevision.conversion.settings import ConversionRequest
from edgevision.errors import AgreementError, IncompleteConversionError, NotShownError
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.records import Evidence
from edgevision.evidence.requirements import Budget

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

#: 95 % takes 72 images that all agree.
FEW = 30


def _as_good_as_float() -> Artifact:
    return replace(tiny_artifact("float32"), precision="int8")


def _request(folder: Path, images: int, *precisions: str, **settings: Any) -> ConversionRequest:
    """A request to convert the tiny network, evaluated on so many images without near-duplicates."""
    request = tiny_request(folder, precisions, calibrated=True, **settings)
    return replace(request, evaluation=_apart(images, 5))


def _apart(count: int, seed: int) -> edgevision.ImageSet:
    """Images of noise, which nobody takes for near-duplicates of each other."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return edgevision.ImageSet.from_arrays(list(pixels), random.integers(0, 5, count), tuple("abcde"))


def _run(request: ConversionRequest, **made: Any) -> Evidence:
    return Conversion.prepare(request, tiny_plugins(TinyConverter(**made))).run()


def test_a_set_that_could_show_it_of_no_artifact_stops_the_conversion_before_it_converts(
    tmp_path: Path,
) -> None:
    converted: list[str] = []

    def convert() -> Artifact:
        converted.append("int8")
        return _as_good_as_float()

    with pytest.raises(
        NotShownError,
        match=r"^arrays: 30 images cannot show that the agreement is at least 95\.00 %: even for an artifact "
        r"identical to the source, the bound is 8\d\.\d\d %; pass --evaluation with at least 7\d images, "
        r"lower --min-agreement, or pass --accept-not-shown to convert nevertheless$",
    ) as raised:
        _run(_request(tmp_path, FEW, "int8"), int8=convert)
    assert raised.value.exit_code == 13
    assert converted == []
    assert not (tmp_path / "model.evb").exists()


def test_an_artifact_that_is_not_shown_to_agree_is_measured_and_not_written(tmp_path: Path) -> None:
    lenient = tiny_request(tmp_path, ("int8",), calibrated=True, budget=Budget(min_agreement=0.0))
    comparison = _run(lenient).results[0].comparison
    limit = int(100 * comparison.agreement) / 100  # within the interval, and below what is measured
    assert comparison.agreement_interval.low < limit < comparison.agreement < 0.95
    budget = Budget(min_agreement=limit)
    request = tiny_request(tmp_path, ("int8",), calibrated=True, budget=budget, force=True)
    with pytest.raises(
        NotShownError,
        match=rf"^tflite-int8: the agreement is \d\d\.\d\d % on {comparison.images} images, which do not "
        rf"show that it is at least {100 * limit:.2f} %: its 95 % confidence interval reaches \d\d\.\d\d %; "
        r"nothing was written; pass --evaluation with about \d+ images like these, which would show it, or "
        r"pass --accept-not-shown$",
    ) as raised:
        _run(request)
    (result,) = raised.value.evidence.results
    assert (result.status, result.accepted_not_shown) == ("not shown", False)
    (requirement,) = result.requirements
    assert requirement.bound < requirement.limit <= requirement.measured
    assert requirement.images_needed > comparison.images


def test_it_is_written_where_the_caller_accepts_it_and_everything_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = _request(tmp_path, FEW, "int8", accept_not_shown=True)
    evidence = _run(request, int8=_as_good_as_float)
    (result,) = evidence.results
    assert (result.status, result.accepted_not_shown, result.passed) == ("not shown", True, False)
    assert evidence.missing == ()
    bundle = read_bundle(request.output)
    text = bundle.read(bundle.manifest.evidence).decode()
    assert '"accepted_not_shown": true' in text
    assert read_evidence(text, "evidence") == evidence
    echo_evidence(evidence)
    assert "not shown, accepted" in capsys.readouterr().out
    edgevision.load(request.output, selftest="always").close()


def test_an_artifact_that_misses_a_requirement_is_never_accepted(tmp_path: Path) -> None:
    accepting = {"budget": Budget(min_agreement=0.999), "accept_not_shown": True}
    request = tiny_request(tmp_path, ("int8",), calibrated=True, **accepting)
    with pytest.raises(AgreementError, match="^tflite-int8: agreement with the source is") as raised:
        _run(request)
    assert not isinstance(raised.value, NotShownError)
    assert raised.value.exit_code == 11


def test_what_is_shown_can_be_kept_without_what_is_not(tmp_path: Path) -> None:
    request = _request(tmp_path, FEW, "int8", "float32")
    with pytest.raises(
        IncompleteConversionError, match=r"^1 of 2 artifacts passed; .* which do not show that"
    ) as raised:
        _run(request, int8=_as_good_as_float)
    assert {one.artifact: one.status for one in raised.value.evidence.results} == {
        "tflite-int8": "not shown",
        "tflite-float32": "passed",
    }
    kept = replace(request, settings=replace(request.settings, keep_passing=True))
    evidence = _run(kept, int8=_as_good_as_float)
    assert [one.artifact for one in evidence.results] == ["tflite-float32"]
    assert [one.artifact for one in evidence.missing] == ["tflite-int8"]
    both = replace(request, settings=replace(request.settings, accept_not_shown=True, force=True))
    accepted = {one.artifact: one.accepted_not_shown for one in _run(both, int8=_as_good_as_float).results}
    assert accepted == {"tflite-int8": True, "tflite-float32": False}


@pytest.mark.usefixtures("speeds")
def test_a_search_takes_what_is_shown_and_not_what_is_cheaper_unless_that_is_accepted(tmp_path: Path) -> None:
    request = _request(tmp_path, FEW)
    (result,) = _run(request, int8=_as_good_as_float).results
    assert (result.artifact, result.status) == ("tflite-float16", "passed")
    accepting = replace(request, settings=replace(request.settings, accept_not_shown=True, force=True))
    (result,) = _run(accepting, int8=_as_good_as_float).results
    assert (result.artifact, result.status) == ("tflite-int8", "not shown")


@pytest.mark.usefixtures("speeds")
def test_a_search_that_finds_nothing_says_not_shown_if_that_is_true_of_one_candidate(tmp_path: Path) -> None:
    """int8 fails; the others may be inside the budget, and the images do not show it."""
    request = tiny_request(tmp_path, calibrated=True, budget=Budget(min_agreement=0.97))
    with pytest.raises(NotShownError, match=r"^tflite-float(16|32): the agreement is 100(\.00)? %") as raised:
        _run(request)
    assert {one.artifact: one.requirements[0].status for one in raised.value.evidence.attempts} == {
        "tflite-int8": "failed",
        "tflite-float16": "not shown",
        "tflite-float32": "not shown",
    }
    camera = TARGET.format("camera", "tflite", "tflite", '["int8", "float16"]', "")
    budget = Budget(min_agreement=0.96)
    request = tiny_request(tmp_path, calibrated=True, budget=budget, targets={"camera": camera})
    with pytest.raises(AgreementError, match="^tflite-(int8|float16): agreement with") as raised:
        _run(request, float16=lambda: replace(tiny_artifact("int8"), precision="float16"))
    assert not isinstance(raised.value, NotShownError)


@pytest.mark.usefixtures("speeds")
def test_the_evidence_of_a_search_states_the_confidence_that_its_candidates_are_judged_at(
    tmp_path: Path,
) -> None:
    evidence = _run(_request(tmp_path, 150), int8=_as_good_as_float)
    (result,) = evidence.results
    assert result.artifact == "tflite-int8"
    assert [one.confidence for one in result.requirements] == pytest.approx([0.975])
    assert result.comparison.agreement_interval.confidence == 0.95
    (note,) = (note for note in evidence.notes if "chosen by a search" in note)
    assert "at a confidence of 97.5 %" in note
    assert "Bonferroni" in note
    assert read_evidence(evidence_json(evidence), "evidence") == evidence
    (alone,) = _run(_request(tmp_path, 150, "int8", force=True), int8=_as_good_as_float).results
    assert [one.confidence for one in alone.requirements] == [0.95]


@pytest.mark.parametrize("images", [1, 30])
def test_artifacts_in_float_are_judged_by_their_outputs_on_any_number_of_images(
    tmp_path: Path, images: int
) -> None:
    evidence = _run(_request(tmp_path, images, "float16", "float32"))
    for result in evidence.results:
        (requirement,) = result.requirements
        assert (requirement.what, requirement.unit) == ("relative output error", "relative")
        assert result.passed
    assert evidence.results[1].requirements[0].measured < 1e-5


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_an_artifact_in_float_with_other_outputs_is_judged_by_its_agreement(
    tmp_path: Path, precision: str
) -> None:
    """The int8 network in place of a float one."""
    wrong = {precision: lambda: replace(tiny_artifact("int8"), precision=precision)}
    with pytest.raises(
        AgreementError,
        match=rf"^tflite-{precision}: agreement with the source is 9\d\.\d\d % \(required: 99\.\d\d %\); "
        r"nothing was written; its outputs differ from the source's by 0\.\d+ of their size, more than "
        r"rounding explains \(up to 0\.0\d+\), so its agreement is judged; measured on",
    ) as raised:
        _run(tiny_request(tmp_path, (precision,)), **wrong)
    assert raised.value.exit_code == 11
    with pytest.raises(NotShownError, match="more than rounding explains"):
        _run(_request(tmp_path, 1, precision), **wrong)
    accepted = _request(tmp_path, 1, precision, accept_not_shown=True)
    evidence = _run(accepted, **wrong)
    (result,) = evidence.results
    assert [one.what for one in result.requirements] == ["agreement"]
    assert result.output_error.status == "failed"
    assert result.output_error.measured > result.output_error.limit
    assert any("more than rounding explains" in note for note in evidence.notes)
    bundle = read_bundle(accepted.output)
    assert read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence") == evidence
