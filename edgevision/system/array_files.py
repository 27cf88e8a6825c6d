"""Arrays in NumPy's files (``.npy``, ``.npz``) that others wrote: checked before anything is allocated."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.system.strict_zip import StrictZip

_MAGIC = b"\x93NUMPY"
_MOST_HEADER_BYTES = 10_000
_MOST_DIMENSIONS = 32
_KINDS = "biuf"


def read_npy(content: bytes) -> NDArray[Any]:
    """The array in the content of a ``.npy`` file: numbers or truth values, owned by the caller.

    Raises:
        ValueError: it is not such a file, holds objects or texts, or has another size than it declares.
    """
    start, header = _header(content)
    try:
        described = ast.literal_eval(header.decode("ascii"))
        dtype, shape = np.dtype(str(described["descr"])), described["shape"]
        by_columns = described["fortran_order"]
    except Exception as error:  # whatever such a header leads to
        raise ValueError("its header cannot be read") from error
    sizes = shape if isinstance(shape, tuple) and len(shape) <= _MOST_DIMENSIONS else (-1,)
    if not all(type(size) is int and size >= 0 for size in sizes) or type(by_columns) is not bool:
        raise ValueError(f"its header declares the shape {shape!r:.80}")
    if dtype.kind not in _KINDS:
        raise ValueError(f"holds {dtype}, expected numbers")
    expected = math.prod(sizes) * dtype.itemsize
    if len(content) - start != expected:
        raise ValueError(f"declares {expected:,} bytes of values and has {len(content) - start:,}")
    values = np.frombuffer(content, dtype, offset=start)
    return np.array(values.reshape(sizes, order="F" if by_columns else "C"))


def read_npz(content: bytes, most_bytes: int) -> Mapping[str, NDArray[Any]]:
    """The arrays in the content of a ``.npz`` file, by name.

    Args:
        content: the file's content.
        most_bytes: of all arrays together.

    Raises:
        ValueError: it is no strict zip of ``.npy`` files, or they are larger.
    """
    archive = StrictZip(content)
    if sum(archive.sizes.values()) > most_bytes:
        raise ValueError(f"unpacks to {sum(archive.sizes.values()):,} bytes, expected {most_bytes:,} at most")
    arrays = {}
    for member in archive.sizes:
        try:
            arrays[member.removesuffix(".npy")] = read_npy(archive.read(member, most_bytes))
        except ValueError as error:
            raise ValueError(f"'{member}': {error}") from error
    return arrays


def _header(content: bytes) -> tuple[int, bytes]:
    """Where the values begin, and the text that describes them."""
    width = {1: 2, 2: 4, 3: 4}.get(content[6] if len(content) > 10 else 0)
    if not content.startswith(_MAGIC) or width is None:
        raise ValueError("is not an array as written by numpy.save")
    length = int.from_bytes(content[8 : 8 + width], "little")
    if length > _MOST_HEADER_BYTES or 8 + width + length > len(content):
        raise ValueError(f"its header has {length:,} bytes")
    return 8 + width + length, content[8 + width : 8 + width + length]
