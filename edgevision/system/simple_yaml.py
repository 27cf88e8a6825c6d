"""The part of YAML in which label files and the metadata of exported models are written.

Read are block mappings and sequences, flow collections (``[a, b]``, ``{0: a}``), quoted and plain scalars,
and comments. Scalars stay text: YAML's own rules would turn the class ``no`` into False. Anchors, tags,
block scalars and several documents are refused, so that nothing is read otherwise than it was meant.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from edgevision.system.strict_json import read_json

_DEEPEST = 20
_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'\[\]{}#&*!|>%@`,-][^#]*?|-?\d+)\s*:(?:\s+|$)""")
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_REFUSED = "&*!|>%@`?"


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def read_yaml(text: str) -> Any:
    """A document as dictionaries with text as keys, lists, and text.

    Raises:
        ValueError: it is not of the part of YAML that is read; names the line.
    """
    lines = _lines(text)
    if not lines:
        return {}
    value, rest = _block(lines, 0, lines[0].indent, 0)
    if rest < len(lines):
        raise _error(lines[rest], "is not indented as the lines above")
    return value


def _lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    for number, raw in enumerate(text.splitlines(), 1):
        content = _without_comment(raw).rstrip()
        bare = content.lstrip(" ")
        if not bare or (bare == "---" and not lines):
            continue
        line = _Line(number, len(content) - len(bare), bare)
        if bare[0] == "\t":
            raise _error(line, "is indented by a tab")
        if bare in ("---", "..."):
            raise _error(line, "begins another document")
        lines.append(line)
    return lines


def _without_comment(line: str) -> str:
    quote = ""
    for place, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and (place == 0 or line[place - 1] in " [{,:-"):
            quote = char
        elif char == "#" and (place == 0 or line[place - 1] in " \t"):
            return line[:place]
    return line


def _block(lines: list[_Line], place: int, indent: int, depth: int) -> tuple[Any, int]:
    """The mapping, sequence or scalar that begins at a line, and the place after it."""
    if depth > _DEEPEST:
        raise _error(lines[place], "is nested too deeply")
    text = lines[place].text
    if text == "-" or text.startswith("- "):
        return _sequence(lines, place, indent, depth)
    if text[0] not in "[{" and _KEY.match(text):
        return _mapping(lines, place, indent, depth)
    return _scalar(lines, place, text, indent - 1)


def _mapping(lines: list[_Line], place: int, indent: int, depth: int) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    while place < len(lines) and lines[place].indent == indent:
        line = lines[place]
        match = _KEY.match(line.text)
        if match is None:
            raise _error(line, "is no 'key: value'")
        key, rest = _text(match[1], line), line.text[match.end() :]
        if key in values:
            raise _error(line, f"has the key '{key}' for the second time")
        if rest:
            values[key], place = _scalar(lines, place, rest, indent)
        else:
            values[key], place = _nested(lines, place + 1, indent, depth)
    return values, place


def _nested(lines: list[_Line], place: int, indent: int, depth: int) -> tuple[Any, int]:
    """The value of a key that stands on the lines below it; empty text if there are none."""
    if place < len(lines):
        line = lines[place]
        # A sequence may stand at the same indentation as its key.
        if line.indent > indent or (line.indent == indent and line.text.startswith("- ")):
            return _block(lines, place, line.indent, depth + 1)
    return "", place


def _sequence(lines: list[_Line], place: int, indent: int, depth: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    while place < len(lines) and lines[place].indent == indent and lines[place].text.startswith("-"):
        line = lines[place]
        rest = line.text[1:].lstrip(" ")
        if not rest:
            value, place = _nested(lines, place + 1, indent, depth)
        elif rest[0] not in "[{" and _KEY.match(rest):  # a mapping that begins behind the dash
            inner = indent + len(line.text) - len(rest)
            lines[place] = _Line(line.number, inner, rest)
            value, place = _mapping(lines, place, inner, depth + 1)
        else:
            value, place = _scalar(lines, place, rest, indent)
        values.append(value)
    return values, place


def _scalar(lines: list[_Line], place: int, text: str, indent: int) -> tuple[Any, int]:
    """A scalar or flow collection, with the deeper lines that continue it."""
    line, place = lines[place], place + 1
    while place < len(lines) and (lines[place].indent > indent or _is_open(text)):
        text += " " + lines[place].text
        place += 1
    if text[0] in "[{":
        return _Flow(text, line).whole(), place
    return _text(text, line), place


def _is_open(text: str) -> bool:
    """True for a flow collection that has not ended yet."""
    bare = _QUOTED.sub("", text)
    return text[0] in "[{" and sum(map(bare.count, "[{")) > sum(map(bare.count, "]}"))


class _Flow:
    """A reader of one flow collection."""

    def __init__(self, text: str, line: _Line) -> None:
        self._text, self._line, self._place = text, line, 0

    def whole(self) -> Any:
        value = self._value(0)
        if self._text[self._place :].strip():
            raise _error(self._line, "goes on after its last bracket")
        return value

    def _value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise _error(self._line, "is nested too deeply")
        opening = self._peek()
        if opening == "[":
            return self._items("]", lambda: self._value(depth + 1))
        if opening == "{":
            pairs = self._items("}", lambda: self._pair(depth + 1))
            if len({key for key, _ in pairs}) < len(pairs):
                raise _error(self._line, "has a key twice")
            return dict(pairs)
        return self._plain(",]}")

    def _items(self, closing: str, item: Any) -> list[Any]:
        self._place += 1
        items = []
        while self._peek() != closing:
            items.append(item())
            if self._peek() == ",":
                self._place += 1
            elif self._peek() != closing:
                raise _error(self._line, f"lacks a comma or {closing}")
        self._place += 1
        return items

    def _pair(self, depth: int) -> tuple[str, Any]:
        key = self._plain(":")
        if self._peek() != ":":
            raise _error(self._line, f"has the key '{key}' without a value")
        self._place += 1
        return key, self._value(depth)

    def _plain(self, ends: str) -> str:
        self._peek()
        quoted = _QUOTED.match(self._text, self._place)
        start = self._place
        if quoted:
            self._place = quoted.end()
        else:
            while self._place < len(self._text) and self._text[self._place] not in ends:
                self._place += 1
        return _text(self._text[start : self._place].strip(), self._line)

    def _peek(self) -> str:
        while self._place < len(self._text) and self._text[self._place] in " \t":
            self._place += 1
        if self._place >= len(self._text):
            raise _error(self._line, "lacks a closing bracket")
        return self._text[self._place]


def _text(text: str, line: _Line) -> str:
    if text[:1] == '"':
        try:
            value = read_json(text)
        except ValueError as error:
            raise _error(line, f"has a quoted text that cannot be read: {text:.40}") from error
        return str(value)
    if text[:1] == "'":
        if len(text) < 2 or text[-1] != "'":
            raise _error(line, f"has a quoted text that cannot be read: {text:.40}")
        return text[1:-1].replace("''", "'")
    if text[:1] and text[0] in _REFUSED:
        raise _error(line, f"begins with '{text[0]}', which is not supported here")
    return text


def _error(line: _Line, reason: str) -> ValueError:
    return ValueError(f"line {line.number} {reason}")
