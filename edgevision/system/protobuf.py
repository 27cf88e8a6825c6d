"""Read and rewrite protobuf messages from untrusted bytes, without their classes.

The wire format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a protobuf message."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: its number.
        value: an integer, or the bytes of a text, of a message, or of packed numbers.
        start, end: its bytes in the message, key included.
    """

    number: int
    value: int | memoryview
    start: int
    end: int


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in its order; those of fixed size are left out.

    Raises:
        WireError: a field ends behind the message.
    """
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield Field(number, value, start, position)
            continue
        if kind == _BYTES:
            length, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise WireError(f"unknown kind of field {kind} at byte {start}")
        if position + length > len(message):
            raise WireError(f"field {number} at byte {start} ends behind the message")
        if kind == _BYTES:
            yield Field(number, message[position : position + length], start, position + length)
        position += length


def submessages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The values of the fields of one number that are texts or messages."""
    return (f.value for f in fields(message) if f.number == number and isinstance(f.value, memoryview))


def text(message: memoryview, number: int) -> str:
    """The text in the last field of a number, with replacements for what is no UTF-8; empty without one."""
    found = ""
    for value in submessages(message, number):
        found = bytes(value).decode("utf-8", "replace")
    return found


def integer(message: memoryview, number: int, default: int = 0) -> int:
    """The integer in the last field of a number; `default` if there is none."""
    for field in fields(message):
        if field.number == number and isinstance(field.value, int):
            default = field.value
    return default


def encoded(number: int, value: int | bytes) -> bytes:
    """A field, as bytes."""
    if isinstance(value, int):
        return _encoded_varint(number << 3 | _VARINT) + _encoded_varint(value)
    return _encoded_varint(number << 3 | _BYTES) + _encoded_varint(len(value)) + value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
    raise WireError(f"a number at byte {position} has no end")


def _encoded_varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
