"""Conversions that measure whether the answers of their artifacts rest on the same parts of the images."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_conversion import LABELS, TinyConverter, tiny_plugins, tiny_request

from edgevision.bundle.pictures import ATTENTION, OWN_ATTENTION, read_pictures
from edgevision.bundle.storage import read_bundle
from edgevision.cli.output.evidence import echo_evidence
from edgevision.conversion.convert import Conversion, convert
from edgevision.conversion.settings import ConversionSettings
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import AgreementError, NotShownError, OptionError
from edgevision.evidence.attention import AttentionSpecification
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.records import Evidence
from edgevision.evidence.requirements import ATTENTION_DRIFT, Budget
from edgevision.reporting.report import report_html

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
ATTENTION_OF = AttentionSpecification(images=24, budget=512, cells=4)


def noise_images(count: int) -> ImageSet:
    """Images that have something to hide in every part."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return ImageSet.from_arrays(pixels, random.integers(0, 5, count), LABELS)


def converted(
    folder: Path, precision: str = "float16", examples: ImageSet | None = None, **settings: Any
) -> Evidence:
    request = tiny_request(
        folder,
        (precision,),
        calibrated=precision == "int8",
        **{"attention": ATTENTION_OF, "budget": Budget(max_drop=60), **settings},
    )
    request = replace(request, evaluation=noise_images(60) if examples is None else examples)
    return Conversion.prepare(request, tiny_plugins(TinyConverter()), None).run()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an int8 artifact that passed a limit on its drift."""
    folder = tmp_path_factory.mktemp("attention")
    converted(folder, "int8", attention=replace(ATTENTION_OF, max_drift=0.9))
    return folder / "model.evb"


@pytest.fixture(scope="module")
def evidence(bundle: Path) -> Evidence:
    opened = read_bundle(bundle)
    return read_evidence(opened.read(opened.manifest.evidence).decode(), "evidence")


def test_the_evidence_has_the_drift_beside_the_noise_and_the_requirement(evidence: Evidence) -> None:
    source, (result,) = evidence.attention, evidence.results
    assert source is not None
    assert result.attention is not None
    assert 0 < source.images <= source.sampled == 24
    assert 0 < result.attention.drift.value < source.noise.value
    assert result.attention.drift.value < result.attention.drift.interval.high
    (required,) = (one for one in result.requirements if one.what == ATTENTION_DRIFT)
    assert required.measured == result.attention.drift.value
    assert required.bound == pytest.approx(result.attention.drift.interval.high, abs=0.02)
    assert required.passed


def test_the_evidence_is_read_back_unchanged_and_matches_the_published_schema(evidence: Evidence) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    text = evidence_json(evidence)
    assert read_evidence(text, "evidence") == evidence
    schema = files("edgevision.schemas").joinpath("evidence.schema.json").read_text(encoding="utf-8")
    jsonschema.validate(json.loads(text), json.loads(schema))


def test_tables_name_the_models_and_the_image_that_moved_most(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    echo_evidence(evidence)
    text = capsys.readouterr().out
    assert "attention drift from the source, on" in text
    assert "source, other masks" in text
    assert "ahead by insertion" in text
    assert evidence.results[0].attention is not None
    assert evidence.results[0].attention.worst[0].image in text


def test_the_report_shows_maps_side_by_side_and_those_of_changed_answers(bundle: Path) -> None:
    pytest.importorskip("jinja2")
    opened = read_bundle(bundle)
    assert opened.manifest.pictures is not None
    pictures = read_pictures(opened.read(opened.manifest.pictures), "pictures")
    shown = {one.shows for one in pictures}
    assert {f"{ATTENTION}source", f"{ATTENTION}tflite-int8"} <= shown
    assert {f"{OWN_ATTENTION}source", f"{OWN_ATTENTION}tflite-int8"} <= shown
    page = report_html(opened)
    assert '<section id="attention">' in page
    assert "Images on which attention moved most" in page
    assert "rank correlation 0." in page
    changed = page[page.index('<section id="changes">') : page.index('<section id="attention">')]
    assert "attention" not in changed, "its pictures stand in their own section alone"


def test_a_limit_that_is_missed_fails_the_artifact(tmp_path: Path) -> None:
    with pytest.raises(AgreementError, match=r"drift is 0\.\d+ \(allowed: 0\.001\); nothing") as told:
        converted(tmp_path, "int8", attention=replace(ATTENTION_OF, max_drift=0.001), accept_not_shown=True)
    assert "raise --max-attention-drift" in str(told.value)
    assert not (tmp_path / "model.evb").exists()


def test_too_few_images_for_the_limit_are_refused_before_anything_is_converted(tmp_path: Path) -> None:
    with pytest.raises(NotShownError, match="24 images cannot show .* pass --attention 72 or more"):
        converted(tmp_path, attention=replace(ATTENTION_OF, max_drift=0.05))
    evidence = converted(tmp_path, attention=replace(ATTENTION_OF, max_drift=0.05), accept_not_shown=True)
    (required,) = (one for one in evidence.results[0].requirements if one.what == ATTENTION_DRIFT)
    assert required.status == "not shown"
    assert required.images_needed >= 72


def test_a_search_passes_over_an_artifact_whose_attention_has_moved(tmp_path: Path) -> None:
    request = tiny_request(
        tmp_path,
        calibrated=True,
        budget=Budget(max_drop=60),
        attention=replace(ATTENTION_OF, max_drift=1e-3),
        accept_not_shown=True,
    )
    request = replace(request, evaluation=noise_images(60))
    evidence = Conversion.prepare(request, tiny_plugins(TinyConverter()), None).run()
    assert evidence.attempts[0].artifact == "tflite-int8"
    assert not all(one.passed for one in evidence.attempts[0].requirements)
    assert evidence.results[0].artifact != "tflite-int8"


def test_it_is_not_measured_unless_asked_for(tmp_path: Path) -> None:
    evidence = converted(tmp_path, attention=None)
    assert evidence.attention is None
    assert evidence.results[0].attention is None


@pytest.mark.convert
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_maps_of_a_keras_model_are_compared_with_its_gradients_and_with_shuffled_weights(
    quickstart: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorflow", reason="needs the extra `convert`")
    digits = quickstart / "quickstart"
    evidence = convert(
        digits / "digits.keras",
        tmp_path / "digits.evb",
        targets=["raspberry-pi-5"],
        precisions=["float16"],
        evaluation=ImageSet.open(digits / "evaluation").sample(40),
        settings=ConversionSettings(
            attention=AttentionSpecification(images=8, budget=512), accept_not_shown=True
        ),
    )
    source, drift = evidence.attention, evidence.results[0].attention
    assert source is not None
    assert drift is not None
    assert drift.drift.value < 0.01
    assert source.shuffled is not None
    assert source.shuffled.value > 0.5 > source.noise.value, "maps depend on what was learned"
    assert list(source.gradients) == ["Grad-CAM", "integrated gradients"]
    assert source.gradients["integrated gradients"].value < source.shuffled.value
    assert source.faithfulness.deletion.value > 0.05
    opened = read_bundle(tmp_path / "digits.evb")
    assert opened.manifest.pictures is not None
    pictures = read_pictures(opened.read(opened.manifest.pictures), "pictures")
    assert f"{ATTENTION}source, Grad-CAM" in {one.shows for one in pictures}


def test_seeds_and_models_that_explain_nothing_are_refused_with_the_next_step() -> None:
    from edgevision.conversion.attention import check_attention

    with pytest.raises(OptionError, match="answers of a object are not explained; remove --attention"):
        check_attention(ATTENTION_OF, object(), noise_images(4), False)
