"""Images in Parquet files: the bytes of image files in a column, as data sets are published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from edgevision.batching.references import ImageReference
from edgevision.batching.stores import open_remote
from edgevision.errors import InputError, MissingRuntimeError, OptionError
from edgevision.system.reading import open_file

_BYTES = "bytes"
#: Held by the thread that reads a row group: others wait for it, and do not read it as well.
_reading = Lock()


@dataclass(frozen=True)
class TableColumns:
    """Names of the columns of Parquet files.

    Attributes:
        image: with the bytes of image files, or with structs that have them in the field ``bytes``; `None` is
            the only such column.
        name: with the name of each image; `None` names images by the number of their row.
        label: with the class of each image, as text; `None` without.
    """

    image: str | None = None
    name: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class RowPlace:
    """A row of a Parquet file.

    Attributes:
        table: path or URL of the file.
        address: the URL with what is needed to read it; `None` for a file of this machine.
        column: with the bytes.
        group: number of the row group.
        row: number in the group.
        state: of the file when it was listed, so that what is kept of it is not taken for another one's.
    """

    table: str
    address: str | None
    column: str
    group: int
    row: int
    state: tuple[int | None, str]

    def read(self) -> bytes:
        """As `Place.read`; a row group is read once for all its rows."""
        with _reading:
            content = _group(self.table, self.address, self.column, self.group, self.state)[self.row]
        if not isinstance(content, bytes):
            raise InputError(f"{self.table}: row {self.row} of row group {self.group} has no image")
        return content


def table_references(
    table: str, address: str | None, columns: TableColumns, state: tuple[int | None, str]
) -> Iterator[ImageReference]:
    """The images of a Parquet file, one per row, in its order.

    Args:
        table: its absolute path, or its URL without credentials.
        address: the URL as the caller named it; `None` for a file of this machine.
        columns: names of its columns.
        state: size in bytes, and time of the last change or ETag.

    Raises:
        OptionError: a column was not named and cannot be told, or does not exist.
        InputError: the file cannot be read.
        MissingRuntimeError: pyarrow is not installed.
    """
    with closing(_opened(table, address)) as source:
        file = _parquet_file(table, source)
        image = _image_column(table, file.schema_arrow, columns.image)
        others = [name for name in (columns.name, columns.label) if name is not None]
        for name in others:
            if name not in file.schema_arrow.names:
                raise OptionError(
                    f"{table}: no column '{name}'; it has: {', '.join(file.schema_arrow.names)}"
                )
        count = 0
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            found = file.read_row_group(group, columns=others) if others else None
            texts = (
                {name: [str(one) for one in found.column(name).to_pylist()] for name in others}
                if found
                else {}
            )
            for row in range(rows):
                number = str(count)
                name = texts[columns.name][row] if columns.name is not None else number
                yield ImageReference(
                    # The number keeps rows of one name apart.
                    *(f"{table}#{number}" + ("" if columns.name is None else f":{name}"), name),
                    RowPlace(table, address, image, group, row, state),
                    size_bytes=state[0],
                    modified=state[1],
                    label="" if columns.label is None else texts[columns.label][row],
                )
                count += 1


def _image_column(table: str, schema: Any, named: str | None) -> str:
    import pyarrow

    def holds_bytes(kind: Any) -> bool:
        if pyarrow.types.is_struct(kind):
            return any(one.name == _BYTES and holds_bytes(one.type) for one in kind)
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    found = [one.name for one in schema if holds_bytes(one.type)]
    if named is not None:
        if named in found:
            return named
        what = "does not hold bytes" if named in schema.names else "does not exist"
        raise OptionError(
            f"{table}: column '{named}' {what}; columns with bytes: {', '.join(found) or 'none'}"
        )
    if len(found) != 1:
        raise OptionError(
            f"{table}: {len(found)} columns hold bytes ({', '.join(found) or ', '.join(schema.names)}); pass "
            "--image-column NAME"
        )
    return str(found[0])


def _opened(table: str, address: str | None) -> Any:
    if address is not None:
        return open_remote(address)
    try:
        return open_file(table)
    except OSError as error:
        raise InputError(f"{table}: cannot be read: {error.strerror or error}") from error


def _parquet_file(table: str, source: Any) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingRuntimeError("parquet", f"pyarrow cannot be imported: {error}") from error
    try:
        return pyarrow.parquet.ParquetFile(source)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{table}: not a valid Parquet file (truncated or corrupted?): {error}") from error


@lru_cache(maxsize=2)
def _group(
    table: str, address: str | None, column: str, group: int, state: tuple[int | None, str]
) -> list[Any]:
    """The contents of a row group, which is read once for all its rows while the file has this state."""
    import pyarrow

    with closing(_opened(table, address)) as source:
        try:
            values = (
                _parquet_file(table, source).read_row_group(group, columns=[column]).column(0).to_pylist()
            )
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{table}: row group {group} cannot be read: {error}") from error
    return [one.get(_BYTES) if isinstance(one, dict) else one for one in values]
