"""The JSON schema of a manifest, with the parts that the tasks of this process's plugins have in it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from edgevision.system.strict_json import read_json
from edgevision.tasks.kind import task_kinds


def manifest_schema() -> dict[str, Any]:
    """The schema of ``manifest.json``: that of the package, and for each task its kind's own part.

    ``edgevision/schemas/manifest.schema.json`` alone takes any description of a plugin's task.
    """
    text = files("edgevision.schemas").joinpath("manifest.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = read_json(text)
    parts = [dict(kind.schema) for _, kind in sorted(task_kinds().items())]
    for part in parts:
        schema["$defs"].update(part.pop("$defs", {}))
    schema["properties"]["task"] = {"oneOf": parts}
    return schema
