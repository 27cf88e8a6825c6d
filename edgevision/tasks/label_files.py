"""Label files: the names of a network's classes, in the forms in which tools write them.

A name in the wrong place puts "dog" on cats, and nothing shows it: what can be read in two ways is refused,
with the form that cannot.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgevision.errors import OptionError, first_line
from edgevision.system.arguments import one_path
from edgevision.system.numeric import plain
from edgevision.system.reading import read_file
from edgevision.tasks.label_documents import (
    labels_in,
    labels_in_json,
    labels_in_label_map,
    labels_in_literal,
    labels_in_yaml,
)
from edgevision.tasks.labels import HOMONYMS, as_labels, labels_by_id, labels_in_order

_LARGEST_BYTES = 16_000_000
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LABEL_MAP = re.compile(r"\s*(#[^\n]*\s+)*item\s*:?\s*\{")
#: An id, what separates it, and the name.
_WITH_ID = re.compile(r"(\d{1,9})(\s*[:=,;|]\s*|\t\s*| {2,}| )(\S.*)")
#: Share of the ids from 1 that must be there for a list with spaces alone to be one of ids.
_DENSE = 0.8
_NAME_COLUMNS = ("display_name", "class_name", "name", "label", "class", "classname", "title", "category")
_ID_COLUMNS = ("id", "index", "class_id", "classid", "label_id", "class_index", "number", "idx")


def stated_labels(labels: Any) -> tuple[str, ...]:
    """The class names that a caller states: a list of names, the path of a file, or ids and names.

    Args:
        labels: a list, tuple or array of names; a path, as for `read_labels`; or
            a dictionary of ids to names, or of names to ids, such as Keras's ``class_indices``.

    Raises:
        OptionError: it is something else, or the file cannot be used.
    """
    if isinstance(labels, (str, os.PathLike)):
        return read_labels(one_path(labels, "labels"))
    if isinstance(labels, Mapping):
        try:
            return labels_in(plain(labels), "labels")
        except OptionError as error:
            where = "" if str(error).startswith("labels") else "labels: "
            raise OptionError(f"{where}{error}") from error
    return as_labels(labels)


def read_labels(path: str | Path) -> tuple[str, ...]:
    """The names of a network's classes, in its order, from a file.

    Read are: one class per line; ``id name``, ``id: name`` and the like in each line, with ``class 3`` for a
    class without a name; CSV, with or without a header; JSON, YAML and Python's literals with a list of
    names or a mapping between ids and names, such as Ultralytics' ``data.yaml`` and Keras's
    ``class_indices``; label maps of TensorFlow (``.pbtxt``). A byte order mark tells UTF-8, UTF-16 and
    UTF-32 apart; without one, the file is UTF-8.

    Raises:
        OptionError: the file cannot be read, is empty, names a class twice, or can be read in two ways.
    """
    path = one_path(path, "labels")
    where, text = str(path), _text(path)
    if not text.strip():
        raise OptionError(f"{where}: no labels found; expected one class per line")
    try:
        return _labels(text, path.suffix.lower(), where)
    except OptionError:
        raise
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise OptionError(f"{where}: cannot be read as a list of labels: {first_line(error)}") from error


def _labels(text: str, suffix: str, where: str) -> tuple[str, ...]:
    if suffix == ".json":
        return labels_in_json(text, where)
    if suffix in (".yaml", ".yml"):
        return labels_in_yaml(text, where)
    if _LABEL_MAP.match(text):
        return labels_in_label_map(text, where)
    if suffix in (".csv", ".tsv"):
        return _in_csv(text, where)
    if text.lstrip()[0] in "[{":
        return labels_in_literal(text, where)
    return _in_lines(text, where)


def _text(path: Path) -> str:
    try:
        content = read_file(path, _LARGEST_BYTES)
    except FileNotFoundError as error:
        raise OptionError(f"{path}: cannot be read as a list of labels: there is no such file") from error
    except OSError as error:
        raise OptionError(f"{path}: cannot be read as a list of labels: {error.strerror or error}") from error
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise OptionError(
            f"{path}: cannot be read as a list of labels: byte {error.start} is not {encoding}; save it as "
            "UTF-8"
        ) from error
    if "\0" in text:
        raise OptionError(f"{path}: contains a NUL character; save it as UTF-8 text")
    return text


def _in_lines(text: str, where: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    filled = [line for line in lines if line and not line.startswith("#")]
    by_id = _with_ids(filled, where)
    if by_id is not None:
        return labels_by_id(by_id, where)
    for number, line in enumerate(lines, 1):
        if not line:
            raise OptionError(
                f"{where}: line {number} is empty, and each line stands for a class; name that class "
                f"(class {number - 1}), or delete the line"
            )
        if line == "#" or line.startswith(("# ", "//", "##")):
            raise OptionError(
                f"{where}: line {number} may be a comment or a class: '{line:.40}'; delete it, or write an "
                "id before each name, such as '0: cat'"
            )
    return labels_in_order(lines, where)


def _with_ids(lines: Sequence[str], where: str) -> dict[int, str] | None:
    """Id -> name where every line has an id; `None` where the lines are names, such as ``7 up``.

    Raises:
        OptionError: they may be either.
    """
    matches = [match for match in map(_WITH_ID.fullmatch, lines) if match]
    stated = [match for match in matches if match[2] != " "]
    if len(matches) < len(lines) or not matches:
        if len(stated) > len(lines) / 2:
            wrong = next(line for line in lines if not _WITH_ID.fullmatch(line))
            raise OptionError(
                f"{where}: '{wrong:.40}' has no id, as other lines have; write one in each line"
            )
        return None
    numbers = [int(match[1]) for match in matches]
    names = [match[3].strip() for match in matches]
    by_id = dict(zip(numbers, names, strict=True))
    distinct = len(by_id) == len(lines)
    if len(stated) == len(lines):
        if not distinct:
            twice = next(number for number, count in Counter(numbers).items() if count > 1)
            raise OptionError(f"{where}: id {twice} is there twice; make the ids distinct")
        return by_id
    # With a space alone, the number may belong to the name, as in '7 up', '2 euro' and '3d printer'.
    if not distinct or len(names) - len(set(names)) > HOMONYMS * len(names):
        return None
    if 0 in by_id or (1 in by_id and len(by_id) >= _DENSE * max(by_id)):
        return by_id
    raise OptionError(
        f"{where}: the numbers in front may be ids or belong to the names, as in '{lines[0]:.40}'; write ids "
        "with a colon, such as '0: cat'"
    )


def _in_csv(text: str, where: str) -> tuple[str, ...]:
    """Names, or ids and names, from the columns of a table."""
    delimiter = max(",;\t|", key=text.partition("\n")[0].count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=delimiter)]
    except csv.Error as error:
        raise OptionError(f"{where}: cannot be read as CSV: {error}") from error
    rows = [row for row in rows if any(row)]
    width = max(map(len, rows))
    ragged = next((row for row in rows if len(row) != width), None)
    if ragged is not None:
        raise OptionError(f"{where}: expected {width} columns in each row, got {ragged}")
    header = _header(rows)
    body = rows[1:] if header else rows
    if not body:
        raise OptionError(f"{where}: no labels found below the header {', '.join(rows[0])}")
    ids = _id_column(header, body, where)
    names = _name_column(header, [column for column in range(width) if column != ids], where)
    if ids is None:
        return labels_in_order([row[names] for row in body], where)
    numbers = [int(row[ids]) for row in body]
    if len(set(numbers)) < len(numbers):
        raise OptionError(f"{where}: an id is there twice; make the ids distinct")
    return labels_by_id(dict(zip(numbers, (row[names] for row in body), strict=True)), where)


def _header(rows: list[list[str]]) -> list[str]:
    """The names of the columns; empty where the first row is a class."""
    first = [cell.lower().replace(" ", "_") for cell in rows[0]]
    known = {*_NAME_COLUMNS, *_ID_COLUMNS}
    if len(first) == 1:  # 'class' and 'label' name a column; a class of that name is not known
        return first if first[0] in known | {"labels", "classes", "names"} else []
    no_number = not any(cell.isdigit() for cell in first)
    below = any(cell.isdigit() for row in rows[1:] for cell in row)
    return first if no_number and (below or known.intersection(first)) else []


def _id_column(header: list[str], rows: list[list[str]], where: str) -> int | None:
    width = len(rows[0])
    if width == 1:
        return None
    numeric = [column for column in range(width) if all(row[column].isdigit() for row in rows)]
    named = [column for column in numeric if header and header[column] in _ID_COLUMNS]
    candidates = named or numeric
    if len(candidates) > 1:
        raise OptionError(
            f"{where}: {len(candidates)} columns hold numbers; call the one with the ids 'id' in a header"
        )
    return candidates[0] if candidates else None


def _name_column(header: list[str], columns: list[int], where: str) -> int:
    named = [column for name in _NAME_COLUMNS for column in columns if header and header[column] == name]
    if named:
        return named[0]
    if len(columns) == 1:
        return columns[0]
    raise OptionError(
        f"{where}: {len(columns)} columns may hold the names; call the right one 'name' in a header"
    )
