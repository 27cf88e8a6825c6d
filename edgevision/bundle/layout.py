"""The layout of a bundle: the names of its files."""

from __future__ import annotations

from pathlib import Path

from edgevision.system import bundle_name

MANIFEST = bundle_name.MANIFEST
LABELS = "labels.txt"
SELFTEST = "selftest.npz"
EVIDENCE = "evidence.json"
PICTURES = "pictures.zip"
#: Where others' tools look for it, too.
SIGNATURE = "model.sig"
#: In the environment: the files of those who must have signed every model that runs on this machine.
TRUST_VARIABLE = "EDGEVISION_TRUST"


def is_bundle(path: str | Path) -> bool:
    """True if `path` is a directory with a manifest, or is named as a bundle or a zip file."""
    path = Path(path)
    if path.is_dir():
        return (path / MANIFEST).is_file() or path.suffix == bundle_name.BUNDLE_SUFFIX
    return path.suffix.lower() in {".zip", bundle_name.BUNDLE_SUFFIX}
