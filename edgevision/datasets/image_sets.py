"""Sets of images: a folder, a folder a class, a zip archive of either, or arrays."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from posixpath import splitext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError
from edgevision.imaging.decode import SUFFIXES, Pixels, as_image, decode_image, find_images, read_bytes
from edgevision.system.arguments import names, whole_number

#: Of one image in an archive, unpacked: far above any photo, and no danger to memory.
MOST_MEMBER_BYTES = 256_000_000


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in a fixed order, read one by one as they are needed.

    Made by `open` or `from_arrays`. Iterating gives each image as (h, w, 3) uint8 RGB, and raises
    `InputError`, naming it, for one that cannot be decoded.

    Attributes:
        name: where it comes from, for people.
        class_names: the classes, in the order that `labels` count them; empty if there are none.
        labels: (n,) int64, the class of each image; ``None`` if there are none.
    """

    name: str
    class_names: tuple[str, ...]
    labels: NDArray[np.int64] | None
    _entries: tuple[_Entry, ...] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> ImageSet:
        """The images of a folder or of a ``.zip`` archive of one, sorted by their paths.

        If every image lies in one of two or more folders, these are its classes, sorted by name, as
        Keras's ``image_dataset_from_directory`` has it. Folders that hold all the rest are
        looked through: ``test/cat/1.jpg`` and ``test/dog/1.jpg`` are a cat and a dog.

        Raises:
            InputError: it cannot be read, is neither, or holds no image.
        """
        path = Path(path)
        entries = _folder_entries(path) if path.is_dir() else _archive_entries(path)
        return cls(str(path), *_classes([entry.name for entry in entries]), tuple(entries))

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[Any] | NDArray[np.uint8],
        labels: Sequence[int] | NDArray[Any] | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
    ) -> ImageSet:
        """A set of images in memory. Arrays are not copied: leave them as they are.

        Args:
            images: arrays (h, w, 3) uint8 RGB, or (h, w) for grey; or one array (n, h, w, 3).
            labels: the class of each image, 0 or more.
            class_names: one a class; ``class 0``, ``class 1``, … unless given.
            name: for people.

        Raises:
            InputError: there is no image, an image has another shape or dtype, or labels and images differ
                in number.
            OptionError: `class_names` is not a sequence of names.
        """
        entries = tuple(_array_entry(image, f"{name}[{place}]") for place, image in enumerate(images))
        if not entries:
            raise InputError(f"{name}: expected at least one image, got none")
        if labels is None:
            return cls(name, (), None, entries)
        checked = _checked_labels(labels, len(entries), name)
        label_list = () if class_names is None else names(class_names, f"{name}: class_names")
        label_list = label_list or tuple(f"class {number}" for number in range(checked.max() + 1))
        if checked.max() >= len(label_list):
            raise InputError(f"{name}: label {checked.max()} has no name ({len(label_list)} class names)")
        return cls(name, label_list, checked, entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Pixels]:
        for entry in self._entries:
            yield entry.decode()

    def readers(self) -> Iterator[Callable[[], Pixels]]:
        """For each image a function that reads it as iterating does, for reading on several threads."""
        return iter([entry.decode for entry in self._entries])

    @property
    def image_names(self) -> tuple[str, ...]:
        """The name of each image: its path below the folder or in the archive, or its place."""
        return tuple(entry.name for entry in self._entries)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each image: of the file's bytes, or of an array's shape and bytes.

        Raises:
            InputError: a file cannot be read.
        """
        return tuple(entry.digest for entry in self._entries)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole: of every image, its class's name, and their order."""
        total = hashlib.sha256()
        classes = [""] * len(self) if self.labels is None else [self.class_names[i] for i in self.labels]
        for digest, class_name in zip(self.digests, classes, strict=True):
            total.update(f"{digest} {class_name}\n".encode())
        return total.hexdigest()

    def sample(self, count: int, seed: int = 0) -> ImageSet:
        """A set of `count` of these images, in their order: of each class its share; all if there are fewer.

        The same set, count and seed give the same images.

        Raises:
            OptionError: `count` is not a whole number of 1 or more.
        """
        count = whole_number(count, f"sample of {self.name}", least=1)
        if count >= len(self):
            return self
        classes = np.zeros(len(self), np.int64) if self.labels is None else self.labels
        return self.at(_stratified(classes, count, seed))

    def without(self, digests: Iterable[str]) -> ImageSet:
        """The images, in their order, whose `digests` are not among those given; may be none."""
        left_out = frozenset(digests)
        return self.at([place for place, digest in enumerate(self.digests) if digest not in left_out])

    def at(self, places: Sequence[int]) -> ImageSet:
        """The images at these places, in this order."""
        labels = None if self.labels is None else self.labels[np.asarray(places, np.intp)]
        return ImageSet(self.name, self.class_names, labels, tuple(self._entries[i] for i in places))


@dataclass(frozen=True, eq=False)
class _Entry:
    """One image that can be read."""

    name: str
    _read: Callable[[], Any]
    _decode: Callable[[Any], Pixels]
    _hash: Callable[[Any], str]

    def decode(self) -> Pixels:
        return self._decode(self._read())

    @cached_property
    def digest(self) -> str:
        return self._hash(self._read())


def _file_entry(name: str, where: str, read: Callable[[], bytes]) -> _Entry:
    return _Entry(name, read, lambda data: decode_image(data, where), _hash_bytes)


def _array_entry(image: Any, name: str) -> _Entry:
    if not isinstance(image, np.ndarray):
        raise InputError(f"{name}: expected a (h, w, 3) uint8 array, got {type(image).__name__}")
    try:
        pixels = as_image(image)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return _Entry(name, lambda: pixels, lambda array: array, _hash_array)


def _hash_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_array(array: Pixels) -> str:
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()


def _folder_entries(folder: Path) -> list[_Entry]:
    return [
        _file_entry(path.relative_to(folder).as_posix(), str(path), _reader_of_file(path))
        for path in find_images([folder])
    ]


def _reader_of_file(path: Path) -> Callable[[], bytes]:
    return lambda: read_bytes(path)


def _archive_entries(path: Path) -> list[_Entry]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path}: expected a folder of images, or a .zip of one: {error}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as a folder or a .zip of images: {reason}") from error
    found = ((_parts(member.filename), member) for member in archive.infolist())
    images = [(parts, member) for parts, member in found if _is_image(parts, member)]
    members = [member for _, member in sorted(images, key=lambda one: one[0])]
    if not members:
        raise InputError(f"{path}: no images found; expected files with {', '.join(sorted(SUFFIXES))}")
    return [_member_entry(archive, member, f"{path}: {member.filename}") for member in members]


def _is_image(parts: tuple[str, ...], member: zipfile.ZipInfo) -> bool:
    # macOS adds a folder __MACOSX with files of the images' names that are none.
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    if hidden or not parts or member.is_dir():
        return False
    return splitext(parts[-1])[1].lower() in SUFFIXES


def _member_entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> _Entry:
    if member.flag_bits & 0x1:
        raise InputError(f"{where}: is encrypted; unpack the archive first")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{where}: is neither stored nor deflated; unpack the archive first")
    if member.file_size > MOST_MEMBER_BYTES:
        raise InputError(
            f"{where}: unpacks to {member.file_size} bytes, more than the limit of {MOST_MEMBER_BYTES}"
        )
    return _file_entry(member.filename, where, lambda: _read_member(archive, member, where))


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> bytes:
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{where}: the archive is damaged here: {error}") from error


def _parts(name: str) -> tuple[str, ...]:
    """As of a path; archives hold tens of thousands, and `PurePosixPath` takes five times as long."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


def _classes(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """The class names and labels that the folders of images tell; none if they tell none."""
    paths = [_parts(name) for name in names]
    while all(len(path) > 2 and path[0] == paths[0][0] for path in paths):
        paths = [path[1:] for path in paths]
    class_names = tuple(sorted({path[0] for path in paths}))
    if len(class_names) < 2 or any(len(path) < 2 for path in paths):
        return (), None
    numbers = {name: number for number, name in enumerate(class_names)}
    return class_names, np.array([numbers[path[0]] for path in paths], np.int64)


def _checked_labels(labels: Any, count: int, name: str) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "iu" or array.min() < 0:
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{name}: labels: expected {count} whole numbers of 0 or more, got {got}")
    return array.astype(np.int64)


def _stratified(classes: NDArray[np.int64], count: int, seed: int) -> list[int]:
    """Sorted places of `count` images, of each class as near to its share as whole images allow."""
    random = np.random.default_rng(seed)
    turns = np.empty(len(classes))
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        # The k-th of n drawn from a class takes its turn at k/n of the way: so do all classes alike.
        turns[members] = (random.permutation(len(members)) + random.random()) / len(members)
    return sorted(np.argsort(turns, kind="stable")[:count].tolist())


@dataclass(frozen=True)
class SetFacts:
    """A calibration or evaluation set as it was used.

    Attributes:
        name: where it was read from.
        images: how many.
        sha256: digest over the contents of all.
        labelled: whether the class of each image is known.
        left_out: images that were left out because the calibration set holds them as well.
    """

    name: str
    images: int
    sha256: str
    labelled: bool
    left_out: int = 0
