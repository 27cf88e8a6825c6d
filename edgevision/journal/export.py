"""A journal in the forms of other programs: JSON lines, Parquet, and MCAP.

Each writes to an open file, and returns the number of rows. Frames are left out unless they are asked for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO

from edgevision.errors import JournalError, MissingRuntimeError
from edgevision.journal.reader import JournalReader, JournalRow

#: Writes a journal: reader, file, and whether with frames.
Export = Callable[[JournalReader, BinaryIO, bool], int]
#: Rows of a group in a Parquet file; with frames few, for they are in memory at once.
_GROUP, _GROUP_WITH_FRAMES = 10_000, 64


def write_jsonl(journal: JournalReader, file: BinaryIO, frames: bool) -> int:
    """One JSON object per row: its fields, its ``hash``, and in ``frame_content`` a kept frame in base64."""
    count = 0
    for row in journal:
        document = {**row.document, "hash": row.digest}
        content = _content(journal, row) if frames else None
        if content is not None:
            document["frame_content"] = base64.b64encode(content).decode("ascii")
        file.write(json.dumps(document, ensure_ascii=False).encode("utf-8") + b"\n")
        count += 1
    return count


def write_parquet(journal: JournalReader, file: BinaryIO, frames: bool) -> int:
    """One flat row per row; result, times and all else as JSON text; a kept frame as its PNG or npy file.

    Raises:
        MissingRuntimeError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingRuntimeError("parquet", f"pyarrow cannot be imported: {error}") from error
    text, number = pyarrow.string(), pyarrow.int64()
    kinds: dict[str, Any] = dict.fromkeys(_flat(_EMPTY), text)
    kinds |= {"seq": number, "monotonic_ns": number, "at": pyarrow.timestamp("us", tz="UTC")}
    if frames:
        kinds["frame_content"] = pyarrow.binary()
    schema = pyarrow.schema(list(kinds.items()))
    pending: list[dict[str, Any]] = []
    count = 0
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for row in journal:
            flat = {**_flat(row), "at": datetime.fromisoformat(row.at)}
            if frames:
                flat["frame_content"] = _content(journal, row)
            pending.append(flat)
            count += 1
            if len(pending) >= (_GROUP_WITH_FRAMES if frames else _GROUP):
                writer.write_table(pyarrow.Table.from_pylist(pending, schema))
                pending = []
        if pending:
            writer.write_table(pyarrow.Table.from_pylist(pending, schema))
    return count


def write_mcap(journal: JournalReader, file: BinaryIO, frames: bool) -> int:
    """Rows as JSON messages of ``/edgevision/journal``; kept PNG frames as images of ``/edgevision/frames``.

    Raises:
        MissingRuntimeError: the library mcap is not installed.
    """
    try:
        from mcap.writer import Writer
    except ImportError as error:
        raise MissingRuntimeError("mcap", f"mcap cannot be imported: {error}") from error
    writer: Any = Writer(file)
    writer.start(library="edgevision")
    schema = json.dumps({"type": "object"}).encode()
    rows = _channel(writer, "edgevision.JournalRow", schema, "/edgevision/journal")
    images = (
        _channel(writer, "foxglove.CompressedImage", _IMAGE_SCHEMA, "/edgevision/frames") if frames else 0
    )
    count = 0
    for row in journal:
        at_ns = _wall_ns(row)
        document = {**row.document, "hash": row.digest}
        data = json.dumps(document, ensure_ascii=False).encode("utf-8")
        writer.add_message(rows, at_ns, data, at_ns, row.seq)
        content = _content(journal, row) if frames else None
        if content is not None and row.document["frame"]["kept"]["form"] == "png":
            stamp = {"sec": at_ns // 10**9, "nsec": at_ns % 10**9}
            encoded = base64.b64encode(content).decode("ascii")
            image = {"timestamp": stamp, "frame_id": "camera", "format": "png", "data": encoded}
            writer.add_message(images, at_ns, json.dumps(image).encode(), at_ns, row.seq)
        count += 1
    writer.finish()
    return count


#: Suffix of the file -> what writes it.
FORMS: dict[str, Export] = {".jsonl": write_jsonl, ".parquet": write_parquet, ".mcap": write_mcap}

#: Of foxglove's schemas, the part that is written here.
_IMAGE_SCHEMA = json.dumps(
    {
        "title": "foxglove.CompressedImage",
        "type": "object",
        "properties": {
            "timestamp": {
                "type": "object",
                "title": "time",
                "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}},
            },
            "frame_id": {"type": "string"},
            "data": {"type": "string", "contentEncoding": "base64"},
            "format": {"type": "string"},
        },
    }
).encode()
_EMPTY = JournalRow(0, "", "", {}, "")


def _channel(writer: Any, name: str, schema: bytes, topic: str) -> int:
    number = writer.register_schema(name=name, encoding="jsonschema", data=schema)
    return int(writer.register_channel(schema_id=number, topic=topic, message_encoding="json"))


def _flat(row: JournalRow) -> dict[str, Any]:
    """The columns of a row."""
    document = row.document
    answer, frame = document.get("answer") or {}, document.get("frame") or {}
    versions = document.get("versions") or {}
    others = {name: value for name, value in answer.items() if name not in ("result", "times_ms")}
    return {
        "seq": row.seq,
        "at": row.at,
        "monotonic_ns": document.get("monotonic_ns"),
        "kind": row.kind,
        **{
            name: document.get(name) for name in ("status", "backend", "device", "precision", "bundle_digest")
        },
        "edgevision": versions.get("edgevision"),
        "runtime": versions.get("runtime"),
        "frame_sha256": frame.get("sha256"),
        "frame": _json(frame),
        "result": _json(answer.get("result")),
        "times_ms": _json(answer.get("times_ms")),
        "facts": _json(others),
        "hash": row.digest,
    }


def _json(value: Any) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value else None


def _content(journal: JournalReader, row: JournalRow) -> bytes | None:
    return journal.frame_content(row.seq) if row.frame_is_kept else None


def _wall_ns(row: JournalRow) -> int:
    try:
        at = datetime.fromisoformat(row.at)
    except ValueError as error:
        raise JournalError(f"row {row.seq}: its time cannot be read (altered?)") from error
    return int(at.timestamp()) * 10**9 + at.microsecond * 1000
