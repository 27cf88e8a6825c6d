"""The forms of a table of results: Parquet and JSON lines, each part of it one file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol

from edgevision.batching.rows import BatchRow
from edgevision.errors import MissingRuntimeError, OptionError, OutputError
from edgevision.streaming.records import ABSTAINED, FAILED, OK
from edgevision.system.files import OutputState, written_whole
from edgevision.system.reading import MOST_DOCUMENT_BYTES, open_file, read_file
from edgevision.system.shown import shown
from edgevision.system.strict_json import JsonError, read_json

COLUMNS = tuple(one.name for one in fields(BatchRow))
_TIMES = ("read_ms", "decode_ms", "predict_ms")
_SHA256 = re.compile("[0-9a-f]{64}")


class TableForm(Protocol):
    """A form of a part.

    Attributes:
        suffix: of its files.
    """

    @property
    def suffix(self) -> str: ...

    def write(self, path: Path, rows: Sequence[BatchRow]) -> None:
        """Write a part whole, in place of one that is there.

        Raises:
            OutputError: it cannot be written; what is there is unchanged.
        """
        ...

    def read(self, path: Path) -> Iterator[BatchRow]:
        """The rows of a part, in their order.

        Raises:
            OutputError: it cannot be read, or is not such a part.
        """
        ...


class JsonLines:
    """One JSON object per row."""

    suffix = ".jsonl"

    def write(self, path: Path, rows: Sequence[BatchRow]) -> None:
        """As `TableForm.write`."""
        with written_whole(path, OutputState.of(path)) as file:
            for row in rows:
                file.write(
                    json.dumps(asdict(row), ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
                )

    def read(self, path: Path) -> Iterator[BatchRow]:
        """As `TableForm.read`."""
        try:
            lines = read_file(path, MOST_DOCUMENT_BYTES).split(b"\n")
            for line in filter(None, lines):
                yield _row(read_json(line), path)
        except (OSError, JsonError) as error:
            raise _unreadable(path, error) from error


class Parquet:
    """One row per row; the result as JSON text.

    Raises:
        MissingRuntimeError: pyarrow is not installed.
    """

    suffix = ".parquet"

    def __init__(self) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingRuntimeError(
                "parquet", f"pyarrow cannot be imported: {error}; without it, pass --format jsonl"
            ) from error
        self._pyarrow: Any = pyarrow
        text, number = pyarrow.string(), pyarrow.float64()
        kinds = {
            **dict.fromkeys(COLUMNS, text),
            **dict.fromkeys(_TIMES, number),
        }
        self._schema = pyarrow.schema(list({**kinds, "size_bytes": pyarrow.int64()}.items()))

    def write(self, path: Path, rows: Sequence[BatchRow]) -> None:
        """As `TableForm.write`."""
        documents = [{**vars(row), "result": _text_of(row.result)} for row in rows]
        table = self._pyarrow.Table.from_pylist(documents, self._schema)
        with written_whole(path, OutputState.of(path)) as file:
            self._pyarrow.parquet.write_table(table, file)

    def read(self, path: Path) -> Iterator[BatchRow]:
        """As `TableForm.read`."""
        try:
            with open_file(path) as file:
                for batch in self._pyarrow.parquet.ParquetFile(file).iter_batches():
                    for document in batch.to_pylist():
                        text = document.get("result")
                        yield _row({**document, "result": None if text is None else read_json(text)}, path)
        except (OSError, JsonError, self._pyarrow.ArrowException) as error:
            raise _unreadable(path, error) from error


FORMATS = ("parquet", "jsonl")


def table_form(name: str) -> TableForm:
    """The form called `name`.

    Raises:
        OptionError: there is none.
        MissingRuntimeError: a library that it needs is not installed.
    """
    if name == "parquet":
        return Parquet()
    if name == "jsonl":
        return JsonLines()
    raise OptionError(f"format: expected {' or '.join(FORMATS)}, got '{name}'")


def _text_of(result: dict[str, Any] | None) -> str | None:
    # JSON has no NaN: a result that holds one is refused before it comes here.
    return None if result is None else json.dumps(result, ensure_ascii=False, allow_nan=False)


def _row(document: Any, path: Path) -> BatchRow:
    if not isinstance(document, dict) or set(document) != set(COLUMNS):
        raise OutputError(
            f"{path}: not a part of a table of results; expected the columns {', '.join(COLUMNS)}"
        )
    for name, value in document.items():
        if not _holds(name, value):
            raise OutputError(f"{path}: not a part of a table of results: {name} is {shown(value)}")
    return BatchRow(**document)


def _holds(column: str, value: Any) -> bool:
    """True for a value that a column can have."""
    if column == "sha256":
        return value is None or (isinstance(value, str) and _SHA256.fullmatch(value) is not None)
    if column == "status":
        return isinstance(value, str) and value.partition(":")[0] in (OK, FAILED, ABSTAINED)
    if column == "result":
        return value is None or isinstance(value, dict)
    if column == "size_bytes":
        return value is None or type(value) is int
    if column in _TIMES:
        return value is None or type(value) in (int, float)
    return isinstance(value, str)


def _unreadable(path: Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"{path}: cannot be read: {reason}; remove it, and run again: its images are worked on once more"
    )
