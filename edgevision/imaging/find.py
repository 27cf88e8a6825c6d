"""The image files among paths, folders and patterns, and the files that are left out, with the reasons."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePath
from typing import NamedTuple

from edgevision.errors import InputError
from edgevision.imaging.decode import decode_frame, frame_count, read_bytes
from edgevision.imaging.frame import Frame
from edgevision.imaging.headers import FORMATS, format_of
from edgevision.system.folders import MOST_DEPTH, too_deep
from edgevision.system.reading import read_start

SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
#: Formats whose files may have several images, which are told from one another by their number.
IN_FRAMES = frozenset(FORMATS["TIFF"] + FORMATS["DICOM"])
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv")
_HEADER_BYTES = 132
_PATTERN = frozenset("*?[")
#: The index of the images of a DICOM medium: in the format of an image, but not one.
_NO_IMAGE = ("DICOMDIR",)

_CONVERT = "convert it: magick IN OUT.png"
_REASONS: dict[str, str] = {
    **dict.fromkeys(
        VIDEO_SUFFIXES,
        "video; save frames of it: ffmpeg -i IN -r 1 OUT-%04d.png, or run: edgevision predict MODEL IN",
    ),
    **dict.fromkeys(
        (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"),
        "raw photo of a camera; develop it to 16-bit TIFF or to JPEG",
    ),
    **dict.fromkeys(
        (
            ".avif",
            ".jp2",
            ".j2k",
            ".jxl",
            ".psd",
            ".svg",
            ".pdf",
            ".exr",
            ".hdr",
            ".pgm",
            ".ppm",
            ".pnm",
            ".tga",
        ),
        f"unsupported image format; {_CONVERT}",
    ),
    **dict.fromkeys(
        (".nii", ".mha", ".mhd", ".nrrd"), "volume, not an image; export its slices as 16-bit PNG"
    ),
    **dict.fromkeys(
        (".czi", ".lif", ".nd2", ".svs", ".ndpi", ".vsi", ".oib", ".lsm"),
        "file of a microscope; export its images as 16-bit TIFF",
    ),
    **dict.fromkeys((".npy", ".npz"), "arrays, not a picture; pass them in Python"),
}
_OTHER = "not a picture"


class LeftOut(NamedTuple):
    """A file that was found but not used.

    Attributes:
        path: as it was found.
        reason: such as ``video; save frames of it: …``.
    """

    path: Path
    reason: str


class ImageFile(NamedTuple):
    """One image: a file, or one of its frames.

    Attributes:
        path: of the file.
        frame: of a file with several; else `None`.
        below: the folder that was searched and contains the file; `None` if the file was named itself.
        content: of the file, where it has no path: standard input.
    """

    path: Path
    frame: int | None = None
    below: Path | None = None
    content: bytes | None = None

    @property
    def name(self) -> str:
        """Path, and ``#`` and the number of the frame, from 0, for a file with several."""
        return str(self.path) if self.frame is None else f"{self.path}#{self.frame}"

    def read(self) -> Frame:
        """The decoded image; raises as `edgevision.imaging.decode.read_frame`."""
        if self.content is not None:
            data = self.content
        elif self.frame is None:
            data = read_bytes(self.path)
        else:
            data = content_of_frames(self.path)
        return decode_frame(data, self.name, self.frame)


def content_of_frames(path: Path) -> bytes:
    """The content of a file with many images, which are read one after the other: from disk once.

    Raises:
        InputError: it cannot be read.
    """
    try:
        state = path.stat()
    except OSError:  # told by the reader
        return read_bytes(path)
    return _last_content(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _last_content(path: Path, mtime_ns: int, size: int) -> bytes:
    return read_bytes(path)


class Found(NamedTuple):
    """The result of a search.

    Attributes:
        images: in the order of the paths that were named, and sorted in folders.
        left_out: the other files there.
    """

    images: list[ImageFile]
    left_out: list[LeftOut]


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files among `paths` and in the folders among them; see `find`."""
    return list(dict.fromkeys(image.path for image in find(paths, frames=False).images))


def find(paths: Iterable[str | os.PathLike[str]], frames: bool = True) -> Found:
    """The images among `paths`, in the folders among them, and those that match the patterns among them.

    A file that is named is included whatever its suffix. In folders, their subfolders and among the matches
    of a pattern (``*``, ``?``, ``[…]``, ``**`` for any depth), files with a suffix of an image format are
    included in sorted order, and DICOM files without a suffix or with a number for one; hidden files and
    folders are not. A file that is reached in two ways is included once.

    Args:
        paths: files, folders and patterns.
        frames: True to include each frame of a DICOM file and each page of a TIFF file on its own.

    Raises:
        InputError: a path does not exist or cannot be listed, a pattern matches nothing, or no image was
            found.
    """
    places = [Path(path) for path in paths]
    search = _Search(frames)
    for place in places:
        search.add(place)
    if not search.images:
        where = ", ".join(map(str, places)) or "no path"
        told = f"; {told_left_out(search.left_out)}" if search.left_out else ""
        raise InputError(f"{where}: no images found; expected files with {', '.join(sorted(SUFFIXES))}{told}")
    return Found(search.images, search.left_out)


def told_left_out(left_out: Iterable[LeftOut], named: int = 3) -> str:
    """One line: the number of files that were left out, by kind, with the names of a few of each."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for path, reason in left_out:
        suffix = path.suffix.lower() or "files without suffix"
        kinds.setdefault((suffix, reason), []).append(path.name)
    total = sum(map(len, kinds.values()))
    parts = []
    for (suffix, reason), names in kinds.items():
        more = f" and {len(names) - named} more" if len(names) > named else ""
        listed = f": {', '.join(names[:named])}{more}" if named else ""
        parts.append(f"{len(names)} {suffix} ({reason}){listed}")
    return f"left out {total} file{'s' if total != 1 else ''}: {'; '.join(parts)}"


def reason_of(name: str) -> str:
    """Why a file with this name is left out."""
    return _REASONS.get(PurePath(name).suffix.lower(), _OTHER)


def frames_of(path: Path, data: bytes | None = None) -> list[int | None]:
    """The numbers of the images in a file: ``[None]`` where it has one, or cannot be read."""
    try:
        content = read_bytes(path) if data is None else data
        count = frame_count(content, str(path))
    except InputError:  # told when it is read
        return [None]
    return [None] if count == 1 else list(range(count))


class _Search:
    """Images and other files, in the order in which they are found."""

    def __init__(self, frames: bool) -> None:
        self.images: list[ImageFile] = []
        self.left_out: list[LeftOut] = []
        self._frames = frames
        self._seen: set[str] = set()

    def add(self, place: Path) -> None:
        """Add a file, the files of a folder, or what matches a pattern."""
        if place.is_dir():
            self._folder(place, place, frozenset())
        elif place.exists():
            self._image(place, None)
        elif _PATTERN & set(str(place)):
            self._pattern(place)
        else:
            camera = "; for a camera run: edgevision stream MODEL INDEX" if str(place).isdigit() else ""
            raise InputError(
                f"{place}: does not exist; expected an image, a folder of images, or a pattern "
                f"such as 'DIR/*.png'{camera}"
            )

    def _pattern(self, pattern: Path) -> None:
        try:
            matches = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - of a whole path
        except RecursionError as error:
            raise InputError(f"{pattern}: cannot be listed: {too_deep(pattern).strerror}") from error
        if not matches:
            raise InputError(f"{pattern}: no file matches this pattern")
        # The folder before the first wildcard: below it the structure is kept.
        parts = pattern.parts
        fixed = next(index for index, part in enumerate(parts) if _PATTERN & set(part))
        base = Path(*parts[:fixed])
        for match in map(Path, matches):
            if match.is_dir():
                if not any("**" in part for part in parts):  # its files match themselves
                    self._folder(match, base, frozenset())
            elif not match.name.startswith("."):
                self._found(match, base)

    def _folder(self, folder: Path, below: Path, above: frozenset[Path]) -> None:
        real = folder.resolve()
        if real in above:  # a link to a folder that contains it
            return
        if len(above) > MOST_DEPTH:
            raise InputError(f"{below}: cannot be listed: {too_deep(below).strerror}")
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"{folder}: cannot be listed: {error.strerror or error}") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = folder / entry.name
            # The listing's answer costs nothing; for a link only `Path` copes with a missing target or a
            # loop.
            if path.is_dir() if entry.is_symlink() else entry.is_dir():
                self._folder(path, below, above | {real})
            else:
                self._found(path, below)

    def _found(self, path: Path, below: Path) -> None:
        if path.suffix.lower() in SUFFIXES or (path.name not in _NO_IMAGE and _is_dicom(path)):
            self._image(path, below)
        elif self._is_new(path):
            self.left_out.append(LeftOut(path, reason_of(path.name)))

    def _image(self, path: Path, below: Path | None) -> None:
        if not self._is_new(path):
            return
        suffix = path.suffix.lower()
        several = self._frames and (suffix in IN_FRAMES or suffix not in SUFFIXES)
        numbers = frames_of(path) if several else [None]
        self.images += [ImageFile(path, number, below) for number in numbers]

    def _is_new(self, path: Path) -> bool:
        name = os.path.abspath(path)  # noqa: PTH100 - a link is another file: `resolve` would follow it
        if name in self._seen:
            return False
        self._seen.add(name)
        return True


def _is_dicom(path: Path) -> bool:
    """True for a DICOM file without a suffix, or with a number for one: many are called by their UID."""
    if path.suffix and not path.suffix[1:].isdecimal():
        return False
    try:
        return format_of(read_start(path, _HEADER_BYTES)) == "DICOM"
    except OSError:
        return False
