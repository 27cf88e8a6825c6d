"""The parts of the manifest's schema that describe the built-in tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevision.bundle.schema import packaged_schema


def schema_of(reference: str) -> Mapping[str, Any]:
    """A part of ``manifest.schema.json``, with the definitions that it refers to.

    Args:
        reference: name of one of its definitions.
    """
    return {"$ref": f"#/$defs/{reference}", "$defs": packaged_schema()["$defs"]}
