"""Zip archives that others wrote: one reading of them, or an error.

Readers differ in which of two members of one name they take, in where a name leads, and in which of the two
headers of a member they believe. So what has more than one reading is refused, whatever member is asked for:
links, encryption, rare compressions, names that lead out, members that lie on one another, members that
unpack to more than their compression can hold, and what stands before the first or behind the end.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import struct
import weakref
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from edgevision.system.reading import open_file

#: Deflate cannot do better.
_MOST_RATIO = 1032
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_MEMBERS = 5_000_000
_MOST_NAME = 1024
_ENCRYPTED = 0x1 | 0x40
#: Sizes and checksum follow the content, and may be 0 before it.
_SIZES_FOLLOW = 0x8
_UTF_8 = 0x800
#: Before a member: signature, version, flags, method, time, date, checksum, packed size, size, lengths.
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
#: At the end: signature, number and place of disks, entries on this disk and in all, size and place of the
#: list of members, length of the comment.
_END = struct.Struct("<4s4H2IH")
#: Bytes before the end, where the form for large archives has its own end, and then its place; and those from
#: the beginning of that end to the size of the list of members.
_LARGE_END, _LARGE_SIZE = 76, 40
_LONGEST_END = _LARGE_END + _END.size + 0xFFFF
#: Sizes and counts that stand in a larger field elsewhere.
_ELSEWHERE, _MANY = 0xFFFFFFFF, 0xFFFF
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class ArchiveError(ValueError):
    """An archive is damaged, or can be read in more than one way; the message says what is wrong."""


class DamagedArchiveError(ArchiveError):
    """An archive cannot be read at all."""


class StrictZip:
    """A zip archive, all of whose entries were checked when it was opened.

    Args:
        source: its content, or the open file, which must stay open and belongs to the caller.
        prefixed: whether the archive may follow other content in the same file.
        both_headers: whether the two headers of each member are compared, which reads all over the archive.
        most_list_bytes: of the list of members; a longer one is refused before it is read.

    Attributes:
        sizes: name -> unpacked size in bytes, of each file in it, in the archive's order.
        folders: names of the entries that are folders, with ``/`` at their end.

    Raises:
        ArchiveError: as the module says.
    """

    def __init__(
        self,
        source: bytes | IO[bytes],
        *,
        prefixed: bool = False,
        both_headers: bool = True,
        most_list_bytes: int | None = None,
    ) -> None:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with _as_archive_error():
            if most_list_bytes is not None:
                _check_list_size(file, most_list_bytes)
            self._archive = zipfile.ZipFile(file)
            members = self._archive.infolist()
            _check_members(members, prefixed)
            _check_end(file, len(members), len(self._archive.comment))
            if both_headers:
                _check_headers(file, members)
        self._path: str | None = None
        self._both_headers = both_headers
        self._members = {member.filename: member for member in members if not member.is_dir()}
        self.folders = tuple(member.filename for member in members if member.is_dir())
        self.sizes: Mapping[str, int] = {name: member.file_size for name, member in self._members.items()}

    @classmethod
    def at(
        cls, path: str | os.PathLike[str], *, both_headers: bool = True, most_list_bytes: int | None = None
    ) -> StrictZip:
        """The archive in a file, which is open as long as this object lives; arguments as for the class.

        Raises:
            OSError: as `edgevision.system.reading.read_file`.
            ArchiveError: as for the class.
        """
        file = open_file(path)
        try:
            archive = cls(file, both_headers=both_headers, most_list_bytes=most_list_bytes)
        except BaseException:
            file.close()
            raise
        weakref.finalize(archive, file.close)
        archive._path, archive._both_headers = str(Path(path).absolute()), both_headers
        return archive

    def __reduce__(self) -> tuple[Callable[[str], StrictZip], tuple[str]]:
        """Another process opens the same file; what has none cannot be sent there."""
        if self._path is None:
            raise TypeError("an archive that was not opened by its path cannot be sent to another process")
        return partial(StrictZip.at, both_headers=self._both_headers), (self._path,)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """One file, open for reading in parts; what reads it meets `zipfile`'s errors for damaged content."""
        with self._archive.open(self._members[name]) as file:
            yield file

    def read(self, name: str, most_bytes: int) -> bytes:
        """The content of one file.

        Args:
            name: one of `sizes`.
            most_bytes: of the unpacked content.

        Raises:
            ArchiveError: it is missing, larger, or damaged.
        """
        member = self._members.get(name)
        if member is None:
            raise ArchiveError(f"has no file '{name}'")
        if member.file_size > most_bytes:
            raise ArchiveError(f"'{name}' has {member.file_size:,} bytes, expected {most_bytes:,} at most")
        with _as_archive_error(), self._archive.open(member) as file:
            content = file.read(member.file_size + 1)
        if len(content) != member.file_size:
            raise ArchiveError(f"'{name}' has another size than it declares")
        return content


@contextmanager
def _as_archive_error() -> Iterator[None]:
    """One interface for whatever `zipfile` and `zlib` raise for damaged content."""
    try:
        yield
    except ArchiveError:
        raise
    except MemoryError as error:
        raise ArchiveError("does not fit into the memory") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a wrong offset
            raise
        raise DamagedArchiveError(f"is no undamaged zip archive: {error or type(error).__name__}") from error


def _check_members(members: list[zipfile.ZipInfo], prefixed: bool) -> None:
    if len(members) > _MOST_MEMBERS:
        raise ArchiveError(f"has {len(members):,} entries, expected {_MOST_MEMBERS:,} at most")
    names = set()
    folders: set[str] = set()
    for member in members:
        _check_name(member.orig_filename)
        _check_kind(member)
        name = _plain(member.filename)
        if name in names:
            raise ArchiveError(f"contains '{name}' twice, and readers differ in which they take")
        names.add(name)
        parent = name.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    for member in members:
        if not member.is_dir() and _plain(member.filename) in folders:
            raise ArchiveError(f"'{member.filename}' is a file and a folder at once")
    _check_places(members, prefixed)


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _check_name(name: str) -> None:
    parts = name.rstrip("/").split("/")
    if _CONTROL.search(name):
        raise ArchiveError(f"has a name with a control character: {name!a}")
    if len(name) > _MOST_NAME:
        raise ArchiveError(f"has a name of {len(name)} characters, expected {_MOST_NAME} at most")
    if "\\" in name or name[1:3] == ":/" or parts[0] == "" or ".." in parts:
        raise ArchiveError(f"has a file whose name leads out of it: '{name}'")


def _check_kind(member: zipfile.ZipInfo) -> None:
    name = member.filename
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"'{name}' is a link or another special file")
    if member.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"'{name}' is encrypted, which is not supported; unpack the archive")
    if member.compress_type not in _METHODS:
        raise ArchiveError(
            f"'{name}' has an unsupported compression (expected stored or deflate); unpack the archive"
        )
    if member.is_dir() and member.file_size:
        raise ArchiveError(f"'{name}' is a folder with a content of its own")
    if member.file_size > max(member.compress_size, 1) * _MOST_RATIO:
        raise ArchiveError(
            f"'{name}' declares {member.file_size:,} bytes and stores {member.compress_size:,}, which no "
            "compression does"
        )


def _check_places(members: list[zipfile.ZipInfo], prefixed: bool) -> None:
    """Refuse members that share bytes: a few kB of them unpack to terabytes."""
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise ArchiveError(f"'{member.filename}' lies on another file")
        if end == 0 and member.header_offset > 0 and not prefixed:
            raise ArchiveError("begins with other content")
        end = member.header_offset + _LOCAL_HEADER.size + len(member.orig_filename) + member.compress_size


def _check_end(file: IO[bytes], members: int, comment_bytes: int) -> None:
    """Refuse an archive that goes on behind its end, or whose end counts other members than it lists."""
    file.seek(-_END.size - comment_bytes, os.SEEK_END)
    signature, _, _, *counts, _, _, comment = _END.unpack(file.read(_END.size))
    if signature != b"PK\5\6" or comment != comment_bytes:
        raise ArchiveError("goes on behind its end")
    if any(count not in (members, _MANY) for count in counts):
        raise ArchiveError(f"lists {members} entries, and counts {counts[-1]}")


def _check_list_size(file: IO[bytes], most_bytes: int) -> None:
    """Refuse a list of members that would take minutes to read: every 46 bytes of it can be an entry."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_END))
    tail = file.read(_LONGEST_END)
    place = tail.rfind(b"PK\5\6")
    if place < 0:
        return  # told by `zipfile`
    size = int.from_bytes(tail[place + 12 : place + 16], "little")
    large = place - _LARGE_END
    if large >= 0 and tail[large : large + 4] == b"PK\6\6":
        size = max(size % _ELSEWHERE, int.from_bytes(tail[large + _LARGE_SIZE :][:8], "little"))
    if size > most_bytes:
        raise ArchiveError(f"lists its entries in {size:,} bytes, expected {most_bytes:,} at most")


def _check_headers(file: IO[bytes], members: list[zipfile.ZipInfo]) -> None:
    """Refuse members that the header before their content describes otherwise than the list at the end."""
    for member in members:
        file.seek(member.header_offset)
        _, _, flags, method, _, _, *values, _, _ = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        listed = member.CRC, member.compress_size, member.file_size
        unknown = (0, _ELSEWHERE) if flags & _SIZES_FOLLOW else (_ELSEWHERE,)
        same = all(
            value == of_list or value in unknown for value, of_list in zip(values, listed, strict=True)
        )
        differing = (flags ^ member.flag_bits) & (_ENCRYPTED | _SIZES_FOLLOW | _UTF_8)
        if not same or differing or method != member.compress_type:
            raise ArchiveError(f"'{member.filename}' has two headers that differ")
