"""Image files as a stream: a folder, a pattern, a numbered sequence, or one file, which may be animated."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from edgevision.errors import InputError, StreamError
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.imaging.animation import picture_count, pictures
from edgevision.imaging.decode import decode_frame, read_bytes
from edgevision.imaging.find import SUFFIXES, ImageFile, find, told_left_out
from edgevision.system.arguments import path_text
from edgevision.system.credentials import is_address
from edgevision.system.log import warning

#: A number in the name of a file, as in ``frame-%04d.png``.
_NUMBER = re.compile(r"%0?\d*d")
_PATTERN = frozenset("*?[")
#: Suffixes of files that may have several pictures.
_ANIMATED = (".gif", ".webp", ".png")


class ImageFiles:
    """Images in the order of their names."""

    name = "image-files"
    accepts = "a folder of images, a pattern such as 'frames/*.png', or a sequence such as frames/%04d.png"

    def recognises(self, source: Any) -> bool:
        """As `FrameSource.recognises`."""
        text = path_text(source)
        if not text or is_address(text):
            return False
        if Path(text).exists():
            return Path(text).is_dir() or Path(text).suffix.lower() in SUFFIXES
        return _NUMBER.search(Path(text).name) is not None or bool(_PATTERN & set(text))

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """As `FrameSource.open`. Files that are no images are logged."""
        text = os.fspath(source)
        try:
            is_sequence = _NUMBER.search(Path(text).name) and not Path(text).exists()
            found = find(_numbered(Path(text)) if is_sequence else [text])
        except InputError as error:
            raise StreamError(str(error)) from error
        if found.left_out:
            warning("%s: %s", text, told_left_out(found.left_out))
        return _ImageReader(text, found.images)


class _ImageReader:
    live = False

    def __init__(self, name: str, files: list[ImageFile]) -> None:
        self.name = name
        self._is_alone = len(files) == 1
        self._images = chain.from_iterable(map(self._images_of, files))

    def read(self) -> CapturedImage | None:
        """As `FrameReader.read`: a file that cannot be decoded is a damaged frame."""
        return next(self._images, None)

    def _images_of(self, file: ImageFile) -> Iterator[CapturedImage]:
        """The image of a file, or all of an animation."""
        try:
            if file.path.suffix.lower() not in _ANIMATED:
                yield CapturedImage(file.read(), name=file.name)
                return
            data = read_bytes(file.path)
            if picture_count(data) == 1:
                yield CapturedImage(decode_frame(data, file.name), name=file.name)
                return
            for index, (image, shown_s) in enumerate(pictures(data, file.name)):
                at_s = shown_s if self._is_alone else None
                yield CapturedImage(image, presentation_s=at_s, name=f"{file.name}#{index}")
        except InputError as error:
            yield CapturedImage(None, damage=str(error), name=file.name)

    def close(self) -> None:
        """As `FrameReader.close`: no file stays open."""


def _numbered(pattern: Path) -> list[Path]:
    """The files of a numbered sequence, in the order of their numbers."""
    name = pattern.name
    (start, end) = _NUMBER.search(name).span()  # type: ignore[union-attr]
    form = re.compile(rf"{re.escape(name[:start])}(\d+){re.escape(name[end:])}")
    try:
        names = [(form.fullmatch(entry.name), entry) for entry in pattern.parent.iterdir()]
    except OSError as error:
        raise StreamError(f"{pattern.parent}: cannot be listed: {error.strerror or error}") from error
    numbered = sorted((int(match[1]), entry) for match, entry in names if match)
    if not numbered:
        raise StreamError(f"{pattern}: no file has a name of this form")
    first, last = numbered[0][0], numbered[-1][0]
    missing = last - first + 1 - len({number for number, _ in numbered})
    if missing:
        warning("%s: %d of the numbers %d to %d are missing", pattern, missing, first, last)
    return [entry for _, entry in numbered]
