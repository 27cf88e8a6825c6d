"""Checks of the files that hold a Keras model: zip archives, and HDF5 files in and beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevision.errors import SourceError, first_line
from edgevision.system.reading import open_file
from edgevision.system.strict_json import read_json
from edgevision.system.strict_zip import StrictZip
from edgevision_keras.libraries import require

#: Deflate, the only compression of HDF5 that is always installed, cannot do better.
_LARGEST_RATIO = 1100
_SMALL_BYTES = 1 << 20
#: Descriptions of models have a few MB; a compressed archive of some kB can hold GBs.
_LARGEST_DESCRIPTION_BYTES = 64 << 20
_DESCRIPTIONS = ("config.json", "metadata.json")


def read_keras_archive(path: Path) -> tuple[Any, str]:
    """The configuration of a ``.keras`` file, and the version of Keras that wrote it.

    Raises:
        SourceError: it cannot be read, has two members of one name, of which readers may take either, has a
            description of over 64 MiB, or its weights are in other files.
    """
    try:
        with open_file(path) as file:
            archive = StrictZip(file)
            _check_descriptions(archive, path)
            config = read_json(archive.read("config.json", _LARGEST_DESCRIPTION_BYTES), finite=False)
            metadata = (
                read_json(archive.read("metadata.json", _LARGEST_DESCRIPTION_BYTES), finite=False)
                if "metadata.json" in archive.sizes
                else {}
            )
            for member in archive.sizes:
                if member.endswith(".h5"):
                    with archive.open(member) as content:
                        _check_hdf5(content, f"{path}: {member}")
    except SourceError:
        raise
    except Exception as error:  # one interface for whatever a damaged file leads to
        raise unreadable(path, "a .keras file as written by model.save('NAME.keras')", error) from error
    return config, str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


def read_h5_attributes(path: Path) -> tuple[str, str]:
    """(configuration of the model in JSON, version of Keras) of an ``.h5`` file; empty where it has none.

    Raises:
        SourceError: it cannot be read, or its weights are in other files.
    """
    h5py = require("h5py")
    try:
        _check_hdf5(path, str(path))
        with h5py.File(path, "r") as file:
            config, version = (_text(file.attrs.get(key, "")) for key in ("model_config", "keras_version"))
            return config, version
    except SourceError:
        raise
    except Exception as error:  # as above
        raise unreadable(path, "an HDF5 file as written by model.save('NAME.h5')", error) from error


def unreadable(path: Path, expected: str, error: Exception) -> SourceError:
    """The error for a file that is damaged."""
    return SourceError(
        f"{path}: cannot be read: {first_line(error)}; expected {expected} (truncated or corrupted?); "
        "save or copy it again"
    )


def _check_descriptions(archive: StrictZip, path: Path) -> None:
    for name in _DESCRIPTIONS:
        size = archive.sizes.get(name, 0)
        if size > _LARGEST_DESCRIPTION_BYTES:
            raise SourceError(
                f"{path}: '{name}' has {size:,} bytes, expected {_LARGEST_DESCRIPTION_BYTES:,} at most; the "
                "file is damaged; save the model again"
            )


def _check_hdf5(file: Any, where: str) -> None:
    """Refuse an HDF5 file with values in other files, or with more values than it can hold.

    Args:
        file: its path, or its open content.
        where: its name, for errors.
    """
    h5py = require("h5py")
    with h5py.File(file, "r") as opened:
        for name, link in _links(h5py, opened):
            if isinstance(link, h5py.ExternalLink):
                raise _elsewhere(where, name, "a link to another file")
        for name, dataset in _datasets(h5py, opened):
            if dataset.external:
                raise _elsewhere(where, name, "stored in another file")
            if dataset.is_virtual:
                raise _elsewhere(where, name, "assembled from other files")
            _check_size(where, name, dataset)


def _links(h5py: Any, opened: Any) -> Iterator[tuple[str, Any]]:
    for name, group in _groups(h5py, opened):
        for key in group:
            yield f"{name}/{key}", group.get(key, getlink=True)


def _datasets(h5py: Any, opened: Any) -> Iterator[tuple[str, Any]]:
    for name, group in _groups(h5py, opened):
        for key in group:
            if isinstance(group.get(key, getlink=True), h5py.HardLink):
                entry = group[key]
                if isinstance(entry, h5py.Dataset):
                    yield f"{name}/{key}", entry


def _groups(h5py: Any, opened: Any) -> Iterator[tuple[str, Any]]:
    """All groups, each once: hard links can form circles, and soft links lead to places in the same file."""
    pending, seen = [("", opened)], set()
    while pending:
        name, group = pending.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        yield name, group
        for key in group:
            hard = isinstance(group.get(key, getlink=True), h5py.HardLink)
            if hard and isinstance(group[key], h5py.Group):
                pending.append((f"{name}/{key}", group[key]))


def _check_size(where: str, name: str, dataset: Any) -> None:
    size, stored = int(dataset.size or 0) * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if size > max(_SMALL_BYTES, stored * _LARGEST_RATIO):
        raise SourceError(
            f"{where}: '{name}' declares {size:,} bytes and stores {stored:,}; the file is damaged; save "
            "it again"
        )


def _elsewhere(where: str, name: str, finding: str) -> SourceError:
    return SourceError(
        f"{where}: '{name}' is {finding}, which would be read into the model; expected a file with all of "
        "its values; save the model again with model.save('NAME.keras')"
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
