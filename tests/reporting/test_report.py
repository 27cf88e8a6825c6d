"""The report shows all of a bundle's evidence on one self-contained page."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_bundle import (
    BARE,
    CASES,
    CLASSIFY,
    DETECT,
    GENERATE,
    LABELS,
    calibrated_scores,
    classified,
    detected,
    evidence_of,
    generated,
    independent,
    measured,
    picture,
    write_report_bundle,
)

import edgevision
from edgevision.artifact import FloatOperation
from edgevision.bundle.storage import read_bundle
from edgevision.datasets.groups import GroupFacts
from edgevision.errors import BundleError, MissingRuntimeError, OutputError
from edgevision.evidence.quantization import QuantizationEvidence, RecipeComparison
from edgevision.evidence.records import MissingArtifact
from edgevision.evidence.requirements import Budget
from edgevision.execution.run_costs import Timing
from edgevision.metrics.comparison import Comparison
from edgevision.reporting.metrics import class_metric_tables
from edgevision.reporting.report import report_html, write_report
from edgevision.system.decimals import decimals
from edgevision.tasks.description import Task


class _Page(HTMLParser):
    """The elements and the visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _page(bundle: Path) -> _Page:
    return _Page(report_html(read_bundle(bundle)))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    flips = classified().details.flips
    evidence = evidence_of(measured("tflite-int8", classified(), float_layers=("conv_1",)))
    return write_report_bundle(tmp_path / "skin.evb", evidence, pictures=[picture(flips[0].image)])


def test_the_summary_comes_first_with_the_result_and_the_drop(bundle: Path) -> None:
    page = _page(bundle)
    sections = [attributes["id"] for attributes in page.all("section")]
    assert sections[0] == "summary"
    assert "tflite-int8 meets every requirement." in page.text
    metric = classified().metrics[0]
    assert (
        f"On 80 evaluation images, the source model reaches an accuracy of {100 * metric.source:.2f} %, "
        f"the artifact {100 * metric.artifact:.2f} %. The largest drop within the 95 % confidence interval "
        f"is {100 * metric.largest_drop:.2f} percentage points."
    ) in page.text
    assert page.text.index("meets every requirement") < page.text.index("The largest drop")


def test_all_of_the_evidence_is_on_the_page(bundle: Path) -> None:
    page = _page(bundle)
    expected = [
        *("a" * 64, "b" * 64, "c" * 64, "3" * 64),
        *("skin.keras", "ai-edge-litert 2", "keras", "3.15.1", "Test Processor 9000"),
        *("conv_1", "dense_2", "no kernel for Floor", "tflite-int8-mixed"),
        *("9 images are nearly alike", "x.jpg", "conv_7", "0.0900 %"),
        "max_latency_ms of the camera was not measured",
        "2 of the evaluation images are in the calibration set too and were left out of the evaluation",
        *("Clopper-Pearson", "Gaffke, paired", "Gaffke, by image", "macro F1", "agreement"),
        *LABELS,
    ]
    assert [words for words in expected if words not in page.text] == []
    for metric in classified().metrics:
        assert f"{100 * metric.artifact:.2f} % ({100 * metric.artifact_interval.low:.2f}" in page.text
    assert page.text.count("ECE ") >= 2, "for the source and for the artifact"


def test_how_int8_was_quantized_and_what_is_missing_are_on_the_page(tmp_path: Path) -> None:
    compared = RecipeComparison(32, "mean squared error of the log odds", 0.0123, 0.456, "edgevision")
    operations = (FloatOperation("BATCH_MATMUL", "attention_3", "slower in int8"),)
    ours = QuantizationEvidence(
        "edgevision", "TFLiteConverter 2", "mixed", {"mixed": 0.789}, operations, compared
    )
    failed = replace(compared, error=None, verdict="plain", reason="no kernel for ERF")
    evidence = evidence_of(
        measured("tflite-int8", classified(), quantization=ours),
        measured("onnx-int8", classified(), quantization=QuantizationEvidence("plain", comparison=failed)),
    )
    missing = MissingArtifact("openvino-int8", ("intel-cpu",), "killed by SIGABRT")
    page = _page(write_report_bundle(tmp_path / "some.evb", replace(evidence, missing=(missing,))))
    expected = [
        *("TFLiteConverter 2", "mixed 0.789", "0.0123", "0.456", "1 operation stays in float"),
        *("attention_3", "BATCH_MATMUL", "slower in int8", "mean squared error of the log odds"),
        "onnx-int8: EdgeVision's recipe failed, so the plain converter's artifact was written: no kernel for",
        "Missing: openvino-int8 for intel-cpu. killed by SIGABRT",
    ]
    text = page.text.replace("mixed  ", "mixed ").replace("  ", " ")
    assert [words for words in expected if words not in text] == []


@pytest.mark.parametrize(("task", "comparison"), CASES.values(), ids=CASES)
def test_every_task_and_evidence_of_earlier_releases_have_a_report(
    task: Task, comparison: Comparison, tmp_path: Path
) -> None:
    results = (
        measured(name, comparison, Budget(min_agreement=0.1)) for name in ("tflite-int8", "tflite-float32")
    )
    evidence = evidence_of(*results)
    evidence = replace(evidence, attempts=(), sensitivities={}, calibration_coverage=None)
    bundle = write_report_bundle(tmp_path / "some.evb", evidence, task, pictures=None)
    page = _page(bundle)
    shown = comparison.agreement_interval is not None
    assert ("Both artifacts meet every requirement." in page.text) == shown
    assert ("Not shown: 80 images do not show that" in page.text) == (not shown)
    assert "This bundle contains no example images" in page.text


def test_latency_stands_with_its_cpu_time_and_the_load_of_the_machine(tmp_path: Path) -> None:
    quiet = Timing(50, 3.6, 3.5, 4.1, 0.5, 0.1, 2)
    rows = [
        measured("tflite-int8", classified(), latency_ms=3.7, peak_memory_mb=70.0, timing=quiet),
        measured(
            "tflite-float32",
            classified(),
            latency_ms=61.0,
            peak_memory_mb=80.0,
            timing=replace(quiet, load_average=9.0, busy_cores=1.9),
        ),
    ]
    page = _page(write_report_bundle(tmp_path / "skin.evb", evidence_of(*rows)))
    assert "3.7 ms CPU 3.6 ms 70 MB" in page.text
    assert "61 ms CPU 3.6 ms machine busy 80 MB" in page.text
    assert "slower: 2.6 times the time of tflite-float32" in page.text
    assert "9.5 ms CPU 9.25 ms" in page.text


def test_with_independent_scores_the_worst_label_comes_first(tmp_path: Path) -> None:
    page = _page(
        write_report_bundle(tmp_path / "many.evb", evidence_of(measured("tflite-int8", independent())))
    )
    worst = independent().details.by_label[0]
    assert "Agreement by label: tflite-int8" in page.text
    assert f"{worst.label} {100 * worst.agreement:.2f} % (" in page.text


def test_a_requirement_that_is_not_met_is_in_the_headline(tmp_path: Path) -> None:
    one = measured("tflite-int8", classified(), Budget(max_drop=0.5))
    page = _page(write_report_bundle(tmp_path / "skin.evb", evidence_of(one)))
    assert "Do not deploy: tflite-int8 does not meet every requirement." in page.text
    assert "✗ failed" in page.text
    assert "drop in accuracy ≤ 0.50 percentage points" in page.text


def test_a_requirement_that_is_not_shown_has_no_tick_and_says_what_would_show_it(tmp_path: Path) -> None:
    one = measured("tflite-int8", classified(), Budget(max_drop=5.0))
    evidence = evidence_of(one)
    groups = GroupFacts("folder:2", 16, 9, 6.2, 12.9)
    evidence = replace(evidence, evaluation=replace(evidence.evaluation, groups=groups, copies=3))
    page = _page(write_report_bundle(tmp_path / "skin.evb", evidence))
    (requirement,) = one.requirements
    needed = requirement.images_needed
    assert needed is not None
    assert "? Not shown: 80 images do not show that tflite-int8 meets every requirement." in page.text
    assert f"About {needed} images in {-(-needed * 16 // 80)} groups like these would show it." in page.text
    assert "? not shown" in page.text
    assert "✓ passed" not in page.text
    assert next(one for one in page.all("section"))["class"] == "summary not-shown"
    assert "On 80 evaluation images in 16 groups" in page.text
    assert "belong to 16 groups (folder:2); the largest has 9 images" in page.text
    assert "worth 12.9 independent images (design effect 6.2" in page.text
    assert "3 byte-identical copies of evaluation images were left out" in page.text


@pytest.mark.parametrize(
    ("budget", "status"),
    [
        (Budget(min_agreement=0.5), "passed"),
        (Budget(max_drop=5.0), "not shown"),
        (Budget(max_drop=0.5), "failed"),
        (Budget(min_agreement=0.0), "not required"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_tick_is_on_what_was_shown_alone(tmp_path: Path, budget: Budget, status: str) -> None:
    evidence = evidence_of(measured("tflite-int8", classified(), budget))
    page = _page(write_report_bundle(tmp_path / "a.evb", evidence))
    assert next(one for one in page.all("section"))["class"] == f"summary {status.replace(' ', '-')}"
    badges = {str(one["class"]) for one in page.all("span") if str(one.get("class")).startswith("badge")}
    assert badges == {f"badge {status.replace(' ', '-')}"}
    summary = page.text[: page.text.index("Requirements and measured values")]
    assert ("✓" in summary) == (status == "passed")


def test_the_intervals_of_the_page_have_method_confidence_and_publication(bundle: Path) -> None:
    text = _page(bundle).text
    assert "Confidence intervals of accuracy: Clopper-Pearson, 95 %; of the drop:" in text
    assert "Clopper-Pearson: Clopper and Pearson 1934" in text
    assert "drop, percentage points" in text
    assert "95 % intervals" not in text


@pytest.mark.parametrize(
    ("targets", "on_target", "where", "verified"),
    [
        (("raspberry-pi-5",), True, "tflite cpu, not on the target", False),
        (("generic-cpu",), True, "tflite cpu, on the target", True),
        (("a device of mine",), True, "tflite cpu, not on the target", False),
        (
            ("generic-cpu",),
            False,
            "tflite cpu, because the target's runtime or device was not available",
            False,
        ),
    ],
    ids=str,
)
def test_an_artifact_that_was_not_measured_on_the_target_is_to_be_verified_there(
    tmp_path: Path, targets: tuple[str, ...], on_target: bool, where: str, verified: bool
) -> None:
    evidence = evidence_of(measured("tflite-int8", classified(), on_target=on_target))
    page = _page(write_report_bundle(tmp_path / "skin.evb", evidence, targets=targets))
    assert where in page.text
    next_step = "Not yet verified on the target. On the device, run: edgevision selftest skin.evb"
    assert (next_step in page.text) == (not verified)


def test_of_several_artifacts_those_that_are_not_verified_are_counted(tmp_path: Path) -> None:
    results = measured("a", classified()), measured("b", classified(), on_target=False)
    bundle = write_report_bundle(tmp_path / "skin.evb", evidence_of(*results), targets=("generic-cpu",))
    assert "Not yet verified on the target: 1 of 2 artifacts." in _page(bundle).text


def test_score_calibration_is_shown_with_its_curves_and_with_its_warnings_in_the_summary(
    tmp_path: Path,
) -> None:
    point, temperature = calibrated_scores()
    one = measured("tflite-int8", classified(), operating_point=point, temperature=temperature)
    one = replace(one, requirements=(*one.requirements, point.requirement))
    page = _page(write_report_bundle(tmp_path / "skin.evb", evidence_of(one)))
    assert "Operating point for 'melanoma'" in page.text
    assert "ROC curves of tflite-int8 and its source" in page.text
    assert f"{100 * point.required.artifact:.2f} % (" in page.text
    assert "sensitivity for 'melanoma' ≥ 97.00 %" in page.text, "among the requirements"
    assert "with a confidence of 95 %" in page.text
    assert "by a binomial tolerance limit (Wilks 1941)" in page.text
    assert f"{100 * point.lower_limits[1]:.2f} %" in page.text
    assert "1.75" in page.text
    (warning,) = temperature.warnings
    assert page.text.index(warning) < page.text.index("Requirements and measured values per artifact")


def test_labels_and_file_names_are_escaped(tmp_path: Path) -> None:
    wicked = "<script>alert(1)</script>"
    name = '"><img src="http://evil.example/x" onerror="alert(2)">.jpg'
    comparison = classified(names=[f"{place}{name}" for place in range(80)])
    by_class = (replace(comparison.by_class[0], label=wicked), *comparison.by_class[1:])
    evidence = evidence_of(measured("tflite-int8", replace(comparison, by_class=by_class)))
    evidence = replace(evidence, notes=(wicked,), machine={wicked: wicked})
    shown = comparison.details.flips[0].image
    bundle = write_report_bundle(
        tmp_path / "wicked.evb", evidence, pictures=[picture(shown)], labels=(wicked, *LABELS[1:])
    )
    page = _page(bundle)
    assert page.all("script") == []
    assert all(str(one["src"]).startswith("data:image/") for one in page.all("img"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert wicked in page.text
    assert name in page.text


def test_a_metric_that_one_class_alone_has_is_in_a_table_without_the_others(tmp_path: Path) -> None:
    comparison = classified()
    first, *others = comparison.by_class
    own = replace(first, metrics=(*first.metrics[:-1], replace(first.metrics[-1], name="specificity")))
    evidence = evidence_of(measured("tflite-int8", replace(comparison, by_class=(own, *others))))
    tables = {one.name: [row[0] for row in one.rows] for one in class_metric_tables(evidence)}
    assert tables["specificity"] == [first.label]
    assert tables[first.metrics[-1].name] == [one.label for one in others]
    assert "specificity" in _page(write_report_bundle(tmp_path / "some.evb", evidence)).text


def test_the_page_links_to_no_other_site_and_forbids_scripts(bundle: Path) -> None:
    html = report_html(read_bundle(bundle))
    assert "http:" not in html
    assert "https:" not in html
    assert "<script" not in html
    policy = next(one["content"] for one in _Page(html).all("meta") if "http-equiv" in one)
    assert str(policy).startswith("default-src 'none'")
    links = [str(one["href"]) for one in _Page(html).all("a")]
    ids = {attributes.get("id") for _, attributes in _Page(html).elements}
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_every_chart_has_a_title_and_a_description_of_its_own(bundle: Path) -> None:
    page = _page(bundle)
    ids = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    charts = [one for one in page.all("svg") if one.get("class") == "chart"]
    assert len(charts) >= 8, "drop, metrics, classes, confusion matrices and reliability of both"
    for chart in charts:
        assert chart["role"] == "img"
        assert set(str(chart["aria-labelledby"]).split()) <= set(ids)


def test_a_changed_prediction_is_shown_with_its_image_and_both_scores(bundle: Path) -> None:
    page, flip = _page(bundle), classified().details.flips[0]
    (image,) = page.all("img")
    assert str(image["src"]).startswith("data:image/png;base64,")
    assert str(image["alt"]).startswith(flip.image)
    assert f"ground truth {flip.truth[0]}" in page.text
    assert f"source {flip.source[0]} ({flip.source_score:.2f}) ✓ correct" in page.text
    assert f"tflite-int8 {flip.artifact[0]} ({flip.artifact_score:.2f}) ✗ wrong" in page.text
    for other in classified().details.flips:
        assert other.image in page.text, "including those without an example image"


def test_changed_detections_are_shown_side_by_side(tmp_path: Path) -> None:
    pictures = [picture("a.jpg", shows, 200) for shows in ("truth", "source", "tflite-int8")]
    evidence = evidence_of(measured("tflite-int8", detected()))
    page = _page(write_report_bundle(tmp_path / "cells.evb", evidence, DETECT, pictures))
    assert [str(one["alt"]) for one in page.all("img")] == [
        "a.jpg, ground truth",
        "a.jpg, source",
        "a.jpg, tflite-int8",
    ]
    assert "lost 2 nevus; 2 unchanged" in page.text
    assert "gained melanoma; 1 unchanged" in page.text, "for an image without an example"


def test_generated_images_are_shown_side_by_side(tmp_path: Path) -> None:
    worst = generated().details.changes[0]
    pictures = [picture(worst.image, shows) for shows in ("input", "source", "tflite-int8")]
    evidence = evidence_of(measured("tflite-int8", generated()))
    page = _page(write_report_bundle(tmp_path / "made.evb", evidence, GENERATE, pictures))
    assert len(page.all("img")) == 3
    assert f"SSIM {decimals(worst.ssim, 4, (0, 1))}, {worst.psnr_db:.2f} dB" in page.text


def test_with_many_classes_the_most_frequent_confusions_are_listed(tmp_path: Path) -> None:
    labels = [f"class {number}" for number in range(1000)]
    evidence = evidence_of(measured("tflite-int8", classified(classes=1000)))
    html = report_html(read_bundle(write_report_bundle(tmp_path / "many.evb", evidence, labels=labels)))
    assert "Most frequent confusions" in html
    assert "confusion-0" not in html
    assert len(html) < 1_000_000


def test_the_same_bundle_gives_the_same_page(bundle: Path, tmp_path: Path) -> None:
    write_report(bundle, tmp_path / "a.html")
    edgevision.write_report(str(bundle), str(tmp_path / "b.html"))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("text", ["{}", "no json", '{"schema_version": 0}', '{"schema_version": 1}'])
def test_invalid_evidence_is_refused(tmp_path: Path, text: str) -> None:
    bundle = write_report_bundle(tmp_path / "old.evb", text)
    with pytest.raises(BundleError, match=r"old\.evb: evidence\.json: .*; convert again"):
        write_report(bundle, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_an_existing_file_is_replaced_only_with_force(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("mine")
    with pytest.raises(OutputError, match="already exists; pass --force to replace it"):
        write_report(bundle, output)
    assert output.read_text() == "mine"
    write_report(bundle, output, force=True)
    assert output.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("report.pdf", r"expected a name that ends in \.html; pass -o report\.html"),
        ("absent/report.html", "run: mkdir -p absent"),
        ("folder.html", "is a folder"),
    ],
    ids=str,
)
def test_an_output_that_cannot_be_written_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=message):
        write_report(bundle, output)
    assert sorted(tmp_path.iterdir()) == before


def test_without_jinja2_the_error_has_the_install_command(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingRuntimeError, match=r'jinja2.*pip install "edgevision\[report\]"'):
        write_report(bundle, tmp_path / "report.html")
    assert list(tmp_path.glob("*.html")) == []


def test_a_requirement_that_every_artifact_meets_is_shown_as_no_limit(tmp_path: Path) -> None:
    evidence = evidence_of(measured("tflite-int8", BARE, Budget(min_agreement=0.0)))
    page = _page(write_report_bundle(tmp_path / "some.evb", evidence, CLASSIFY))
    assert "no limit" in page.text
