"""Unpack BCCD into photos and masks: a class for each pixel, by GrabCut from the boxes of the data set.

    python masks.py bccd.zip FOLDER

Writes photos into ``train/`` and ``val/``, their masks into ``train-masks/`` and ``val-masks/``, and the
classes into ``labels.txt``. A mask is a grey PNG of class numbers; 255 marks pixels whose class is unknown.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

LABELS = ("background", "red cell", "white cell", "platelet")
#: Names in the data set's boxes.
NUMBER_OF = {"RBC": 1, "WBC": 2, "Platelets": 3}
VOID = 255
#: Masks are made at half the size of a photo, and enlarged: GrabCut takes a second for each.
_SCALE = 2
#: Distance from the colour of the empty slide, in CIELAB with half the weight on lightness: surely slide
#: below the first, surely cell above the last, and probably one or the other at the second.
_SLIDE, _LIKELY, _CELL = 4, 8, 13
#: Pale centres of red cells up to this many pixels are filled.
_LARGEST_HOLE = 500
#: Pixels around a box that GrabCut sees, too.
_MARGIN = 12
#: Share of half a box that is probably its cell.
_CORE = 0.84

Image = NDArray[np.uint8]
#: Class number, left, top, right, bottom in pixels of the small image.
Box = tuple[int, int, int, int, int]


def mask_of(photo: Image, boxes: list[Box]) -> Image:
    """The class of each pixel.

    Everything that is no empty slide is a cell. Inside the box of a red cell it is a red cell; what lies in
    no box is a cell that nobody annotated, and so `VOID`. White cells and platelets are cut out of their
    boxes; what is left there, such as pale cytoplasm, is `VOID` as well.

    Args:
        photo: (h, w, 3) uint8 RGB.
        boxes: the annotated cells.

    Returns:
        uint8 (h, w).
    """
    cells = _filled(_all_cells(photo))
    mask = np.where(cells, VOID, 0).astype(np.uint8)
    for number, left, top, right, bottom in boxes:
        if number == 1:
            mask[top:bottom, left:right][cells[top:bottom, left:right]] = number
    for box in boxes:
        if box[0] != 1:
            _cut_out(photo, box, mask)
    return mask


def _all_cells(photo: Image) -> NDArray[np.bool_]:
    lab = cv2.cvtColor(cv2.GaussianBlur(photo, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    bright = lab[..., 0] >= np.percentile(lab[..., 0], 70)
    slide = np.median(lab[bright], axis=0)
    distance = np.sqrt((((lab - slide) * (0.5, 1.0, 1.0)) ** 2).sum(axis=2))
    seeds = np.full(distance.shape, cv2.GC_PR_BGD, np.uint8)
    for least, seed in ((_LIKELY, cv2.GC_PR_FGD), (_CELL, cv2.GC_FGD)):
        seeds[distance > least] = seed
    seeds[distance < _SLIDE] = cv2.GC_BGD
    return _grab(photo, seeds)


def _filled(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells with their pale centres: small holes that do not touch the edge of the photo."""
    height, width = cells.shape
    filled = cells.copy()
    count, holes, stats, _ = cv2.connectedComponentsWithStats((~cells).astype(np.uint8), connectivity=4)
    for number in range(1, count):
        x, y, w, h, area = stats[number]
        inside = x > 0 and y > 0 and x + w < width and y + h < height
        if inside and area < _LARGEST_HOLE:
            filled[holes == number] = True
    return filled


def _cut_out(photo: Image, box: Box, mask: Image) -> None:
    """Write one white cell or platelet into a mask."""
    number, left, top, right, bottom = box
    height, width = mask.shape
    x, y = max(0, left - _MARGIN), max(0, top - _MARGIN)
    part = (slice(y, min(height, bottom + _MARGIN)), slice(x, min(width, right + _MARGIN)))
    seeds = np.full(mask[part].shape, cv2.GC_BGD, np.uint8)
    seeds[top - y : bottom - y, left - x : right - x] = cv2.GC_PR_BGD
    centre = (left + right) // 2 - x, (top + bottom) // 2 - y
    reach = max(1, int(_CORE * (right - left) / 2)), max(1, int(_CORE * (bottom - top) / 2))
    cv2.ellipse(seeds, centre, reach, 0, 0, 360, int(cv2.GC_PR_FGD), -1)
    mask[part][_grab(np.ascontiguousarray(photo[part]), seeds)] = number


def _grab(photo: Image, seeds: Image) -> NDArray[np.bool_]:
    """GrabCut (Rother, Kolmogorov and Blake 2004) from seeds, which it changes; the same each time."""
    if not np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)).any() or not np.isin(seeds, (0, 2)).any():
        return np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(photo, seeds, None, *models, 3, cv2.GC_INIT_WITH_MASK)
    return np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))


def unpack(data: Path, folder: Path) -> None:
    """Write the photos and masks of both lists."""
    with zipfile.ZipFile(data) as archive:
        for part in ("train", "val"):
            for name in archive.read(f"BCCD/{part}.txt").decode().split():
                content = archive.read(f"BCCD/JPEGImages/{name}.jpg")
                _write(folder / part / f"{name}.jpg", content)
                boxes = list(_boxes(archive.read(f"BCCD/Annotations/{name}.xml")))
                mask = mask_of(_small(content), boxes).repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
                _write(folder / f"{part}-masks" / f"{name}.png", cv2.imencode(".png", mask)[1].tobytes())
    _write(folder / "labels.txt", "".join(f"{label}\n" for label in LABELS).encode())


def _small(content: bytes) -> Image:
    photo = cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    height, width = photo.shape[:2]
    size = width // _SCALE, height // _SCALE
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _boxes(annotation: bytes) -> Iterator[Box]:
    # The data set is trusted: the user has chosen it.
    for element in ET.fromstring(annotation).iter("object"):  # noqa: S314
        left, top, right, bottom = (
            round(float(element.findtext(f"bndbox/{corner}", "0")) / _SCALE)
            for corner in ("xmin", "ymin", "xmax", "ymax")
        )
        if left < right and top < bottom:  # BCCD has two boxes without an area
            yield NUMBER_OF[element.findtext("name", "")], left, top, right, bottom


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
