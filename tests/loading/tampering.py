"""Bundles whose content was changed, with digests that fit it: damage that only their answers show."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edgevision.bundle.manifest import Manifest
from edgevision.bundle.storage import file_entry, read_bundle, write_bundle
from tiny_bundles import DATA


def crashing() -> bytes:
    """A valid container round a nonsense graph, at which LiteRT crashes: tiny.tflite with another number."""
    content = bytearray((DATA / "tiny.tflite").read_bytes())
    content[1312:1316] = struct.pack("<i", 8)
    return bytes(content)


def tampered(
    bundle: Path, path: Path, change: Callable[[Manifest], Manifest] | None = None, **files: bytes
) -> Path:
    """A copy of a bundle with other files or another manifest, whose digests were mended."""
    opened = read_bundle(bundle)
    contents = {entry.path: opened.read(entry) for entry in opened.manifest.files()}
    contents |= {name.replace("__", "/").replace("_dot_", "."): data for name, data in files.items()}
    manifest = opened.manifest
    entries = tuple(
        replace(one, files=tuple(file_entry(file.path, contents[file.path]) for file in one.files))
        for one in manifest.artifacts
    )
    labels = file_entry("labels.txt", contents["labels.txt"])
    manifest = replace(manifest, artifacts=entries, labels=labels)
    write_bundle(path, manifest if change is None else change(manifest), contents)
    return path
