"""`evaluate`, `compare` and `selftest` as people and programs meet them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.bundle.known_answers import KnownAnswers, read_known_answers, write_known_answers
from edgevision.bundle.storage import file_entry, read_bundle, write_bundle

convert = pytest.mark.convert
DATA = Path(__file__).parents[1] / "data"
EXAMPLES = Path(__file__).parents[2] / "examples"
BUNDLE, IMAGES = "quickstart/digits.evb", "quickstart/evaluation"


@convert
def test_evaluate_prints_metrics_intervals_classes_and_errors(
    quickstart: Path, edgevision_command, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    words = ("evaluate", BUNDLE, IMAGES, "--backend", "openvino", "--save", pictures)
    done = edgevision_command(*words, cwd=quickstart)
    assert done.returncode == 0, done.stderr
    for word in (
        "openvino-int8 on openvino cpu",
        "accuracy",
        "95 % CI",
        "Clopper-Pearson",
        "expected calibration error",
    ):
        assert word in done.stdout
    assert "images are misclassified, the worst: " in done.stdout
    written = sorted(path.name for path in pictures.iterdir())
    assert written[0] == "confusion.png"
    assert written[1].startswith("worst-01-")
    assert all(cv2.imread(str(pictures / name)) is not None for name in written)


@convert
def test_evaluate_prints_one_json_object(quickstart: Path, edgevision_command) -> None:
    done = edgevision_command("evaluate", BUNDLE, IMAGES, "--samples", "100", "--json", cwd=quickstart)
    document = json.loads(done.stdout)
    assert document["data"]["images"] == 100
    assert {one["name"] for one in document["metrics"]} == {
        "accuracy",
        "macro precision",
        "macro recall",
        "macro F1",
    }


@convert
def test_compare_says_if_a_difference_is_significant(quickstart: Path, edgevision_command) -> None:
    words = ("compare", BUNDLE, BUNDLE, IMAGES, "--backend-a", "tflite", "--backend-b", "onnx")
    done = edgevision_command(*words, cwd=quickstart)
    assert done.returncode == 0, done.stderr
    assert "A  quickstart/digits.evb: tflite-int8 on tflite cpu" in done.stdout
    assert "McNemar's exact test" in done.stdout.splitlines()[-1]
    verdict = json.loads(edgevision_command(*words, "--json", cwd=quickstart).stdout)["verdict"]
    assert set(verdict) == {"metric", "test", "p_value", "better"}


@convert
def test_selftest_is_a_table_for_people_and_json_for_programs(quickstart: Path, edgevision_command) -> None:
    done = edgevision_command("selftest", BUNDLE, cwd=quickstart)
    assert done.returncode == 0, done.stderr
    assert "passed" in done.stdout
    rows = json.loads(edgevision_command("selftest", BUNDLE, "--json", cwd=quickstart).stdout)
    assert {row["artifact"] for row in rows} == {"tflite-int8", "openvino-int8", "onnx-int8-symmetric"}


@convert
def test_a_device_that_computes_something_else_is_exit_code_9(
    quickstart: Path, edgevision_command, tmp_path: Path
) -> None:
    bundle = read_bundle(quickstart / BUNDLE)
    files = {entry.path: bundle.read(entry) for entry in bundle.manifest.files()}
    known = read_known_answers(files["selftest.npz"], bundle.manifest.preprocessing, "selftest")
    wrong = {name: -values for name, values in known.outputs["onnx-int8-symmetric"].items()}
    files["selftest.npz"] = write_known_answers(
        KnownAnswers(known.known_inputs, {**known.outputs, "onnx-int8-symmetric": wrong})
    )
    entry = file_entry("selftest.npz", files["selftest.npz"])
    write_bundle(
        tmp_path / "wrong.evb", type(bundle.manifest)(**{**vars(bundle.manifest), "selftest": entry}), files
    )
    done = edgevision_command("selftest", "wrong.evb")
    assert done.returncode == 9
    assert "failed; the first: artifact 'onnx-int8-symmetric' does not give its known answers" in done.stderr
    assert "failed" in done.stdout
    assert "passed" in done.stdout, "the others are checked as well"


@convert
def test_known_answers_show_every_class_that_the_set_has(quickstart: Path) -> None:
    bundle = read_bundle(quickstart / BUNDLE)
    known = read_known_answers(
        bundle.read(bundle.manifest.selftest), bundle.manifest.preprocessing, "selftest"
    )
    for outputs in known.outputs.values():
        assert set(outputs["digit"].argmax(axis=1)) == set(range(10))


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a denoiser's bundle, and noisy and clean images."""
    pytest.importorskip("tensorflow", reason="needs the extra `convert`")
    import edgevision

    folder = tmp_path_factory.mktemp("denoiser")
    random = np.random.default_rng(0)
    for place in range(6):
        clean = np.full((32, 32, 3), random.integers(60, 200, 3), np.uint8)
        cv2.circle(clean, (16, 16), 4 + place, (220, 90, 40), -1)
        noisy = np.clip(clean + random.normal(0, 25, clean.shape), 0, 255).astype(np.uint8)
        for part, pixels in (("clean", clean), ("noisy", noisy)):
            (folder / part).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / part / f"{place}.png"), pixels)
    edgevision.convert(
        EXAMPLES / "cifar10" / "denoiser.keras",
        folder / "denoiser.evb",
        targets=["generic-cpu"],
        precisions=["float32", "int8-dynamic"],
        evaluation=folder / "noisy",
        settings=edgevision.ConversionSettings(
            task=edgevision.TaskOptions(output_range=(0.0, 1.0)), budget=edgevision.Budget(min_agreement=0.0)
        ),
    )
    return folder


@convert
def test_image_to_image_models_are_compared_with_ground_truth_images(
    denoiser: Path, edgevision_command
) -> None:
    words = ("noisy", "--truth", "clean")
    done = edgevision_command("evaluate", "denoiser.evb", *words, "--save", "made", cwd=denoiser)
    assert done.returncode == 0, done.stderr
    assert "PSNR" in done.stdout
    picture = cv2.imread(str(next((denoiser / "made").glob("worst-01-*.png"))))
    height, width, _ = picture.shape
    assert width == 2 * 320 + 4, "the generated image, enlarged, and the ground truth beside it"
    assert height > 320, "with captions"
    done = edgevision_command(
        "compare",
        *("denoiser.evb", "denoiser.evb", *words),
        *("--precision-a", "float32", "--precision-b", "int8-dynamic", "--json"),
        cwd=denoiser,
    )
    assert json.loads(done.stdout)["verdict"]["test"] == "gaffke"
    refused = edgevision_command("evaluate", "denoiser.evb", "noisy", cwd=denoiser)
    assert refused.returncode == 2
    assert "pass --truth FOLDER" in refused.stderr


@convert
def test_detectors_are_measured_and_drawn_beside_the_ground_truth(edgevision_command, tmp_path: Path) -> None:
    import edgevision

    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "voc").mkdir()
    (tmp_path / "labels.txt").write_text("RBC\nWBC\nPlatelets\n")
    for place in range(3):
        photo = random.integers(150, 230, (120, 160, 3), np.uint8)
        cv2.circle(photo, (60, 60), 25, (90, 60, 160), -1)
        cv2.imwrite(str(tmp_path / "photos" / f"{place}.png"), photo)
        box = "<bndbox><xmin>35</xmin><ymin>35</ymin><xmax>85</xmax><ymax>85</ymax></bndbox>"
        objects = f"<object><name>WBC</name>{box}</object>"
        (tmp_path / "voc" / f"{place}.xml").write_text(f"<annotation>{objects}</annotation>")
    edgevision.convert(
        EXAMPLES / "blood_cells" / "blood_cells.keras",
        tmp_path / "cells.evb",
        targets=["generic-cpu"],
        precisions=["float32"],
        evaluation=tmp_path / "photos",
        settings=edgevision.ConversionSettings(
            task=edgevision.TaskOptions(
                labels=tmp_path / "labels.txt", decoder_settings={"size_unit": "root-share"}
            )
        ),
    )
    words = ("evaluate", "cells.evb", "photos")
    done = edgevision_command(*words, "--annotations", "voc", "--save", "made")
    assert done.returncode == 0, done.stderr
    assert "mAP@0.50:0.95" in done.stdout
    for path in (tmp_path / "made").glob("worst-*.png"):
        height, width, _ = cv2.imread(str(path)).shape
        assert (height > 240, width) == (True, 2 * 320 + 4), "found and ground truth, enlarged, with captions"
    refused = edgevision_command(*words)
    assert refused.returncode == 2
    assert "pass --annotations FILE" in refused.stderr


@convert
def test_images_without_their_classes_are_refused(
    quickstart: Path, edgevision_command, tmp_path: Path
) -> None:
    shutil.copy(next((quickstart / IMAGES / "7").iterdir()), tmp_path / "photo.png")
    done = edgevision_command("evaluate", quickstart / BUNDLE, ".")
    assert done.returncode == 3
    assert "sort them into one folder per class" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("evaluate", DATA / "tiny.tflite", "."), 3, "no images found"),
        (("report", DATA / "tiny.tflite", "-o", "x.html"), 2, "2 options are missing: (1) the model"),
        (("evaluate", "absent.evb", "."), 3, "no images found"),
        (("selftest", "absent.evb"), 5, "there is no such bundle"),
        (("compare", "a.evb", "b.evb"), 2, "Missing argument 'DATA'"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_line_and_a_documented_exit_code(
    edgevision_command, words: tuple[object, ...], code: int, message: str
) -> None:
    done = edgevision_command(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
