"""Reads what is truly in images: boxes and classes, as COCO JSON or Pascal VOC XML has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np

from edgevision.decoder import Floats, Ints
from edgevision.errors import InputError


@dataclass(frozen=True, eq=False)
class Annotations:
    """The objects that are truly in one image.

    Attributes:
        boxes_xyxy: float32 ``(n, 4)``: left, top, right, bottom in pixels of the image.
        class_ids: int64 ``(n,)``, places among the labels.
        crowds: bool ``(n,)``: boxes round more objects than one, which COCO neither rewards nor punishes.
        difficult: bool ``(n,)``: objects that count neither as found nor as missed, as in VOC; `None`
            where none are.
        left_out: objects of zero width or height, which are none, and are not among the others.
    """

    boxes_xyxy: Floats
    class_ids: Ints
    crowds: np.ndarray[Any, np.dtype[np.bool_]]
    difficult: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    left_out: int = 0


@dataclass(frozen=True)
class _Object:
    label: str
    box_xyxy: tuple[float, float, float, float]
    crowd: bool = False
    difficult: bool = False

    @property
    def solid(self) -> bool:
        left, top, right, bottom = self.box_xyxy
        return left < right and top < bottom


def read_annotations(
    path: str | Path, image_names: Sequence[str], labels: Sequence[str]
) -> list[Annotations]:
    """Read the annotations of images.

    Args:
        path: a COCO JSON file, or a folder of Pascal VOC XML files, one an image and named as it.
        image_names: of the images, in the order that is wanted. They are found by their whole
            name, or else by its last part.
        labels: the network's classes; the annotations name the same.

    Raises:
        InputError: a file cannot be read, a field is missing or wrong, a class is none of the
            labels, or an image has no annotations; names it.
    """
    path = Path(path)
    objects = _read_voc(path) if path.is_dir() else _read_coco(path)
    places = {label: place for place, label in enumerate(labels)}
    return [_of_image(_find(objects, name, path), places, path) for name in image_names]


def shown_classes(annotations: Sequence[Annotations], classes: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which classes each image shows: bool ``(images, classes)``."""
    shown = np.zeros((len(annotations), classes), bool)
    for row, image in zip(shown, annotations, strict=True):
        row[image.class_ids] = True
    return shown


def _find(objects: Mapping[str, list[_Object]], name: str, path: Path) -> list[_Object]:
    pure = PurePosixPath(name)
    for key in (name, pure.name, pure.stem):
        if key in objects:
            return objects[key]
    raise InputError(
        f"{path}: has no annotations of image '{name}'; list it there, with no object if it shows none"
    )


def _of_image(objects: Sequence[_Object], places: Mapping[str, int], path: Path) -> Annotations:
    for one in objects:
        if one.label not in places:
            raise InputError(f"{path}: class '{one.label}' is none of the labels: {', '.join(places)}")
    solid = [one for one in objects if one.solid]
    return Annotations(
        np.array([one.box_xyxy for one in solid], np.float32).reshape(-1, 4),
        np.array([places[one.label] for one in solid], np.int64),
        np.array([one.crowd for one in solid], bool),
        np.array([one.difficult for one in solid], bool),
        left_out=len(objects) - len(solid),
    )


def _read_coco(path: Path) -> dict[str, list[_Object]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON: {error}") from error
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
            found = _Object(categories[entry["category_id"]], box, bool(entry.get("iscrowd", 0)))
            objects[names[entry["image_id"]]].append(found)
    except InputError:  # which is a ValueError, and says all
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is no COCO annotation file: {type(error).__name__}: {error}") from error
    return {key: found for name, found in objects.items() for key in (name, PurePosixPath(name).name)}


def _read_voc(folder: Path) -> dict[str, list[_Object]]:
    files = sorted(folder.rglob("*.xml"))
    if not files:
        raise InputError(f"{folder}: holds no .xml file; expected Pascal VOC annotations, one an image")
    return {file.stem: _read_voc_file(file) for file in files}


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses documents that can declare entities, which make a small file unfold to gigabytes.

    Asked by the parser, for in UTF-16 the bytes of the word are others.
    """

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called where a DOCTYPE begins."""
        raise InputError(
            f"{self._where}: declares a DOCTYPE or entity, which annotations do not need; remove it"
        )


def _read_voc_file(path: Path) -> list[_Object]:
    try:
        parser = ElementTree.XMLParser(target=_NoDoctype(str(path)))  # noqa: S314 - no DOCTYPE, no entities
        parser.feed(path.read_bytes())
        root = parser.close()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    # LookupError: an encoding that Python does not know.
    except (ElementTree.ParseError, LookupError) as error:
        raise InputError(f"{path}: is no XML: {error}") from error
    return [
        _voc_object(entry, f"{path}: object {number}") for number, entry in enumerate(root.iter("object"))
    ]


def _voc_object(entry: ElementTree.Element, where: str) -> _Object:
    label = (entry.findtext("name") or "").strip()
    if not label:
        raise InputError(f"{where}: has no name")
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
