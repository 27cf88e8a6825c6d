"""Unpack the data set into folders for `edgevision convert`.

    python unpack.py bccd.zip FOLDER

Writes photos into ``train/`` and ``val/``, their annotations into ``train-voc/`` and ``val-voc/``, and
the classes in the network's order into ``labels.txt``.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

LABELS = ("RBC", "WBC", "Platelets")


def unpack(data: Path, folder: Path) -> None:
    """Write the photos and annotations of both lists."""
    with zipfile.ZipFile(data) as archive:
        for part in ("train", "val"):
            for name in archive.read(f"BCCD/{part}.txt").decode().split():
                _write(folder / part / f"{name}.jpg", archive.read(f"BCCD/JPEGImages/{name}.jpg"))
                _write(folder / f"{part}-voc" / f"{name}.xml", archive.read(f"BCCD/Annotations/{name}.xml"))
    _write(folder / "labels.txt", "".join(f"{label}\n" for label in LABELS).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
