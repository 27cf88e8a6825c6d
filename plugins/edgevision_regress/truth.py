"""Ground truth of regressions: a CSV file with a row for each image."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import ImageSet, InputError, read_file

Table = NDArray[np.float64]
_MOST_BYTES = 100_000_000
#: The column with the name of an image's class.
LABEL = "label"


def read_columns(path: str | Path) -> tuple[list[str], dict[str, list[str]]]:
    """The names of the values in a CSV file, and image -> its row of them.

    Raises:
        InputError: the file cannot be read, does not begin with the column ``image``, or has an image twice.
    """
    try:
        text = read_file(path, _MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if not rows or [name.strip() for name in rows[0]][:1] != ["image"] or len(rows[0]) < 2:
        raise InputError(f"{path}: expected a first line such as image,age with the names of the values")
    names = [name.strip() for name in rows[0][1:]]
    found: dict[str, list[str]] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names) + 1:
            raise InputError(f"{path}: row {number} has {len(row)} columns, expected {len(names) + 1}")
        if row[0] in found:
            raise InputError(f"{path}: image '{row[0]}' is there twice, in row {number} again; remove one")
        found[row[0]] = row[1:]
    return names, found


def read_values(
    path: str | Path, images: ImageSet, names: Sequence[str], labels: Sequence[str] = ()
) -> Table:
    """The values of each image, float64 ``(images, values)``; with labels also the number of its class, last.

    Args:
        path: a CSV file: the first column is ``image``, with names as the set has them; one column per value.
        images: whose values are wanted.
        names: of the values, in the network's order.
        labels: one name per class, for a network that gives classes, too: the column ``label`` has them.

    Raises:
        InputError: a column or an image is missing, a cell is no finite number, or a label is no class.
    """
    columns, rows = read_columns(path)
    missing = [name for name in (*names, *([LABEL] if labels else [])) if name not in columns]
    if missing:
        raise InputError(f"{path}: has no column '{missing[0]}'; it has: {', '.join(columns)}")
    places = [columns.index(name) for name in names]
    table = np.zeros((len(images), len(names) + bool(labels)))
    for row, image in zip(table, images.image_names, strict=True):
        if image not in rows:
            raise InputError(f"{path}: has no row for image '{image}'")
        for place, column in enumerate(places):
            row[place] = _number(rows[image][column], f"{path}: image '{image}', column '{names[place]}'")
        if labels:
            label = rows[image][columns.index(LABEL)].strip()
            if label not in labels:
                raise InputError(
                    f"{path}: image '{image}', column '{LABEL}': '{label:.40}' is no class of the model "
                    f"({', '.join(labels[:20])})"
                )
            row[-1] = labels.index(label)
    return table


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{where}: expected a number, got '{text:.40}'")
    return value
