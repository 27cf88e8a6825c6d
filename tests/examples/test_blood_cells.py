"""The blood cells example: its parts on cases computed by hand, its commands, its weights on real photos."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

Modules = Callable[[str], ModuleType]
Box = tuple[str, float, float, float, float]
#: (h, w, 3) RGB and its labels.
Photo = tuple[np.ndarray, Sequence[Box]]

EXAMPLE = Path(__file__).parents[2] / "examples" / "blood_cells"
WEIGHTS = EXAMPLE / "blood_cells.keras"
LABELS = ("RBC", "WBC", "Platelets")
BACKGROUND = (225, 225, 230)
#: Label -> RGB and radius in pixels of the blob that represents it.
BLOBS = {"RBC": ((180, 120, 130), 50), "WBC": ((90, 50, 170), 90), "Platelets": ((70, 40, 140), 18)}


def annotation(boxes: Sequence[Box]) -> str:
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for label, left, top, right, bottom in boxes
    )
    return f"<annotation><size><width>640</width><height>480</height></size>{objects}</annotation>"


def write_data(path: Path, photos: dict[str, Photo], lists: dict[str, str]) -> Path:
    """A zip of photos with Pascal VOC annotations, in the layout of BCCD; images RGB."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, (image, boxes) in photos.items():
            jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
            archive.writestr(f"BCCD/JPEGImages/{name}.jpg", jpeg)
            archive.writestr(f"BCCD/Annotations/{name}.xml", annotation(boxes))
        for split, names in lists.items():
            archive.writestr(f"BCCD/{split}.txt", names)
    return path


def blobs(seed: int) -> tuple[np.ndarray, list[Box]]:
    """A photo with one blob of each class, each in its own third, and the boxes around them."""
    random = np.random.default_rng(seed)
    image = np.full((480, 640, 3), BACKGROUND, np.uint8)
    boxes = []
    for third, (label, (color, radius)) in enumerate(BLOBS.items()):
        x, y = 107 + 213 * third + random.integers(-15, 16), random.integers(100, 380)
        cv2.circle(image, (int(x), int(y)), radius, color, -1)
        boxes.append((label, x - radius, y - radius, x + radius, y + radius))
    return image, boxes


@pytest.fixture(scope="module")
def module() -> Iterator[Modules]:
    """Imports modules of the example, and removes them afterwards, for those of other examples."""
    before = set(sys.modules)
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield import_module
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in set(sys.modules) - before:
            if str(EXAMPLE) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def run(folder: Path, script: str, *arguments: str | Path) -> str:
    result = subprocess.run(
        [sys.executable, str(EXAMPLE / script), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


# --- reading


def test_photos_are_read_in_the_lists_order_as_rgb_with_their_boxes(tmp_path: Path, module: Modules) -> None:
    red = np.full((480, 640, 3), (250, 20, 20), np.uint8)
    boxes: list[Box] = [("WBC", 10, 20, 110, 140), ("RBC", 181, 329, 181, 329), ("Platelets", 1, 2, 31, 42)]
    data = write_data(
        tmp_path / "d.zip", {"b": (red, boxes), "a": (red, [])}, {"train": "b\na\n", "val": "a\n"}
    )
    first, second = module("dataset").read_samples(data, "train")
    assert (first.name, second.name) == ("b", "a")
    np.testing.assert_allclose(first.image[240, 320], (250, 20, 20), atol=4)
    # The red cell has no area, and is left out.
    np.testing.assert_array_equal(first.boxes_xyxy, [[10, 20, 110, 140], [1, 2, 31, 42]])
    assert [LABELS[class_id] for class_id in first.class_ids] == ["WBC", "Platelets"]
    assert second.boxes_xyxy.shape == (0, 4)
    assert [sample.name for sample in module("dataset").read_samples(data, "train", limit=1)] == ["b"]


@pytest.mark.parametrize(
    ("boxes", "split", "error", "message"),
    [
        ([("Yeast", 1, 2, 3, 4)], "train", ValueError, "class 'Yeast': expected one of RBC, WBC, Platelets"),
        ([], "test", FileNotFoundError, r"no test\.txt in this zip; expected the BCCD data set"),
    ],
    ids=["an unknown class", "a list that is missing"],
)
def test_data_that_is_not_bccd_is_refused(
    tmp_path: Path,
    module: Modules,
    boxes: list[Box],
    split: str,
    error: type[Exception],
    message: str,
) -> None:
    data = write_data(tmp_path / "d.zip", {"a": (np.zeros((8, 8, 3), np.uint8), boxes)}, {"train": "a\n"})
    with pytest.raises(error, match=message):
        module("dataset").read_samples(data, split)


# --- augmentation


def test_boxes_follow_the_cells_through_the_augmentation(module: Modules) -> None:
    """The box of a single disc is known from its pixels, wherever it is moved, rotated and scaled."""
    image = np.full((480, 640, 3), BACKGROUND, np.uint8)
    cv2.circle(image, (250, 210), 60, (90, 50, 170), -1)
    box = np.array([[190, 150, 310.5, 270.5]], np.float32)
    sample = module("dataset").Sample("disc", image, box, np.array([1]))
    seen = 0
    for seed in range(40):
        changed, boxes, class_ids = module("augment").augmented(
            sample, (320, 240), np.random.default_rng(seed)
        )
        assert changed.shape == (240, 320, 3)
        if not len(boxes):
            continue
        dark = (
            changed.mean(axis=2) < (float(changed.mean(axis=2).max()) + float(changed.mean(axis=2).min())) / 2
        )
        rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
        pixels = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
        assert module("decode").iou(boxes, pixels)[0, 0] > 0.9, seed
        assert class_ids.tolist() == [1]
        seen += 1
    assert seen > 25


def test_a_cell_mostly_outside_of_the_crop_is_not_labelled(module: Modules) -> None:
    clipped = module("augment")._clipped
    boxes = np.array([[-70.0, 10, 30, 60], [-50, 10, 50, 60], [400, 0, 500, 50]])
    inside, kept = clipped(boxes, (320, 240))
    assert kept.tolist() == [False, True, False]
    np.testing.assert_array_equal(inside[1], [0, 10, 50, 60])


# --- decoding


def outputs(height: int = 60, width: int = 80) -> dict[str, np.ndarray]:
    channels = {"heatmap": 3, "size": 2, "offset": 2}
    return {name: np.zeros((height, width, depth), np.float32) for name, depth in channels.items()}


def test_a_peak_is_decoded_as_the_docstring_says(module: Modules) -> None:
    tensors = outputs()
    tensors["heatmap"][10, 20, 1] = 0.9
    tensors["heatmap"][10, 21, 1] = 0.8  # beside a higher one: not a peak
    tensors["heatmap"][40, 50, 2] = 0.5
    tensors["heatmap"][5, 5, 0] = 0.005  # below the lowest score
    tensors["size"][10, 20] = (0.5, 0.6)
    tensors["offset"][10, 20] = (0.25, 0.75)
    tensors["size"][40, 50] = (0.25, 0.3)
    boxes, scores, class_ids = module("decode").decode(tensors, (320, 240))
    # Centre (20.25 * 4, 10.75 * 4), size (0.25 * 320, 0.36 * 240); centre (200, 160), size (20, 21.6).
    expected = [[81 - 40, 43 - 43.2 + 0.2, 81 + 40, 43 + 43.2], [190, 149.2, 210, 170.8]]
    np.testing.assert_allclose(boxes, expected, atol=1e-4)
    np.testing.assert_allclose(scores, [0.9, 0.5])
    assert class_ids.tolist() == [1, 2]


@pytest.mark.parametrize(("other_class", "count"), [(0, 1), (1, 2)], ids=["of one class", "of two classes"])
def test_overlapping_boxes_of_one_class_are_suppressed(module: Modules, other_class: int, count: int) -> None:
    tensors = outputs()
    tensors["heatmap"][30, 40, 0] = 0.7
    tensors["heatmap"][30, 42, other_class] = 0.6
    tensors["size"][30, 40:43] = 0.5
    boxes, scores, _ = module("decode").decode(tensors, (320, 240))
    assert len(boxes) == count
    assert scores[0] == pytest.approx(0.7)


def test_no_detections_are_empty_arrays_and_boxes_are_clipped_to_the_image(
    module: Modules,
) -> None:
    tensors = outputs()
    boxes, scores, class_ids = module("decode").decode(tensors, (320, 240))
    assert (boxes.shape, scores.shape, class_ids.shape) == ((0, 4), (0,), (0,))
    tensors["heatmap"][0, 79, 0] = 0.9
    tensors["size"][0, 79] = 0.5
    boxes, _, _ = module("decode").decode(tensors, (320, 240))
    np.testing.assert_allclose(boxes, [[316 - 40, 0, 320, 30]])


@pytest.mark.convert
def test_training_targets_decode_to_the_boxes_that_they_were_drawn_from(
    module: Modules,
) -> None:
    boxes = np.array([[10, 20, 61, 75], [100, 30, 121, 49], [150, 60, 319, 230]], np.float32)
    targets = module("targets").render(boxes, np.array([0, 2, 1]), 3, (320, 240), 4)
    for name in ("size", "offset"):
        weight = targets[name][..., 2]
        assert weight.sum() == pytest.approx(3)
        targets[name] = targets[name][..., :2]
    decoded, scores, class_ids = module("decode").decode(targets, (320, 240), min_score=0.999)
    order = np.argsort(decoded[:, 0])
    np.testing.assert_allclose(decoded[order], boxes, atol=1e-3)
    assert class_ids[order].tolist() == [0, 2, 1]
    assert scores.tolist() == [1, 1, 1]


# --- the commands


def test_metrics_agree_with_a_case_computed_by_hand(module: Modules) -> None:
    pytest.importorskip("pycocotools", reason="COCO's metrics need pycocotools")
    boxes = np.array([[0, 0, 100, 100], [200, 200, 300, 300], [400, 0, 450, 40]], np.float32)
    sample = module("dataset").Sample("a", np.zeros((480, 640, 3), np.uint8), boxes, np.array([0, 1, 2]))
    # The second is detected with an IoU of 0.6, the third is classified as a red cell.
    detected = boxes + np.array([[0, 0, 0, 0], [0, 40, 0, 0], [0, 0, 0, 0]], np.float32)
    detections = [(detected, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 1, 0]))]
    metrics = module("evaluate").average_precision([sample], detections)
    assert [metrics[f"AP@0.50 {label}"] for label in LABELS] == pytest.approx([1, 1, 0])
    assert metrics["mAP@0.50"] == pytest.approx(2 / 3)
    # The IoU thresholds 0.50, 0.55 and 0.60 of ten.
    assert metrics["mAP@0.50:0.95"] == pytest.approx((1 + 0.3 + 0) / 3)
    assert metrics["recall@0.50"] == pytest.approx(2 / 3)


@pytest.mark.convert
def test_a_short_training_writes_a_network_that_can_be_evaluated(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="COCO's metrics need pycocotools")
    photos = {f"photo{seed}": blobs(seed) for seed in range(5)}
    lists = {"train": "photo0 photo1 photo2 photo3", "val": "photo4"}
    data = write_data(tmp_path / "blobs.zip", photos, lists)
    options = ["--epochs", "1", "--batch-size", "2", "-o", "model.keras"]
    output = run(tmp_path, "train.py", "--data", data, *options)
    assert "mAP@0.50 " in output
    assert (tmp_path / "model.keras").stat().st_size < 3_000_000
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")
    extra = ["--picture", "detections.png", "--json", "metrics.json"]
    run(tmp_path, "evaluate.py", "model.keras", "--data", data, *extra)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics) >= {"mAP@0.50", "mAP@0.50:0.95", "recall@0.50", "AP@0.50 RBC"}
    assert all(0 <= value <= 1 for value in metrics.values())
    assert cv2.imread(str(tmp_path / "detections.png")).shape == (480, 3 * 640, 3)


@pytest.mark.convert
def test_the_committed_weights_reach_their_map_on_the_validation_photos(tmp_path: Path, shared: Path) -> None:
    pytest.importorskip("pycocotools", reason="COCO's metrics need pycocotools")
    data = shared / "data" / "bccd.zip"
    assert WEIGHTS.stat().st_size < 3_000_000
    run(tmp_path, "evaluate.py", WEIGHTS, "--data", data, "--json", "metrics.json")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["mAP@0.50"] >= 0.86
    assert metrics["AP@0.50 WBC"] >= 0.98
