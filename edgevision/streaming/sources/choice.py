"""Which kind of source opens what the caller passed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from edgevision.errors import EdgeVisionError, OptionError, StreamError, first_line
from edgevision.frame_source import FrameReader, FrameSource, SourceSettings
from edgevision.plugins import registry
from edgevision.system.credentials import without_credentials
from edgevision.system.shown import shown


def source_of(source: Any) -> FrameSource:
    """The first kind of source that recognises `source`.

    Raises:
        OptionError: none does; lists what is accepted.
    """
    kinds, source = registry().frame_sources(), unaddressed(source)
    for kind in kinds.values():
        with suppress(Exception):  # of a path that the system refuses, or of the caller's own class
            if kind.recognises(source):
                return kind
    accepted = "; ".join(kind.accepts for kind in kinds.values())
    given = without_credentials(source) if isinstance(source, str) else shown(source)
    raise OptionError(f"source: cannot be streamed: {given}; expected one of: {accepted}")


def open_reader(source: Any, settings: SourceSettings) -> FrameReader:
    """Open a source; whatever a plugin raises becomes an error that names it, without credentials.

    Raises:
        StreamError: it cannot be opened.
        MissingRuntimeError: a library that it needs is not installed.
    """
    kind, source = source_of(source), unaddressed(source)
    try:
        return kind.open(source, settings)
    except EdgeVisionError:
        raise
    except Exception as error:  # of a library, or of a third party's plugin
        told = without_credentials(f"{shown(source)}: {type(error).__name__}: {first_line(error)}")
        raise StreamError(f"source '{kind.name}' failed to open {told}") from None


def unaddressed(source: Any) -> Any:
    """The path of a ``file://`` address, as file managers copy it; any other source as it is."""
    if not isinstance(source, str) or not source.lower().startswith("file://"):
        return source
    parts = urlsplit(source)
    return unquote(parts.path) if parts.netloc in ("", "localhost") else source
