"""Messages between a process and its worker: JSON values and arrays, never code and never pickles."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.errors import InferenceError
from edgevision.system.strict_json import read_json
from edgevision.tensors import Array

_SIZE = struct.Struct("<QQ")
_MOST_HEADER_BYTES = 16_000_000
#: Kinds of numpy's dtypes that travel: booleans and numbers.
_KINDS = "biufc"


@dataclass(frozen=True, eq=False)
class Message:
    """A request, or the answer to one.

    Attributes:
        fields: JSON values.
        arrays: name -> array of numbers, of any shape; the receiver may write into it.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)

    def parts(self) -> Iterator[bytes | memoryview]:
        """The message as bytes: two sizes, a header in JSON, and the arrays in its order.

        Raises:
            TypeError: an array holds something else than numbers, or a field is not a JSON value.
        """
        rows, bodies = [], []
        for name, values in self.arrays.items():
            if values.dtype.kind not in _KINDS:
                raise TypeError(f"array '{name}': expected numbers, got {values.dtype}")
            rows.append([name, values.dtype.str, list(values.shape)])
            bodies.append(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
        header = json.dumps({"fields": dict(self.fields), "arrays": rows}).encode()
        yield _SIZE.pack(len(header), sum(map(len, bodies)))
        yield header
        yield from bodies


def incoming(most_bytes: int) -> Generator[int | Message, Any, None]:
    """Read one message, as a generator that is sent bytes: it yields how many it needs next.

    Args:
        most_bytes: the most bytes of all arrays together.

    Yields:
        The number of bytes to send; last, the message.

    Raises:
        InferenceError: the bytes are not a message, or it is larger than allowed.
    """
    header_size, body_size = _SIZE.unpack((yield _SIZE.size))
    if header_size > _MOST_HEADER_BYTES or body_size > most_bytes:
        raise InferenceError(
            f"a message of {header_size + body_size} bytes came from another process; at most "
            f"{_MOST_HEADER_BYTES + most_bytes} are read"
        )
    header = yield header_size
    body = (yield body_size) if body_size else b""
    try:
        document = read_json(header, finite=False)
        arrays, start = {}, 0
        for name, dtype, shape in document["arrays"]:
            kind = np.dtype(str(dtype))
            count = math.prod(map(int, shape))
            if kind.kind not in _KINDS or min(shape, default=0) < 0:
                raise ValueError(f"array '{name}' is {dtype} {shape}")
            arrays[str(name)] = np.frombuffer(body, kind, count, start).reshape(shape)
            start += count * kind.itemsize
        if start != body_size:
            raise ValueError(f"its arrays have {start} bytes of {body_size}")
        yield Message(dict(document["fields"]), arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InferenceError(f"another process sent what is not a message: {error}") from error


def with_artifact(fields: Mapping[str, Any], artifact: Artifact, arrays: Mapping[str, Array]) -> Message:
    """A message that carries an artifact; `artifact_of` reads it."""
    files = {f"file/{name}": np.frombuffer(content, np.uint8) for name, content in artifact.files.items()}
    described = {"format": artifact.format, "precision": artifact.precision, "files": list(artifact.files)}
    return Message({**fields, "artifact": described}, {**files, **arrays})


def artifact_of(message: Message) -> Artifact:
    """The artifact that a message carries."""
    described = message.fields["artifact"]
    files = {name: message.arrays[f"file/{name}"].tobytes() for name in described["files"]}
    return Artifact(described["format"], described["precision"], files)
