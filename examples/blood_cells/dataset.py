"""Microscope photos of blood with Pascal VOC annotations, read from one zip file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLASS_NAMES = ("RBC", "WBC", "Platelets")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Sample:
    """One photo and its labelled cells.

    Attributes:
        name: file name of the photo without its suffix.
        image: (h, w, 3) uint8 RGB.
        boxes_xyxy: (n, 4) float32, left, top, right, bottom in pixels of `image`.
        class_ids: (n,) int64, indices into `CLASS_NAMES`.
    """

    name: str
    image: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float32]
    class_ids: NDArray[np.int64]


def read_samples(data: Path, split: str, limit: int | None = None) -> list[Sample]:
    """Read the photos in one of the zip's lists, in the list's order.

    Args:
        data: a zip of a folder with ``JPEGImages/NAME.jpg``, ``Annotations/NAME.xml`` and
            ``train.txt`` and ``val.txt``, which have one NAME per line.
        split: ``train`` or ``val``.
        limit: the largest number of photos, from the start of the list.

    Raises:
        FileNotFoundError: the zip has no such list.
        ValueError: a photo cannot be decoded, or a class is not in `CLASS_NAMES`.
        KeyError: a listed photo or its annotation is not in the zip.
    """
    with zipfile.ZipFile(data) as archive:
        listed = [entry for entry in archive.namelist() if f"/{entry}".endswith(f"/{split}.txt")]
        if not listed:
            raise FileNotFoundError(f"{data}: no {split}.txt in this zip; expected the BCCD data set")
        root = listed[0].removesuffix(f"{split}.txt")
        names = archive.read(listed[0]).decode().split()
        return [_read_sample(archive, root, name) for name in names[:limit]]


def _read_sample(archive: zipfile.ZipFile, root: str, name: str) -> Sample:
    pixels = np.frombuffer(archive.read(f"{root}JPEGImages/{name}.jpg"), np.uint8)
    image = cv2.imdecode(pixels, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{archive.filename}: {name}.jpg cannot be decoded")
    # The data set is trusted: the user has chosen it.
    annotation = ET.fromstring(archive.read(f"{root}Annotations/{name}.xml"))  # noqa: S314
    boxes = np.array([_box(element) for element in annotation.iter("object")], np.float32).reshape(-1, 4)
    classes = np.array([_class_id(element, name) for element in annotation.iter("object")], np.int64)
    # BCCD has two boxes without an area.
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Sample(name, cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8), boxes[solid], classes[solid])


def _box(element: ET.Element) -> list[float]:
    return [float(element.findtext(f"bndbox/{corner}", "nan")) for corner in _CORNERS]


def _class_id(element: ET.Element, name: str) -> int:
    label = element.findtext("name", "")
    if label not in CLASS_NAMES:
        raise ValueError(f"{name}.xml: class {label!r}: expected one of {', '.join(CLASS_NAMES)}")
    return CLASS_NAMES.index(label)
