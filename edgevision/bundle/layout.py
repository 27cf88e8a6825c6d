"""What a bundle looks like from outside: its files' names."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "manifest.json"
LABELS = "labels.txt"
SELFTEST = "selftest.npz"
EVIDENCE = "evidence.json"
PICTURES = "pictures.zip"


def is_bundle(path: Path) -> bool:
    """Whether `path` looks like a bundle: a directory or zip file with a manifest."""
    if path.is_dir():
        return (path / MANIFEST).is_file() or path.suffix == ".evb"
    return path.suffix.lower() in {".zip", ".evb"}
