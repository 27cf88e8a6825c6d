"""Groups and copies in evaluate() and compare(), from Python and from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_bundle import LABELS, write_tiny_bundle

from edgevision.cli.compare import command as compare_command
from edgevision.cli.evaluate import command as evaluate_command
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision.evaluation.compare import compare
from edgevision.evaluation.evaluate import evaluate
from edgevision.evaluation.ground_truth import annotations_of, truth_images

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.evb")


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Five classes of six patients with two different images each: ``a/patient3/1.png``."""
    random = np.random.default_rng(0)
    for label in LABELS:
        for patient in range(6):
            folder = tmp_path / "set" / label / f"patient{patient}"
            folder.mkdir(parents=True)
            for number in range(2):
                scene = cv2.resize(random.integers(0, 256, (6, 6, 3), np.uint8), (32, 32))
                cv2.imwrite(str(folder / f"{number}.png"), scene)
    return tmp_path / "set"


def test_the_groups_of_an_evaluation_are_in_its_document(bundle: Path, patients: Path) -> None:
    document = evaluate(bundle, patients, groups="folder:2").to_dict()
    assert document["data"]["groups"] == {
        "source": "folder:2",
        "groups": 6,
        "largest": 10,
        "design_effect": 10.0,
        "effective_images": 6.0,
    }
    assert document["findings"] == []
    assert evaluate(bundle, patients).to_dict()["data"]["groups"] is None


def test_groups_reach_the_intervals(bundle: Path, patients: Path) -> None:
    """All images of a patient of one class have the same answer: they are worth far less than single ones."""
    images = ImageSet.open(patients)
    observations = evaluate(bundle, images).measures.metrics[0].observations
    hits = getattr(observations, "hits", None)
    assert hits is not None
    assert 0 < hits.sum() < len(hits)
    alike = np.where(hits, 0, 1 + np.arange(len(hits)) % 6)  # all hits belong to one group
    alone, grouped = (evaluate(bundle, images, groups=groups).metric("accuracy") for groups in (None, alike))
    assert alone.value == grouped.value
    assert alone.interval is not None
    assert grouped.interval is not None
    assert grouped.interval.high - grouped.interval.low > 1.5 * (alone.interval.high - alone.interval.low)


def test_copies_count_once(bundle: Path, patients: Path) -> None:
    before = evaluate(bundle, patients)
    for number in range(20):
        shutil.copy(patients / "a/patient0/0.png", patients / f"a/patient0/copy{number}.png")
    after = evaluate(bundle, patients)
    assert (after.data.images, after.data.copies) == (60, 20)
    assert after.metric("accuracy").interval == before.metric("accuracy").interval
    (finding,) = after.findings
    assert "20 of 80 evaluation images are byte-identical copies" in finding.text
    assert compare(bundle, bundle, patients).data.copies == 20


def test_a_copy_in_the_folder_of_another_class_is_refused(bundle: Path, patients: Path) -> None:
    shutil.copy(patients / "a/patient0/0.png", patients / "b/patient0/x.png")
    with pytest.raises(InputError, match=r"b/patient0/x\.png and a/patient0/0\.png; remove one of each"):
        evaluate(bundle, patients)


def test_the_folders_of_the_classes_are_no_groups(bundle: Path, patients: Path) -> None:
    with pytest.raises(InputError, match="groups folder:1: each class of .* is one group.*folder:2"):
        evaluate(bundle, patients, groups="folder:1")


def test_copies_with_other_annotations_are_refused(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    images = ImageSet.from_arrays([pixels, pixels + 1, pixels]).distinct()
    names = ("arrays[0]", "arrays[1]", "arrays[2]")
    entries = [{"image_id": n, "category_id": 0, "bbox": [0, 0, 4, 4]} for n in range(3)]
    document = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "categories": [{"id": 0, "name": "a"}],
        "annotations": entries,
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    assert len(annotations_of(images, tmp_path / "truth.json", ("a",))) == 2
    entries[2]["bbox"] = [1, 1, 4, 4]
    (tmp_path / "truth.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"'arrays\[2\]' is a byte-identical copy of 'arrays\[0\]'"):
        annotations_of(images, tmp_path / "truth.json", ("a",))


def test_copies_with_other_expected_outputs_are_refused(tmp_path: Path) -> None:
    for folder, values in {"input": (1, 2, 1), "truth": (5, 6, 5), "wrong": (5, 6, 7)}.items():
        (tmp_path / folder).mkdir()
        for number, value in enumerate(values):
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), np.full((8, 8, 3), value, np.uint8))
    images = ImageSet.open(tmp_path / "input").distinct()
    assert len(truth_images(tmp_path / "truth", images)) == 2
    with pytest.raises(InputError, match=r"'2\.png' is a byte-identical copy of '0\.png'"):
        truth_images(tmp_path / "wrong", images)


def test_evaluate_prints_groups_intervals_and_warnings(bundle: Path, patients: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(patients)},{path.parent.name}" for path in sorted(patients.rglob("*.png"))]
    (tmp_path / "groups.csv").write_text("\n".join(["image,group", *rows]))
    shutil.copy(patients / "a/patient0/0.png", patients / "a/patient0/copy.png")
    rows.append("a/patient0/copy.png,patient0")
    (tmp_path / "groups.csv").write_text("\n".join(["image,group", *rows]))
    words = [str(bundle), str(patients), "--groups", str(tmp_path / "groups.csv"), "--backend", "tflite"]
    done = CliRunner().invoke(evaluate_command, words, catch_exceptions=False)
    groups_file = tmp_path / "groups.csv"
    assert f"60 images of {patients.name} in 6 groups ({groups_file}), the largest of 10" in done.output
    assert "confidence interval" in done.output
    assert ", 95 %" in done.output
    assert "note: 1 of 61 evaluation images are byte-identical copies" in done.output


def test_compare_prints_groups_units_and_methods(bundle: Path, patients: Path) -> None:
    words = [str(bundle), str(bundle), str(patients), "--groups", "pattern:{group}/*"]
    words += ["--backend-a", "tflite", "--backend-b", "tflite"]
    done = CliRunner().invoke(compare_command, words, catch_exceptions=False)
    assert "in 6 groups (pattern:{group}/*), the largest of 10" in done.output
    assert "A - B in percentage points (confidence interval)" in done.output
    assert "agreement of A and B: 100.00 % (" in done.output
