"""The parts of the manifest's schema that describe the built-in tasks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from edgevision.system.strict_json import read_json


def schema_of(reference: str) -> Mapping[str, Any]:
    """A part of ``manifest.schema.json``, with the definitions that it refers to.

    Args:
        reference: name of one of its definitions.
    """
    text = files("edgevision.schemas").joinpath("manifest.schema.json").read_text(encoding="utf-8")
    definitions: dict[str, Any] = read_json(text)["$defs"]
    return {"$ref": f"#/$defs/{reference}", "$defs": definitions}
