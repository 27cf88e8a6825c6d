"""JSON files that users hand over, such as annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.errors import InputError
from edgevision.system.reading import read_file
from edgevision.system.strict_json import JsonError, read_json


def json_document(path: str | Path, most_bytes: int) -> Any:
    """The value in a JSON file, as `edgevision.system.strict_json.read_json` reads it.

    Raises:
        InputError: it cannot be read, has more bytes, or is not valid JSON.
    """
    try:
        return read_json(read_file(path, most_bytes))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except JsonError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error
