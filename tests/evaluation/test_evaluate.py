"""evaluate(): a bundle on images with ground truth, with the metrics of its evidence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import DATA, LABELS, write_tiny_bundle

import edgevision
from edgevision.bundle.storage import read_bundle
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError, PluginError
from edgevision.evaluation.compare import compare
from edgevision.evaluation.evaluate import evaluate
from edgevision.evaluation.open_model import RunSettings
from edgevision.evidence.document import read_evidence
from edgevision.imaging.write import write_image
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny.evb")


def _images(count: int = 60, labelled: bool = True) -> ImageSet:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 8, 8, 3), np.uint8)
    labels = random.integers(0, 5, count) if labelled else None
    return ImageSet.from_arrays(pixels, labels, LABELS)


def test_the_metrics_are_those_of_the_models_own_answers(bundle: Path) -> None:
    images = _images()
    evaluation = evaluate(bundle, images)
    with edgevision.load(bundle) as model:
        decided = [model(image).top()[0].class_id for image in images]
    right = np.array(decided) == images.labels
    assert evaluation.metric("accuracy").value == pytest.approx(right.mean())
    assert len(evaluation.worst(100)) == (~right).sum()
    assert evaluation.measures.confusion.matrix(5).sum() == 60
    assert (evaluation.run.artifact, evaluation.run.backend, evaluation.run.device) == (
        "tflite-float32",
        "tflite",
        "cpu",
    )
    with pytest.raises(KeyError, match="mAP"):
        evaluation.metric("mAP@0.50")


def test_the_document_is_json_and_names_artifact_and_machine(bundle: Path) -> None:
    document = json.loads(json.dumps(evaluate(bundle, _images()).to_dict(), allow_nan=False))
    assert document["data"]["images"] == 60
    assert document["metrics"][0]["name"] == "accuracy"
    assert document["metrics"][0]["interval"]["method"] == "clopper-pearson"
    assert document["labels"] == list(LABELS)
    assert document["wrong"] == len(document["worst"]) > 0
    assert document["worst"][0]["image"].startswith("arrays[")
    assert {"machine", "created", "sha256", "version", "reliability", "confusion"} <= set(document)


def test_two_runs_give_the_same_results(bundle: Path) -> None:
    first, second = (evaluate(bundle, _images()).to_dict() for _ in range(2))
    del first["created"], second["created"]
    assert first == second


def test_a_network_with_independent_scores_takes_annotations_with_several_classes(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tags.evb", "sigmoid")
    images = _images(12, labelled=False)
    entries = [
        {"image_id": image, "category_id": tag, "bbox": [0, 0, 4, 4]}
        for image in range(12)
        for tag in (0, image % 5)
    ]
    truth = tmp_path / "truth.json"
    truth.write_text(
        json.dumps(
            {
                "images": [{"id": place, "file_name": name} for place, name in enumerate(images.image_names)],
                "categories": [{"id": place, "name": label} for place, label in enumerate(LABELS)],
                "annotations": entries,
            }
        )
    )
    evaluation = evaluate(bundle, images, annotations=truth)
    assert evaluation.measures.metrics[0].name == "macro F1"
    assert {one.label: one.support for one in evaluation.measures.by_class} == {
        "a": 12,
        "b": 3,
        "c": 2,
        "d": 2,
        "e": 2,
    }
    with edgevision.load(bundle) as model:
        scores = np.stack([model(image).scores for image in images])
    shown = np.eye(5, dtype=bool)[np.arange(12) % 5] | np.eye(5, dtype=bool)[0]
    assert evaluation.metric("exact match").value == pytest.approx(
        ((scores >= 0.5) == shown).all(axis=1).mean()
    )


@pytest.mark.parametrize("temperature", [None, 0.1])
def test_a_bundle_is_measured_at_its_temperature_and_operating_point(tmp_path: Path, temperature) -> None:
    images = _images()
    with edgevision.load(write_tiny_bundle(tmp_path / "plain.evb")) as model:
        plain = np.stack([model(image).scores for image in images])
    scores = plain if temperature is None else plain**10 / (plain**10).sum(axis=1, keepdims=True)
    threshold = float(np.median(scores[:, 2]))
    score_calibration = ScoreCalibration(temperature, OperatingPoint("c", 2, threshold, "sensitivity", 0.9))
    bundle = write_tiny_bundle(tmp_path / "tiny.evb", score_calibration=score_calibration)
    evaluation = evaluate(bundle, images)
    np.testing.assert_allclose(np.stack(evaluation.answers), scores, rtol=1e-4)
    decided = np.stack(evaluation.answers)[:, 2] >= threshold
    assert evaluation.metric("sensitivity for 'c'").value == pytest.approx(decided[images.labels == 2].mean())
    assert evaluation.metric("specificity for 'c'").value == pytest.approx(
        1 - decided[images.labels != 2].mean()
    )
    assert evaluation.metric("precision for 'c'").value == pytest.approx((images.labels[decided] == 2).mean())
    assert evaluation.measures.metrics[0].name == "accuracy"
    assert evaluation.to_dict()["score_calibration"]["operating_point"]["threshold"] == threshold
    with edgevision.load(bundle) as model:
        assert [one.positive for one in model(list(images))] == decided.tolist()


def test_without_images_of_the_class_of_interest_its_metrics_are_left_out(tmp_path: Path) -> None:
    score_calibration = ScoreCalibration(None, OperatingPoint("c", 2, 0.2, "sensitivity", 0.9))
    pixels = np.stack(list(_images(10)))
    images = ImageSet.from_arrays(pixels, [0, 1] * 5, LABELS)
    evaluation = evaluate(
        write_tiny_bundle(tmp_path / "tiny.evb", score_calibration=score_calibration), images
    )
    assert [metric.name for metric in evaluation.measures.metrics] == [
        "accuracy",
        "macro precision",
        "macro recall",
        "macro F1",
    ]
    assert evaluation.measures.notes[-1] == "no image shows 'c', so the operating point was not evaluated"


def test_an_evaluation_that_is_not_possible_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="no ground truth for the images in arrays; sort them into one folder per class"
    ):
        evaluate(bundle, _images(labelled=False))
    with pytest.raises(
        InputError, match=r"class 'z' is not in the label list \(a, b, c, d, e\); name the folders"
    ):
        evaluate(bundle, ImageSet.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], ("a", "z")))
    with pytest.raises(OptionError, match="--annotations .* one class per image"):
        evaluate(bundle, _images(), annotations=tmp_path)
    with pytest.raises(OptionError, match="--truth .* only for models that generate images"):
        evaluate(bundle, _images(), truth=tmp_path)
    with pytest.raises(PluginError, match="no backend 'tensorrt'"):
        evaluate(bundle, _images(), RunSettings("tensorrt"))


def test_the_only_folder_is_a_class_if_the_model_has_a_label_of_its_name(
    bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set" / "c"
    folder.mkdir(parents=True)
    for number, image in enumerate(_images()):
        write_image(folder / f"{number}.png", image)
    of_one_class = evaluate(bundle, folder.parent)
    assert of_one_class.measures.confusion.matrix(5).sum(axis=1).tolist() == [0, 0, len(_images()), 0, 0]
    folder.rename(folder.with_name("photos"))
    with pytest.raises(InputError, match="no ground truth for the images"):
        evaluate(bundle, folder.parent)


def test_paths_may_be_text_and_switches_numpys(bundle: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    for place, image in enumerate(_images(6)):
        folder = images / LABELS[place % 5]
        folder.mkdir(parents=True, exist_ok=True)
        write_image(folder / f"{place}.png", image)
    by_path, by_text = evaluate(bundle, images), evaluate(str(bundle), str(images))
    assert by_text.data == by_path.data
    assert by_text.to_dict()["metrics"] == by_path.to_dict()["metrics"]
    assert compare(str(bundle), str(bundle), str(images)).comparison.agreement == 1.0
    settings = RunSettings(tune=np.bool_(False))
    assert settings.tune is False
    assert evaluate(bundle, images, settings).run == by_path.run


@pytest.mark.parametrize("images", [[np.zeros((8, 8, 3), np.uint8)], None])
def test_what_is_not_a_set_of_images_is_refused(bundle: Path, images) -> None:
    with pytest.raises(OptionError, match=r"expected a folder of images.* ImageSet\.from_arrays"):
        evaluate(bundle, images)
    with pytest.raises(OptionError, match=r"expected a folder of images"):
        compare(bundle, bundle, images)


def test_progress_counts_the_images(bundle: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    evaluate(bundle, _images(70), progress=lambda *step: steps.append(step))
    assert steps == [("measuring tiny.evb tflite-float32", done, 70) for done in (16, 32, 48, 64, 70)]


@pytest.mark.convert
def test_a_bundle_reaches_the_metrics_of_its_evidence(quickstart: Path) -> None:
    folder = quickstart / "quickstart"
    bundle = read_bundle(folder / "digits.evb")
    evidence = read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence")
    for result in evidence.results:
        evaluation = evaluate(folder / "digits.evb", folder / "evaluation", RunSettings(result.backend))
        for metric in result.comparison.metrics:
            assert evaluation.metric(metric.name).value == pytest.approx(metric.artifact)
            assert evaluation.metric(metric.name).interval == metric.artifact_interval
        assert evaluation.measures.confusion == result.comparison.details.artifact_confusion
        assert evaluation.data.sha256 == evidence.evaluation.sha256


def test_a_bare_file_without_a_score_calibration_states_none() -> None:
    image = edgevision.InputOptions(value_range=(0.0, 1.0))
    bare = edgevision.BareModel(image=image, labels=LABELS, score_kind="softmax", output="scores")
    evaluation = evaluate(DATA / "tiny.tflite", _images(), RunSettings(bare=bare))
    assert evaluation.run.score_calibration is None
