"""Images behind URLs: object storage such as S3, and whatever else fsspec has a package for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from edgevision.batching.references import ImageReference
from edgevision.batching.stores import RemotePlace, store_of, unreadable, uri_of
from edgevision.batching.tables_of_images import TableColumns, table_references
from edgevision.errors import InputError, OptionError, PluginError
from edgevision.imaging.find import SUFFIXES, LeftOut, reason_of

#: What changes with the content, as the stores call it, the surest first.
_VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")


def remote_references(
    address: str, columns: TableColumns, left_out: list[LeftOut]
) -> Iterator[ImageReference]:
    """The images below a URL: of one object, of a folder or bucket, or of what matches a pattern.

    Args:
        address: such as ``s3://bucket/folder``.
        columns: of Parquet files.
        left_out: files that are not used are added.

    Raises:
        InputError: it cannot be listed, or nothing is there.
        OptionError: no file system of this name is known.
        PluginError: fsspec, or its package for this store, is not installed.
    """
    files, root = store_of(address)
    scheme = address.partition("://")[0]
    try:
        files.invalidate_cache()  # it may hold a listing of an earlier run in this process
        for path, facts in _listed(files, root):
            name, suffix = PurePosixPath(path).name, PurePosixPath(path).suffix.lower()
            if name.startswith("."):
                continue
            full = path if "://" in path else f"{scheme}://{path}"
            uri = uri_of(full)
            state = facts.get("size"), _version(facts)
            if suffix == ".parquet":
                yield from table_references(uri, full, columns, state)
            elif suffix in SUFFIXES:
                inside = path[len(root) :].lstrip("/") if path.startswith(root) else path
                yield ImageReference(uri, inside or name, RemotePlace(full, state[0]), None, *state)
            else:
                left_out.append(LeftOut(Path(uri), reason_of(name)))
    except (InputError, OptionError, PluginError):
        raise
    except Exception as error:
        raise unreadable(address, error) from error


def remote_reference(address: str) -> ImageReference:
    """One object that a list names; what is wrong with it is told when it is read."""
    uri = uri_of(address)
    try:
        files, path = store_of(address)
        files.invalidate_cache()  # as above
        facts = files.info(path)
    except (OptionError, PluginError):
        raise
    except Exception:  # told when it is read
        facts = {}
    return ImageReference(
        uri,
        uri.partition("://")[2],
        RemotePlace(address, facts.get("size")),
        None,
        facts.get("size"),
        _version(facts),
    )


def _listed(files: Any, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and facts of each object, sorted within each folder; one folder is in memory at a time."""
    # In a web address `?` begins the query.
    if any(mark in root for mark in ("*[" if root.startswith("http") else "*?[")):
        found = files.glob(root, detail=True)
        yield from (
            (path, facts) for path, facts in sorted(found.items()) if facts.get("type") != "directory"
        )
        return
    if files.isfile(root):
        yield root, files.info(root)
        return
    entries = sorted(files.ls(root, detail=True, refresh=True), key=lambda one: str(one["name"]))
    for facts in entries:
        path = str(facts["name"])
        if facts.get("type") != "directory":
            if path.rstrip("/") != root.rstrip("/"):  # the empty object that stands for a folder
                yield path, facts
        elif not PurePosixPath(path).name.startswith("."):
            yield from _listed(files, path.rstrip("/"))


def _version(facts: dict[str, Any]) -> str:
    return next((str(facts[key]).strip('"') for key in _VERSIONS if facts.get(key)), "")
