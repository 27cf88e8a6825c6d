"""Pictures of what artifacts do otherwise than their source: a bundle keeps them for its report.

They lie in one archive of JPEG and PNG files, which any file manager opens; ``index.json`` in it
says what each of them shows.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.errors import BundleError

#: What a picture may show beside what an artifact makes, whose id stands there then.
INPUT, TRUTH, SOURCE = "input", "truth", "source"
#: Of all pictures of a bundle together; one that is read may be so large.
MOST_BYTES = 1_000_000
_INDEX = "index.json"
_MOST_PICTURES = 10_000
_SUFFIXES = {b"\xff\xd8\xff": "jpg", b"\x89PN": "png"}


@dataclass(frozen=True)
class Picture:
    """One picture of an image of the evaluation set, or of what a model makes of it.

    Attributes:
        image: name of the image in the set.
        shows: ``input``: the image itself; ``truth``: what is true of it or should be made of it;
            ``source``, or the id of an artifact: what that finds in it or makes of it.
        content: a JPEG or PNG file.
    """

    image: str
    shows: str
    content: bytes

    @property
    def suffix(self) -> str:
        """``jpg`` or ``png``."""
        return _SUFFIXES[self.content[:3]]


def write_pictures(pictures: Sequence[Picture]) -> bytes:
    """The content of ``pictures.zip``: the same pictures give the same bytes."""
    file = io.BytesIO()
    index = []
    with zipfile.ZipFile(file, "w") as archive:
        for number, one in enumerate(pictures):
            name = f"{number + 1:03d}.{one.suffix}"
            # A date of its own, for a file that is made twice is the same file.
            archive.writestr(zipfile.ZipInfo(name), one.content)
            index.append({"file": name, "image": one.image, "shows": one.shows})
        archive.writestr(zipfile.ZipInfo(_INDEX), json.dumps(index, indent=1))
    return file.getvalue()


def read_pictures(content: bytes, where: str) -> tuple[Picture, ...]:
    """What `write_pictures` gave.

    Args:
        content: of the archive.
        where: the file, for errors.

    Raises:
        BundleError: it is no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            index = json.loads(_member(archive, _INDEX))[:_MOST_PICTURES]
            pictures = tuple(
                Picture(str(row["image"]), str(row["shows"]), _member(archive, row["file"])) for row in index
            )
        for one in pictures:
            _ = one.suffix
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        raise BundleError(f"{where}: is no archive of pictures: {error}; convert again") from error
    return pictures


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError(f"'{name}' unpacks to more than {MOST_BYTES} bytes")
    return archive.read(name)
