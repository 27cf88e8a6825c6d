"""The zip archive that is appended to a TFLite model.

Most files have none, and are loaded without the modules that read one.
"""

from __future__ import annotations

from edgevision.system.flatbuffer import DamagedError

_MOST_BYTES = 16_000_000


def has_member(content: bytes, name: str) -> bool:
    """Return whether an archive is appended to a model and holds a file of that name."""
    if name.encode() not in content:  # an archive keeps names as they are
        return False
    from edgevision.system.strict_zip import ArchiveError, DamagedArchiveError, StrictZip

    try:
        return name in StrictZip(content, prefixed=True).sizes
    except DamagedArchiveError:  # bytes of the model that look like the name
        return False
    except ArchiveError:  # told by who reads it
        return True


def read_text(content: bytes, name: str) -> str:
    """The text of a file in the archive that is appended to a model, without a byte order mark.

    Raises:
        DamagedError: there is no such file, it cannot be read, or the archive can be read in two ways.
    """
    from edgevision.system.strict_zip import StrictZip

    try:
        return StrictZip(content, prefixed=True).read(name, _MOST_BYTES).decode("utf-8-sig")
    except ValueError as error:
        raise DamagedError(f"file '{name}' cannot be read: {error}") from error
