"""Settings of decoders that stand in files of their own, such as the anchors of a detector."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from edgevision.errors import OptionError
from edgevision.system.arguments import one_path
from edgevision.system.reading import read_file
from edgevision.system.shown import shown
from edgevision.system.strict_json import JsonError, read_json

#: A manifest holds the settings as text, and may have 16 MB.
_MOST_NUMBERS = 400_000
_LARGEST_BYTES = 8_000_000
#: Digits that tell any two float32 numbers apart.
_DIGITS = 9


def read_setting_files(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON values, with the content of the file in place of each `Path`.

    Args:
        settings: name -> JSON value, array, or the path of a ``.npy`` file with an array of numbers or of a
            ``.json`` file.

    Raises:
        OptionError: `settings` is no mapping, or a file is missing, damaged, too large, or of another kind.
    """
    if not isinstance(settings, Mapping):
        raise OptionError(f"decoder_settings: expected a dictionary, got {shown(settings)}")
    return {
        name: _content(name, value) if isinstance(value, os.PathLike) else value
        for name, value in settings.items()
    }


def _content(name: str, file: os.PathLike[str]) -> Any:
    path = one_path(file, f"decoder setting '{name}'")
    where = f"decoder setting '{name}': {path}"
    readers = {".npy": _array, ".json": _json}
    if path.suffix.lower() not in readers:
        raise OptionError(f"{where}: expected a .npy or .json file")
    try:
        content = read_file(path, _LARGEST_BYTES)
    except OSError as error:
        raise OptionError(f"{where}: cannot be read: {error.strerror or error}") from error
    return readers[path.suffix.lower()](content, where)


def _array(content: bytes, where: str) -> Any:
    import numpy as np

    from edgevision.system.array_files import read_npy

    try:
        values = read_npy(content)
    except ValueError as error:
        raise OptionError(f"{where}: expected an array as written by numpy.save: {error}") from error
    if values.dtype.kind not in "fiu" or values.size > _MOST_NUMBERS:
        raise OptionError(
            f"{where}: expected up to {_MOST_NUMBERS} numbers, found {values.dtype} {values.shape}"
        )
    if not np.isfinite(values).all():
        raise OptionError(f"{where}: contains NaN or infinity; expected finite numbers")
    if (
        values.dtype.kind == "f" and values.dtype.itemsize <= 4
    ):  # as float64 they would be twice as long in text
        short = [float(f"{value:.{_DIGITS}g}") for value in values.ravel().tolist()]
        return np.reshape(np.array(short, np.float64), values.shape).tolist()
    return values.tolist()


def _json(content: bytes, where: str) -> Any:
    try:
        return read_json(content)
    except JsonError as error:
        raise OptionError(f"{where}: expected JSON: {error}") from error
