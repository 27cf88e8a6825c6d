"""Write flatbuffers table by table, by field numbers: for schemas whose classes no package has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

#: Kind of a field -> the builder's method that writes it into a table, and its default.
_FIELDS = {
    "byte": ("PrependInt8Slot", 0),
    "ubyte": ("PrependUint8Slot", 0),
    "bool": ("PrependBoolSlot", False),
    "int": ("PrependInt32Slot", 0),
    "uint": ("PrependUint32Slot", 0),
    "float": ("PrependFloat32Slot", 0.0),
    "offset": ("PrependUOffsetTRelativeSlot", 0),
}
_ELEMENTS = {
    "float": ("PrependFloat32", 4),
    "uint": ("PrependUint32", 4),
    "offset": ("PrependUOffsetTRelative", 4),
}

#: A field: its number, its kind, and its value. Offsets come from the methods of `Tables`.
Field = tuple[int, str, Any]


class Tables:
    """A flatbuffer in the making. Inner tables are written before those that refer to them."""

    def __init__(self) -> None:
        import flatbuffers  # installed with LiteRT and with TensorFlow

        self._builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        """Write a string."""
        return int(self._builder.CreateString(value))

    def vector(self, kind: str, values: Sequence[Any]) -> int:
        """Write a vector of numbers, or of tables (kind ``offset``)."""
        method, size = _ELEMENTS[kind]
        self._builder.StartVector(size, len(values), size)
        prepend: Callable[[Any], None] = getattr(self._builder, method)
        for value in reversed(values):
            prepend(value)
        return int(self._builder.EndVector())

    def aligned_bytes(self, content: bytes, alignment: int) -> int:
        """Write a vector of bytes whose first is at a multiple of `alignment`."""
        self._builder.StartVector(1, len(content), alignment)
        for value in reversed(content):
            self._builder.PrependByte(value)
        return int(self._builder.EndVector())

    def table(self, *fields: Field) -> int:
        """Write a table."""
        self._builder.StartObject(max((number for number, _, _ in fields), default=-1) + 1)
        for number, kind, value in fields:
            method, default = _FIELDS[kind]
            getattr(self._builder, method)(number, value, default)
        return int(self._builder.EndObject())

    def finish(self, root: int, identifier: bytes) -> bytes:
        """The buffer whose root is a table."""
        self._builder.Finish(root, identifier)
        return bytes(self._builder.Output())
