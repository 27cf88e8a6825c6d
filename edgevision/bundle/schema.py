"""The JSON schema of a manifest, with the parts that the tasks of this process's plugins have in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.system.reading import MOST_SETTINGS_BYTES, read_file
from edgevision.system.strict_json import read_json
from edgevision.tasks.kind import task_kinds

_SCHEMA = Path(__file__).parents[1] / "schemas" / "manifest.schema.json"


def packaged_schema() -> dict[str, Any]:
    """The schema of the package, which takes any description of a plugin's task."""
    schema: dict[str, Any] = read_json(read_file(_SCHEMA, MOST_SETTINGS_BYTES))
    return schema


def manifest_schema() -> dict[str, Any]:
    """The schema of ``manifest.json``: that of the package, and for each task its kind's own part."""
    schema = packaged_schema()
    parts = [dict(kind.schema) for _, kind in sorted(task_kinds().items())]
    for part in parts:
        schema["$defs"].update(part.pop("$defs", {}))
    schema["properties"]["task"] = {"oneOf": parts}
    return schema
