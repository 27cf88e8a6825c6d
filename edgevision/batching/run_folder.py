"""The folder of a batch: for one process at a time, and for one bundle with one choice of settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevision._version import __version__
from edgevision.errors import OptionError, OutputError
from edgevision.system.files import FileLock, make_folder, write_file
from edgevision.system.machine import now
from edgevision.system.reading import MOST_DOCUMENT_BYTES, read_file
from edgevision.system.strict_json import JsonError, read_json

MANIFEST = "_batch.json"
_LOCK = "_batch"
#: What a folder has before its first result.
_OF_THE_FOLDER = (MANIFEST, f"{_LOCK}-lock")
SCHEMA = 1


class RunFolder:
    """A folder that one run after the other goes on with, until all is there; a context manager.

    ``_batch.json`` states what its files are about. Programs that read folders of Parquet, such as pandas and
    DuckDB, pass over names that begin with an underscore.

    Args:
        path: the folder; created if it does not exist.
        facts: JSON values of what decides its content: digest of the bundle, settings.

    Attributes:
        path: the folder.

    Raises:
        OutputError: it has something else, or another process writes to it.
        OptionError: its files are about another bundle or other settings.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self._facts = json.loads(json.dumps(facts))
        make_folder(path)
        self._lock = _lock(path)
        try:
            self._started = self._opened()
            self._write("running", {})
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def complete(self, facts: Mapping[str, Any]) -> None:
        """State that all is there.

        Args:
            facts: JSON values about the run.

        Raises:
            OutputError: it cannot be written.
        """
        self._write("complete", {"finished": now(), **facts})

    def _opened(self) -> str:
        """Check what is in the folder, and return when it was begun."""
        path = self.path / MANIFEST
        if not path.exists():
            others = sorted(one.name for one in self.path.iterdir() if not one.name.startswith(("_", ".")))
            if others:
                raise OutputError(
                    f"{self.path}: has files that are not results of a batch ({', '.join(others[:3])}); "
                    "choose an empty folder"
                )
            return now()
        try:
            document = read_json(read_file(path, MOST_DOCUMENT_BYTES))
            started, facts, version = str(document["started"]), document["facts"], document["schema_version"]
            is_newer = version > SCHEMA
            named = list(dict.fromkeys([*self._facts, *facts.keys()]))  # the content first
        except (OSError, JsonError, KeyError, TypeError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{path}: cannot be read: {reason}; choose another folder") from error
        if is_newer:
            raise OutputError(f"{path}: a newer edgevision wrote it; run: pip install -U edgevision")
        if all(one.name in _OF_THE_FOLDER for one in self.path.iterdir()):
            return now()  # the earlier run ended before its first result
        for name in named:
            if facts.get(name) != self._facts.get(name):
                raise OptionError(
                    f"{self.path}: has results with {name.replace('_', ' ')} {_words(facts.get(name))}, and "
                    f"this run has {_words(self._facts.get(name))}; choose another folder"
                )
        return started

    def _write(self, state: str, facts: Mapping[str, Any]) -> None:
        document = {
            "schema_version": SCHEMA,
            "edgevision": __version__,
            "state": state,
            "started": self._started,
            "facts": self._facts,
            **facts,
        }
        write_file(self.path / MANIFEST, json.dumps(document, indent=2).encode() + b"\n")


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _lock(folder: Path) -> FileLock:
    try:
        return FileLock(folder / _LOCK)
    except BlockingIOError as error:
        raise OutputError(
            f"{folder}: another process writes results there; wait for it, or choose another folder"
        ) from error
