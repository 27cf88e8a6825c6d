"""Ground truth of detectors: boxes and classes, read from COCO JSON or Pascal VOC XML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np

from edgevision.decoder import Floats, Ints
from edgevision.errors import InputError
from edgevision.system.folders import entries_below
from edgevision.system.json_documents import json_document
from edgevision.system.reading import MOST_DOCUMENT_BYTES, read_file


@dataclass(frozen=True, eq=False)
class Annotations:
    """The annotated objects of one image.

    Attributes:
        boxes_xyxy: float32 ``(n, 4)``: left, top, right, bottom in pixels of the image.
        class_ids: int64 ``(n,)``, indices in the labels.
        crowds: bool ``(n,)``: boxes around groups of objects, which COCO ignores in the evaluation.
        difficult: bool ``(n,)``: objects that count neither as detected nor as missed, as in VOC; `None` if
            there are none.
        left_out: number of annotated objects of zero width or height, which are left out.
    """

    boxes_xyxy: Floats
    class_ids: Ints
    crowds: np.ndarray[Any, np.dtype[np.bool_]]
    difficult: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    left_out: int = 0

    def same_as(self, other: Annotations) -> bool:
        """True if both have the same objects in the same order."""
        pairs = (
            (self.boxes_xyxy, other.boxes_xyxy),
            (self.class_ids, other.class_ids),
            (self.crowds, other.crowds),
            (self.difficult, other.difficult),
        )
        return all(np.array_equal(np.asarray(mine), np.asarray(theirs)) for mine, theirs in pairs)


@dataclass(frozen=True)
class _Object:
    label: str
    box_xyxy: tuple[float, float, float, float]
    crowd: bool = False
    difficult: bool = False

    @property
    def has_area(self) -> bool:
        left, top, right, bottom = self.box_xyxy
        return left < right and top < bottom


def read_annotations(
    path: str | Path, image_names: Sequence[str], labels: Sequence[str]
) -> list[Annotations]:
    """Read the annotations of images.

    Args:
        path: a COCO JSON file, or a folder of Pascal VOC XML files, one per image and named after it.
        image_names: names of the images, in the order of the result. An image is looked up by its full name,
            then by the last part of it.
        labels: class names of the network, which the annotations use too.

    Raises:
        InputError: a file cannot be read, a field is missing or invalid, a class is not in the label list, or
            an image has no entry; the message names it.
    """
    path = Path(path)
    objects = _read_voc(path) if path.is_dir() else _read_coco(path)
    places = {label: place for place, label in enumerate(labels)}
    return [_of_image(_find(objects, name, path), places, path) for name in image_names]


def shown_classes(annotations: Sequence[Annotations], classes: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Membership of each image: bool ``(images, classes)``, true for classes with an annotated object."""
    shown = np.zeros((len(annotations), classes), bool)
    for row, image in zip(shown, annotations, strict=True):
        row[image.class_ids] = True
    return shown


def _find(objects: Mapping[str, list[_Object]], name: str, path: Path) -> list[_Object]:
    pure = PurePosixPath(name)
    for key in (name, pure.name, pure.stem):
        if key in objects:
            return objects[key]
    raise InputError(f"{path}: no entry for image '{name}'; add one, without objects if the image shows none")


def _of_image(objects: Sequence[_Object], places: Mapping[str, int], path: Path) -> Annotations:
    for entry in objects:
        if entry.label not in places:
            raise InputError(f"{path}: class '{entry.label}' is not in the label list ({', '.join(places)})")
    kept = [entry for entry in objects if entry.has_area]
    return Annotations(
        np.array([entry.box_xyxy for entry in kept], np.float32).reshape(-1, 4),
        np.array([places[entry.label] for entry in kept], np.int64),
        np.array([entry.crowd for entry in kept], bool),
        np.array([entry.difficult for entry in kept], bool),
        left_out=len(objects) - len(kept),
    )


def _read_coco(path: Path) -> dict[str, list[_Object]]:
    document = json_document(path, MOST_DOCUMENT_BYTES)
    try:
        names = {image["id"]: str(image["file_name"]) for image in document["images"]}
        categories = {category["id"]: str(category["name"]) for category in document["categories"]}
        objects: dict[str, list[_Object]] = {name: [] for name in names.values()}
        for number, entry in enumerate(document["annotations"]):
            where = f"{path}: annotations[{number}]"
            missing = [name for name in ("bbox", "category_id", "image_id") if name not in entry]
            if missing:
                raise InputError(f"{where}: field '{missing[0]}' is missing")
            left, top, width, height = map(float, entry["bbox"])
            box = _checked((left, top, left + width, top + height), where)
            annotated = _Object(categories[entry["category_id"]], box, bool(entry.get("iscrowd", 0)))
            objects[names[entry["image_id"]]].append(annotated)
    except InputError:  # a ValueError too, and complete already
        raise
    except Exception as error:  # one interface for whatever such a document leads to
        raise InputError(
            f"{path}: not a valid COCO annotation file: {type(error).__name__}: {error}"
        ) from error
    return {key: rows for name, rows in objects.items() for key in (name, PurePosixPath(name).name)}


def _read_voc(folder: Path) -> dict[str, list[_Object]]:
    try:
        files = sorted(Path(entry.path) for name, entry in entries_below(folder) if name.endswith(".xml"))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    if not files:
        raise InputError(
            f"{folder}: contains no .xml file; expected Pascal VOC annotations, one file per image"
        )
    return {file.stem: _read_voc_file(file) for file in files}


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses documents that declare entities, which can expand a small file to gigabytes.

    Called by the parser, because a search for the bytes of the word would miss other encodings.
    """

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse the document at the start of its DOCTYPE."""
        raise InputError(
            f"{self._where}: contains a DOCTYPE declaration, which annotations do not need; remove it"
        )


def _read_voc_file(path: Path) -> list[_Object]:
    try:
        parser = ElementTree.XMLParser(target=_NoDoctype(str(path)))  # noqa: S314 - no DOCTYPE, no entities
        parser.feed(read_file(path, MOST_DOCUMENT_BYTES))
        root = parser.close()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except InputError:
        raise
    except Exception as error:  # an encoding that Python does not know, and whatever else
        raise InputError(f"{path}: not valid XML: {error}") from error
    return [
        _voc_object(entry, f"{path}: object {number}") for number, entry in enumerate(root.iter("object"))
    ]


def _voc_object(entry: ElementTree.Element, where: str) -> _Object:
    label = (entry.findtext("name") or "").strip()
    if not label:
        raise InputError(f"{where}: field 'name' is missing")
    values = [entry.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(value or "") for value in values)
    except ValueError as error:
        raise InputError(f"{where}: bndbox: expected xmin, ymin, xmax and ymax, got {values}") from error
    difficult = (entry.findtext("difficult") or "").strip() not in ("", "0")
    return _Object(label, _checked((left, top, right, bottom), where), difficult=difficult)


def _checked(box: tuple[float, float, float, float], where: str) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    if not (np.isfinite(box).all() and left <= right and top <= bottom):
        raise InputError(f"{where}: expected left <= right and top <= bottom, got {box}")
    return box
