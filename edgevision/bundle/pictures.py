"""Pictures of images for which an artifact differs from its source: a bundle keeps them for its report.

They are JPEG and PNG files in one zip archive, which any file manager opens; its ``index.json`` lists
what each of them shows.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.errors import BundleError
from edgevision.system.strict_json import read_json
from edgevision.system.strict_zip import StrictZip

#: What a picture shows, if it is not the result of an artifact: then it is the artifact's id.
INPUT, TRUTH, SOURCE = "input", "truth", "source"
#: Before the name of a model, of a picture of what its answer rests on: the class or object that the source
#: found, or that which the model itself found.
ATTENTION, OWN_ATTENTION = "attention: ", "attention for its own answer: "
#: Limit for all pictures of a bundle together when they are written, and for each when it is read.
MOST_BYTES = 1_000_000
_INDEX = "index.json"
_MOST_PICTURES = 10_000
_SUFFIXES = {b"\xff\xd8\xff": "jpg", b"\x89PN": "png"}


@dataclass(frozen=True)
class Picture:
    """One picture of an image of the evaluation set, or of a model's result for it.

    Attributes:
        image: name of the image in the set.
        shows: ``input``: the image itself; ``truth``: its ground truth; ``source``, or the id of an
            artifact: the result of that model; after `ATTENTION` or `OWN_ATTENTION`: what it rests on.
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
    """The content of ``pictures.zip``, the same for the same pictures."""
    file = io.BytesIO()
    index = []
    with zipfile.ZipFile(file, "w") as archive:
        for number, picture in enumerate(pictures):
            name = f"{number + 1:03d}.{picture.suffix}"
            # ZipInfo has a fixed date, so that the same pictures are the same file.
            archive.writestr(zipfile.ZipInfo(name), picture.content)
            index.append({"file": name, "image": picture.image, "shows": picture.shows})
        archive.writestr(zipfile.ZipInfo(_INDEX), json.dumps(index, indent=1))
    return file.getvalue()


def read_pictures(content: bytes, where: str) -> tuple[Picture, ...]:
    """Read the content of ``pictures.zip``.

    Args:
        content: the archive's content.
        where: the file's name, for errors.

    Raises:
        BundleError: it is not a valid archive of pictures.
    """
    try:
        archive = StrictZip(content)
        index = read_json(archive.read(_INDEX, MOST_BYTES))[:_MOST_PICTURES]
        pictures = tuple(
            Picture(str(row["image"]), str(row["shows"]), archive.read(row["file"], MOST_BYTES))
            for row in index
        )
        for picture in pictures:
            _ = picture.suffix  # raises KeyError for other contents
    except Exception as error:  # one interface for whatever such an archive leads to
        raise BundleError(f"{where}: is not a valid archive of pictures: {error}; convert again") from error
    return pictures
