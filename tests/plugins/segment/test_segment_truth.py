"""Ground truth of segmentations as COCO polygons and run lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision_segment.polygons import read_polygons
from edgevision_segment.segmentation import VOID

pytest.importorskip("pycocotools", reason="COCO's polygons need the extra `evaluate`")

# pycocotools with numpy 2 warns of its own conversions.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

LABELS = ("background", "cell", "nucleus")
SQUARE = [2.0, 3.0, 12.0, 3.0, 12.0, 9.0, 2.0, 9.0]
INNER = [4.0, 4.0, 8.0, 4.0, 8.0, 8.0, 4.0, 8.0]


def _document(*objects: dict[str, Any], **image: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "one.png", "height": 12, "width": 20, **image}],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}, {"id": 3, "name": "dust"}],
        "annotations": [{"image_id": 7, "category_id": 1, **one} for one in objects],
    }


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "one.png"), np.zeros((12, 20, 3), np.uint8))
    return ImageSet.open(tmp_path / "images")


def _read(folder: Path, images: ImageSet, document: Any, labels: tuple[str, ...] = LABELS) -> np.ndarray:
    (folder / "truth.json").write_text(json.dumps(document), encoding="utf-8")
    (mask,) = read_polygons(folder / "truth.json", images, labels)
    return mask


def test_the_smaller_of_two_objects_is_in_front_and_crowds_are_left_out(
    tmp_path: Path, images: ImageSet
) -> None:
    inner = {"segmentation": [INNER], "category_id": 2}
    outer = {"segmentation": [SQUARE]}
    crowd = {"segmentation": {"size": [12, 20], "counts": [12 * 18, 12 * 2]}, "iscrowd": 1}
    expected = np.zeros((12, 20), np.uint8)
    expected[3:9, 2:12], expected[4:8, 4:8], expected[:, 18:] = 1, 2, VOID
    for order in ((inner, outer, crowd), (crowd, outer, inner)):
        np.testing.assert_array_equal(_read(tmp_path, images, _document(*order)), expected)
    without = _read(tmp_path, images, _document(inner), ("cell", "nucleus"))
    assert np.unique(without).tolist() == [1, VOID]


def test_compressed_run_lengths_and_several_polygons_are_one_object(tmp_path: Path, images: ImageSet) -> None:
    from pycocotools import mask as coco

    wanted = np.zeros((12, 20), np.uint8)
    wanted[1:4, 5:9] = 1
    runs = coco.encode(np.asfortranarray(wanted))
    compressed = {"size": [12, 20], "counts": runs["counts"].decode()}
    np.testing.assert_array_equal(_read(tmp_path, images, _document({"segmentation": compressed})), wanted)
    parts = [[0.0, 0.0, 3.0, 0.0, 3.0, 3.0, 0.0, 3.0], [10.0, 5.0, 14.0, 5.0, 14.0, 9.0, 10.0, 9.0]]
    both = _read(tmp_path, images, _document({"segmentation": parts}))
    assert both.sum() == 9 + 16


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (_document({"segmentation": [SQUARE], "category_id": 3}), "category 'dust' is no class of the model"),
        (_document({"segmentation": [SQUARE], "category_id": 9}), "category 9 is no class"),
        (_document({"bbox": [1, 2, 3, 4]}), "has no segmentation; expected polygons"),
        (_document({"segmentation": [[1.0, 2.0, 3.0]]}), "three corners or more"),
        (_document({"segmentation": [[1.0, 2.0, 1e9, 4.0, 5.0, 6.0]]}), "in pixels of the image"),
        (_document({"segmentation": {"size": [3, 3], "counts": [9]}}), "segmentation is not valid"),
        (_document({"segmentation": "polygon"}), "segmentation is not valid"),
        (_document(file_name="other.png"), "no entry for image 'one.png'"),
        (_document(height=0), "height: expected"),
        ({"images": []}, "not a COCO annotation file"),
        ([], "not a COCO annotation file"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, images: ImageSet, document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _read(tmp_path, images, document)
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not valid JSON"):
        read_polygons(tmp_path / "broken.json", images, LABELS)
