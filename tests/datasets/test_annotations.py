"""Annotations are read from COCO JSON and Pascal VOC XML, and errors name file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.datasets.annotations import read_annotations, shown_classes
from edgevision.errors import InputError

LABELS = ("RBC", "WBC")
COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "photos/a.jpg"}, {"id": 2, "file_name": "photos/b.jpg"}],
    "categories": [{"id": 5, "name": "WBC"}, {"id": 9, "name": "RBC"}],
    "annotations": [
        {"image_id": 1, "category_id": 5, "bbox": [10, 20, 30, 40]},
        {"image_id": 1, "category_id": 9, "bbox": [0, 0, 5, 5], "iscrowd": 1},
    ],
}
VOC = """<annotation><filename>a.jpg</filename><object><name>WBC</name>
<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>60</ymax></bndbox></object></annotation>"""


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("names", [list, tuple, np.array])
def test_a_file_is_read_by_text_and_by_path_with_names_in_any_sequence(
    tmp_path: Path, kind: Any, names: Any
) -> None:
    (empty,) = read_annotations(kind(_coco(tmp_path)), names(["b.jpg"]), names(LABELS))
    assert empty.class_ids.tolist() == []


def _coco(folder: Path, **changes: Any) -> Path:
    path = folder / "truth.json"
    path.write_text(json.dumps({**COCO, **changes}))
    return path


def test_coco_boxes_become_corners_in_the_order_of_the_images_and_labels(tmp_path: Path) -> None:
    empty, full = read_annotations(_coco(tmp_path), ["b.jpg", "photos/a.jpg"], LABELS)
    assert empty.boxes_xyxy.shape == (0, 4)
    assert full.boxes_xyxy.tolist() == [[10, 20, 40, 60], [0, 0, 5, 5]]
    assert full.class_ids.tolist() == [1, 0]
    assert full.crowds.tolist() == [False, True]


def test_voc_files_belong_to_the_images_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(VOC)
    (tmp_path / "b.xml").write_text("<annotation/>")
    full, empty = read_annotations(tmp_path, ["any/where/a.jpg", "b.png"], LABELS)
    assert full.boxes_xyxy.tolist() == [[10, 20, 40, 60]]
    assert full.class_ids.tolist() == [1]
    assert len(empty.class_ids) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "KeyError"),
        (
            {"categories": [{"id": 5, "name": "fungus"}, {"id": 9, "name": "RBC"}]},
            "class 'fungus' is not in the label list",
        ),
        ({"annotations": [{"image_id": 1, "category_id": 5}]}, r"annotations\[0\]: field 'bbox' is missing"),
        ({"annotations": [{"image_id": 1, "category_id": 5, "bbox": [0, 0, -1, 1]}]}, "left <= right"),
        ({"annotations": [{"image_id": 1, "category_id": 5, "bbox": ["x", 0, 1, 1]}]}, "ValueError"),
    ],
)
def test_an_invalid_coco_file_is_refused(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_annotations(_coco(tmp_path, **changes), ["photos/a.jpg"], LABELS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no xml", "not valid XML"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><annotation>&a;</annotation>', "contains a DOCTYPE declaration"),
        (VOC.replace("WBC", ""), "object 0: field 'name' is missing"),
        (VOC.replace("<xmin>10</xmin>", ""), "bndbox: expected xmin"),
        (VOC.replace("<xmin>10</xmin>", "<xmin>90</xmin>"), "left <= right"),
    ],
)
def test_an_invalid_voc_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_annotations(tmp_path, ["a.jpg"], LABELS)


def test_an_image_without_an_entry_is_an_error_and_not_an_empty_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no entry for image 'c.jpg'"):
        read_annotations(_coco(tmp_path), ["c.jpg"], LABELS)
    with pytest.raises(InputError, match="contains no .xml file"):
        read_annotations(tmp_path, ["c.jpg"], LABELS)
    with pytest.raises(InputError, match="cannot be read"):
        read_annotations(tmp_path / "absent.json", ["c.jpg"], LABELS)


def test_a_doctype_is_refused_in_every_encoding(tmp_path: Path) -> None:
    text = (
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY e "cat">]>'
        "<annotation><object><name>&e;</name></object></annotation>"
    )
    (tmp_path / "a.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(InputError, match=r"a\.xml: contains a DOCTYPE declaration"):
        read_annotations(tmp_path, ["a.jpg"], ["cat"])


@pytest.mark.parametrize("field", ["bbox", "category_id", "image_id"])
def test_a_missing_coco_field_is_named_with_its_annotation(tmp_path: Path, field: str) -> None:
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}
    broken = {name: value for name, value in entry.items() if name != field}
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [entry, broken],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=rf"annotations\[1\]: field '{field}' is missing"):
        read_annotations(path, ["a.jpg"], ["cat"])


@pytest.mark.parametrize("bbox", [[10, 20, 0, 5], [10, 20, 5, 0], [0, 0, 0, 0]])
def test_an_object_of_zero_width_or_height_is_left_out_and_counted(tmp_path: Path, bbox: list[int]) -> None:
    flat = {"image_id": 1, "category_id": 9, "bbox": bbox}
    path = _coco(tmp_path, annotations=[*COCO["annotations"], flat])
    full, empty = read_annotations(path, ["photos/a.jpg", "b.jpg"], LABELS)
    assert full.boxes_xyxy.tolist() == [[10, 20, 40, 60], [0, 0, 5, 5]]
    assert (full.left_out, empty.left_out) == (1, 0)


def test_objects_that_voc_marks_as_difficult_are_marked(tmp_path: Path) -> None:
    hard = VOC.replace("</object>", "<difficult>1</difficult></object>")
    (tmp_path / "a.xml").write_text(hard)
    (tmp_path / "b.xml").write_text(VOC.replace("</object>", "<difficult>0</difficult></object>"))
    (tmp_path / "c.xml").write_text(VOC.replace("<xmax>40</xmax>", "<xmax>10</xmax>"))
    marked, plain, flat = read_annotations(tmp_path, ["a", "b", "c"], LABELS)
    assert (marked.difficult.tolist(), plain.difficult.tolist()) == ([True], [False])
    assert marked.crowds.tolist() == [False]
    assert (flat.left_out, len(flat.class_ids)) == (1, 0)


def test_the_classes_of_an_image_are_those_of_its_objects(tmp_path: Path) -> None:
    found = read_annotations(_coco(tmp_path), ["b.jpg", "photos/a.jpg"], LABELS)
    assert shown_classes(found, 2).tolist() == [[False, False], [True, True]]
