"""A writer of flatbuffers by field numbers, by Google's own library."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np


class Table(dict[int, Any]):
    """Field number -> value: text, bytes, a number with its kind, a table, or a list of these."""


def write(builder: flatbuffers.Builder, value: Any) -> Any:
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        return builder.CreateByteVector(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, list):
        return write_tables(builder, value)
    return write_table(builder, value)


def write_tables(builder: flatbuffers.Builder, tables: list[Table]) -> Any:
    offsets = [write_table(builder, table) for table in tables]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def write_table(builder: flatbuffers.Builder, table: Table) -> Any:
    scalars = {int: "Int32", float: "Float32", np.uint8: "Uint8", np.int8: "Int8", np.uint32: "Uint32"}
    offsets = {f: write(builder, v) for f, v in table.items() if type(v) not in scalars}
    builder.StartObject(max(table, default=-1) + 1)
    for number, value in table.items():
        if number in offsets:
            builder.PrependUOffsetTRelativeSlot(number, offsets[number], 0)
        else:
            getattr(builder, f"Prepend{scalars[type(value)]}Slot")(number, value, 0)
    return builder.EndObject()


def flatbuffer(root: Table, identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(write_table(builder, root), file_identifier=identifier)
    return bytes(builder.Output())


def ints(*values: int) -> Any:
    return np.array(values, np.int32)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)
