"""The zip archive that is appended to a TFLite model."""

from __future__ import annotations

import io
import zipfile
import zlib

from edgevision.system.flatbuffer import DamagedError

_MOST_BYTES = 16_000_000

# All that zipfile was seen to raise for damaged archives; KeyError: no file of that name.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    ValueError,
)


def has_member(content: bytes, name: str) -> bool:
    """Return whether an archive is appended to a model and holds a file of that name."""
    if name.encode() not in content:  # an archive keeps names as they are
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return name in archive.namelist()
    except _ZIP_ERRORS:
        return False


def read_text(content: bytes, name: str) -> str:
    """The text of a file in the archive that is appended to a model, without a byte order mark.

    Raises:
        DamagedError: there is no such file, it cannot be read, or there are two that differ.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if member.filename == name]
            if not members:
                archive.getinfo(name)
            texts = {_read(archive, member) for member in members}
            if len(texts) > 1:
                raise ValueError(f"there are {len(texts)} of that name that differ")
            return texts.pop().decode("utf-8-sig")
    except _ZIP_ERRORS as error:
        raise DamagedError(f"file '{name}' cannot be read: {error}") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is compressed, and not by deflate")
    if member.file_size > _MOST_BYTES:
        raise ValueError(f"it has {member.file_size} bytes, more than {_MOST_BYTES}")
    with archive.open(member) as file:
        return file.read(_MOST_BYTES)
