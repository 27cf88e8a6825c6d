"""One image of a batch, before it is read: where its bytes are, and what says that they have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from edgevision.datasets.image_sets import MOST_MEMBER_BYTES
from edgevision.errors import InputError
from edgevision.imaging.decode import read_bytes
from edgevision.imaging.find import content_of_frames
from edgevision.system.shown import encodable
from edgevision.system.strict_zip import ArchiveError, StrictZip


class Place(Protocol):
    """Where the bytes of an image are. It can be pickled: another process reads them."""

    def read(self) -> bytes:
        """The content of the image's file.

        Raises:
            InputError: it cannot be read.
        """
        ...


@dataclass(frozen=True)
class ImageReference:
    """One image of a batch.

    Attributes:
        uri: what identifies it in the table of results: an absolute path or URL; of a file with several
            images with ``#`` and its number; of a member of an archive or a row of a table with ``#`` and its
            name. Bytes of it that are not UTF-8 are escaped.
        name: its name in the source, with ``/`` between folders: for classes and annotations.
        place: reads its bytes.
        frame: number of the image in a file with several; else `None`.
        size_bytes: of the file that it is in; `None` if unknown.
        modified: time of the last change in ns, or ETag, of that file; empty if unknown.
        known_sha256: of the bytes that there is a result about already; empty if there is none.
        label: name of its class, where the source says it; else empty.
    """

    uri: str
    name: str
    place: Place = field(repr=False)
    frame: int | None = None
    size_bytes: int | None = None
    modified: str = ""
    known_sha256: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", encodable(self.uri))

    @property
    def stamp(self) -> str:
        """Size and time of the last change, or ETag, in one text; empty if one of them is unknown."""
        return "" if self.size_bytes is None or not self.modified else f"{self.size_bytes} {self.modified}"


@dataclass(frozen=True)
class FilePlace:
    """A file of this machine, or of a disk that all machines share."""

    path: str
    has_frames: bool = False

    def read(self) -> bytes:
        """As `Place.read`."""
        return content_of_frames(Path(self.path)) if self.has_frames else read_bytes(Path(self.path))


@dataclass(frozen=True)
class MemberPlace:
    """A member of a zip archive."""

    archive: str
    member: str

    def read(self) -> bytes:
        """As `Place.read`."""
        where = f"{self.archive}: {self.member}"
        try:
            state = Path(self.archive).stat()
            return _archive(self.archive, state.st_mtime_ns).read(self.member, MOST_MEMBER_BYTES)
        except (ArchiveError, OSError) as error:
            raise InputError(f"{where}: the archive is damaged: {error}") from error


@dataclass(frozen=True)
class MissingPlace:
    """An image that was listed, and cannot be read: its result says why."""

    reason: str

    def read(self) -> bytes:
        """Raise the reason."""
        raise InputError(self.reason)


@lru_cache(maxsize=4)
def _archive(path: str, mtime_ns: int) -> StrictZip:
    return StrictZip.at(path, both_headers=False)
