"""Class names in documents: JSON, YAML, literals of Python, and label maps of TensorFlow."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edgevision.errors import OptionError, first_line
from edgevision.system.shown import shown
from edgevision.system.simple_yaml import read_yaml
from edgevision.system.strict_json import JsonError, read_json
from edgevision.tasks.labels import labels_by_id, labels_in_order

#: Keys below which tools keep the names of classes, the clearest first.
_KEYS = ("id2label", "names", "labels", "classes", "class_names", "categories", "label2id", "class_indices")
_NAME_KEYS = ("display_name", "name", "label", "title")
_ID_KEYS = ("id", "index", "class_id")
_WHOLE = re.compile(r"\d{1,9}")
_WORDNET_ID = re.compile(r"n\d{8}")
#: A token of a label map: a text, a brace or colon, or a word; comments and commas are left out.
_TOKEN = re.compile(r"""\s+|#[^\n]*|,|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([{}:])|([^\s{}:,"'#]+)""")


def labels_in_json(text: str, where: str) -> tuple[str, ...]:
    """The class names in a JSON document: a list, a mapping, or one of these below a usual key.

    Raises:
        OptionError: it is not JSON, or it is not clear which names it has.
    """
    try:
        document = read_json(text)
    except JsonError as error:
        raise OptionError(f"{where}: expected JSON: {first_line(error)}") from error
    return labels_in(document, where)


def labels_in_yaml(text: str, where: str) -> tuple[str, ...]:
    """The class names in a YAML document, such as the ``data.yaml`` of Ultralytics.

    Raises:
        OptionError: it cannot be read, or it is not clear which names it has.
    """
    try:
        document = read_yaml(text)
    except ValueError as error:
        raise OptionError(f"{where}: cannot be read as YAML: {error}") from error
    return labels_in(document, where)


def labels_in_literal(text: str, where: str) -> tuple[str, ...]:
    """The class names in a document that begins with a bracket: JSON, or a list or dictionary of Python.

    Raises:
        OptionError: it is neither, or it is not clear which names it has.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return labels_in_json(text, where)
    return labels_in(value, where)


def labels_in_label_map(text: str, where: str) -> tuple[str, ...]:
    """The class names in a label map of TensorFlow's Object Detection API (``.pbtxt``).

    Its ids begin at 1, because 0 is the background there, which no output of a detector counts; a map with
    an id 0 counts from 0.

    Raises:
        OptionError: it cannot be read, or an item has no id or name.
    """
    names: dict[int, str] = {}
    for fields in _items(_tokens(text, where), where):
        name = next((fields[key] for key in _NAME_KEYS if key in fields), None)
        if name is None or not _WHOLE.fullmatch(fields.get("id", "")):
            raise OptionError(f"{where}: expected an id and a name in each item, got {fields}")
        _add(names, int(fields["id"]), name, where)
    first = 0 if 0 in names else 1
    return labels_by_id({number - first: name for number, name in names.items()}, where)


def labels_in(document: Any, where: str) -> tuple[str, ...]:
    """The class names in lists and dictionaries, as JSON, YAML and Python have them.

    Args:
        document: a list of names, or of objects with id and name; a mapping of ids to names or of names to
            ids; or a mapping with one of these below a usual key, such as ``names``.
        where: the file, for errors.

    Raises:
        OptionError: it is not clear which names it has.
    """
    if isinstance(document, Mapping):
        key = next((key for key in _KEYS if isinstance(document.get(key), (list, tuple, Mapping))), None)
        if key is not None:
            return labels_in(document[key], f"{where}: {key}")
        return labels_by_id(_by_id(document, where), where)
    if isinstance(document, (list, tuple)):
        if document and all(isinstance(item, Mapping) for item in document):
            return labels_by_id(_of_objects(document, where), where)
        return labels_in_order([_name(item, where) for item in document], where)
    raise OptionError(f"{where}: expected a list or mapping of class names, got {shown(document)}")


def _by_id(mapping: Mapping[Any, Any], where: str) -> dict[int, str]:
    """Id -> name, from a mapping in either direction."""
    ids = [_id(key) for key in mapping]
    other = [_id(value) for value in mapping.values()]
    from_keys, from_values = None not in ids, None not in other
    if from_keys and from_values and ids != other:
        raise OptionError(f"{where}: maps numbers to numbers; it is not clear which are the ids")
    names: dict[int, str] = {}
    if mapping and from_keys:
        for number, value in zip(ids, mapping.values(), strict=True):
            _add(names, number or 0, _name(value, where), where)
    elif mapping and from_values:
        for number, key in zip(other, mapping, strict=True):
            _add(names, number or 0, _name(key, where), where)
    else:
        keys = ", ".join(repr(key) for key in list(mapping)[:8])
        raise OptionError(
            f"{where}: expected ids and names of classes, or these below one of {', '.join(_KEYS)}; "
            f"it has: {keys or 'nothing'}"
        )
    return names


def _of_objects(items: Sequence[Mapping[str, Any]], where: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for item in items:
        number = next((_id(item[key]) for key in _ID_KEYS if key in item), None)
        name = next((item[key] for key in _NAME_KEYS if key in item), None)
        if number is None or name is None:
            raise OptionError(f"{where}: expected an id and a name in each object, got {shown(dict(item))}")
        _add(names, number, _name(name, where), where)
    return names


def _add(names: dict[int, str], number: int, name: str, where: str) -> None:
    if number in names:
        raise OptionError(
            f"{where}: id {number} is both '{names[number]}' and '{name}'; make the ids distinct"
        )
    names[number] = name


def _id(value: Any) -> int | None:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_whole else None


def _name(value: Any, where: str) -> str:
    """A name, also from ImageNet's pair of a WordNet id and a name."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and _WORDNET_ID.fullmatch(str(value[0])):
        value = value[1]
    if isinstance(value, int) and not isinstance(value, bool):  # the digits are classes, too
        return str(value)
    if not isinstance(value, str):
        raise OptionError(f"{where}: expected the name of a class, got {shown(value)}")
    return value


def _tokens(text: str, where: str) -> list[str]:
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise OptionError(f"{where}: cannot be read as a label map at {shown(text[place : place + 40])}")
        tokens += [token for token in match.groups() if token]
        place = match.end()
    return tokens


def _items(tokens: list[str], where: str) -> Iterator[dict[str, str]]:
    """The fields of each item, without those that are nested."""
    iterator = iter(tokens)
    take: Callable[[], str] = lambda: next(iterator, "")  # noqa: E731
    while word := take():
        brace = take()
        brace = take() if brace == ":" else brace
        if word != "item" or brace != "{":
            raise OptionError(f"{where}: expected 'item {{', got '{word} {brace}'")
        fields: dict[str, str] = {}
        while (name := take()) != "}":
            separator, value = take(), take()
            if separator == "{" or value == "{":  # a nested message, such as keypoints
                depth = 1
                while depth and value:
                    value = take()
                    depth += {"{": 1, "}": -1}.get(value, 0)
                continue
            if separator != ":" or not value:
                raise OptionError(f"{where}: expected 'name: value' in an item, got '{name} {separator}'")
            fields[name] = ast.literal_eval(value) if value[0] in "\"'" else value
        yield fields
