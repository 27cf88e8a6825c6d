"""Read flatbuffers from untrusted bytes.

Only enough to walk from table to table by field numbers. Each offset is checked before it is
followed, and the work is bounded whatever the bytes say: offsets can make a small file look like
a huge one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple, TypeAlias

#: A model of 20,000 operators takes a tenth of these.
MOST_STEPS = 1_000_000


#: Which fields of a table refer to something: number of the field -> the letter in `struct` of what a vector
#: holds (a string is a vector of ``B``), the layout of a table, a list of one layout for a vector of tables,
#: or a union. All other fields are numbers in the table itself.
Layout: TypeAlias = "Mapping[int, str | Layout | list[Layout] | Union]"


class Union(NamedTuple):
    """A table whose layout another field of the same table says.

    Attributes:
        tag: number of that field, a ``uint8``.
        layouts: its value -> the layout; tables of other values hold numbers alone.
    """

    tag: int
    layouts: Mapping[int, Layout]


class DamagedError(ValueError):
    """The bytes are not a valid flatbuffer."""


class Flatbuffer:
    """Read-only access to the tables in `data`; a table is identified by its position.

    Args:
        data: the whole buffer.
        identifier: the four bytes that name the schema.

    Raises:
        DamagedError: by the constructor and every method: an offset leads out of `data`.
    """

    def __init__(self, data: bytes, identifier: bytes) -> None:
        self._data = data
        self._steps_left = MOST_STEPS
        if data[4:8] != identifier:
            raise DamagedError(f"bytes 4 to 8 are not {identifier.decode()}")
        self.root = self._offset(0)

    def check(self, layout: Layout) -> None:
        """Follow every reference to its end: a reader that checks nothing then stays within `data`."""
        self._check_table(self.root, layout)

    def _check_table(self, table: int, layout: Layout) -> None:
        start = table - self._number("i", table)
        layout_size, size = self._read("2H", start)
        if layout_size < 4 or table + size > len(self._data):
            raise DamagedError(f"the table at byte {table} is not within the file")
        places = self._read(f"{layout_size // 2 - 2}H", start + 4)
        if places and max(places) >= size:
            raise DamagedError(f"a field of the table at byte {table} is not in it")
        for field, kind in layout.items():
            if field >= len(places) or not places[field]:
                continue
            position = table + places[field]
            target = self._offset(position)
            if isinstance(kind, str):
                self._check_within(target + 4, _struct(kind).size * self._number("I", target))
            elif isinstance(kind, list):
                count = self._number("I", target)
                offsets = self._read(f"{count}I", target + 4, count)
                for place, offset in enumerate(offsets):
                    self._check_table(target + 4 + 4 * place + offset, kind[0])
            elif isinstance(kind, Union):
                self._check_table(target, kind.layouts.get(self.scalar(table, kind.tag, "B"), {}))
            else:
                self._check_table(target, kind)

    def _check_within(self, start: int, size: int) -> None:
        if start + size > len(self._data):
            raise DamagedError(f"{size} bytes at byte {start} are not within the file's {len(self._data)}")

    def scalar(self, table: int, field: int, kind: str, default: int = 0) -> int:
        """A number, `kind` being its letter in `struct`; `default` if absent."""
        position = self._field(table, field)
        return default if position is None else self._number(kind, position)

    def real(self, table: int, field: int, default: float = 0.0) -> float:
        """A float32; `default` if absent."""
        position = self._field(table, field)
        return default if position is None else float(self._read("f", position)[0])

    def table(self, table: int, field: int) -> int | None:
        """The table that a field refers to; `None` if absent."""
        position = self._field(table, field)
        return None if position is None else self._offset(position)

    def tables(self, table: int, field: int) -> list[int]:
        """The tables of a vector; empty if absent."""
        start, offsets = self._vector(table, field, "I")
        return [start + 4 * place + offset for place, offset in enumerate(offsets)]

    def numbers(self, table: int, field: int, kind: str) -> tuple[Any, ...]:
        """The numbers of a vector; empty if absent."""
        return self._vector(table, field, kind)[1]

    def text(self, table: int, field: int) -> str:
        """A string; empty if absent."""
        try:
            return self.content(table, field).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DamagedError(f"a name is not UTF-8: {error}") from error

    def content(self, table: int, field: int) -> bytes:
        """The bytes of a vector; empty if absent."""
        position = self._field(table, field)
        if position is None:
            return b""
        start = self._offset(position)
        count = self._number("I", start)
        return bytes(self._read(f"{count}s", start + 4, 1 + count // 256)[0])

    def _field(self, table: int, field: int) -> int | None:
        layout = table - self._number("i", table)
        if 4 + 2 * field >= self._number("H", layout):
            return None
        offset = self._number("H", layout + 4 + 2 * field)
        return table + offset if offset else None

    def _vector(self, table: int, field: int, kind: str) -> tuple[int, tuple[Any, ...]]:
        position = self._field(table, field)
        if position is None:
            return 0, ()
        start = self._offset(position)
        count = self._number("I", start)
        return start + 4, self._read(f"{count}{kind}", start + 4, count)

    def _offset(self, position: int) -> int:
        return position + self._number("I", position)

    def _number(self, kind: str, position: int) -> int:
        return self._read(kind, position)[0]  # type: ignore[no-any-return]

    def _read(self, kind: str, position: int, steps: int = 1) -> tuple[Any, ...]:
        layout = _struct(kind)
        if position < 0 or position + layout.size > len(self._data):
            raise DamagedError(f"an offset leads to byte {position}, of {len(self._data)}")
        self._steps_left -= steps
        if self._steps_left < 0:
            raise DamagedError("too many references (a loop?)")
        return layout.unpack_from(self._data, position)


@lru_cache(maxsize=256)
def _struct(kind: str) -> Struct:
    return Struct(f"<{kind}")
