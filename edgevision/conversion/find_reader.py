"""The reader of a trained model: the one that recognises it, or the one that was chosen."""

from __future__ import annotations

from pathlib import Path

from edgevision.converter import ExplainingReader, SourceReader
from edgevision.errors import OptionError, PluginFailedError, SourceError
from edgevision.plugins import Registry


def find_reader(path: Path, plugins: Registry, chosen: str | None = None) -> SourceReader:
    """The reader of a trained model.

    Args:
        path: the model.
        plugins: provide the readers.
        chosen: name of the reader to use; `None` takes the one that recognises the model.

    Raises:
        SourceError: the path does not exist, or no reader recognises it.
        OptionError: several recognise it, and none is chosen.
        PluginError: there is no reader of the name that was chosen.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or directory")
    if not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise SourceError(f"{path}: expected a file or directory; copy the model into a file first")
    if chosen is not None:
        return plugins.reader(chosen)
    readers = plugins.readers()
    try:
        answers = plugins.answers(readers, lambda one: _reads(one, path), "reads")
        reading = [reader for reader, reads in answers if reads]
        if len(reading) > 1:
            names = [reader.name for reader in reading]
            raise OptionError(f"{path}: {' and '.join(names)} read it; pass --reader {' or '.join(names)}")
        if reading:
            return reading[0]
        explaining = {name: one for name, one in readers.items() if isinstance(one, ExplainingReader)}
        for _, explanation in plugins.answers(explaining, lambda one: one.explain(path), "explain"):
            raise SourceError(explanation)
    except OSError as error:
        reason = error.strerror or error
        raise SourceError(f"{path}: cannot be read: {reason}; check its permissions, or copy it") from error
    raise SourceError(
        f"{path}: expected a .keras or .h5 file, or a SavedModel directory"
        + ("" if readers else "; no plugin that reads models is installed")
    )


def _reads(reader: SourceReader, path: Path) -> bool:
    """True if a reader recognises the model; a file that the system refuses is no fault of the reader."""
    try:
        return reader.reads(path)
    except PluginFailedError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        raise
