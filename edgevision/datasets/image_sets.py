"""Sets of images: a folder, one folder per class, a zip archive of either, or arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from posixpath import splitext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.groups import GroupFacts, Grouping, GroupSource, parts_of
from edgevision.errors import InputError, OptionError
from edgevision.imaging.codecs import Pixels
from edgevision.imaging.decode import as_batch, as_frame, as_image, decode_frame, read_bytes
from edgevision.imaging.find import (
    IN_FRAMES,
    SUFFIXES,
    ImageFile,
    LeftOut,
    content_of_frames,
    find,
    frames_of,
    reason_of,
    told_left_out,
)
from edgevision.imaging.frame import Frame
from edgevision.imaging.headers import format_of
from edgevision.system.arguments import names, one_path, text, whole_number, whole_numbers
from edgevision.system.numeric import is_memory_mapped
from edgevision.system.private_paths import base_name
from edgevision.system.strict_zip import ArchiveError, DamagedArchiveError, StrictZip

#: Largest unpacked size of an image in an archive: far above any photo, and safe for the memory.
MOST_MEMBER_BYTES = 256_000_000


class ImageContent(NamedTuple):
    """An image file that is read by a function.

    Attributes:
        name: its name in the set, with ``/`` between folders.
        where: for errors.
        frame: number of the image in a file with several; else `None`.
        read: gives the content of the file, or raises `InputError`; can be pickled, if the set is to be.
        label: name of its class; empty if it has none of its own.
    """

    name: str
    where: str
    frame: int | None
    read: Callable[[], bytes]
    label: str = ""


@dataclass(frozen=True)
class ImageCopy:
    """An image that was left out because another one of the set has the same bytes.

    Attributes:
        name: its name in the set.
        of: name of the image that was kept.
        label, kept_label: names of the classes of the two; empty in a set without labels.
        private: True if its name may be that of a person, as of a DICOM file; see `ImageSet.named`.
    """

    name: str
    of: str
    label: str = ""
    kept_label: str = ""
    private: bool = False


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in a fixed order, read one by one when they are needed.

    Created by `open` or `from_arrays`. Iteration yields each image as a model takes it, (h, w, 3) uint8 RGB,
    or a frame with the stored values of an image with more than 8 bits; and raises an `InputError` that
    names the image if it cannot be decoded.

    Attributes:
        name: origin of the set, for messages.
        class_names: names of the classes that `labels` refer to; empty without labels.
        labels: (n,) int64, the class of each image; ``None`` without labels.
        left_out: files of the folder or archive that are not in the set, with the reasons.
        released: True if images of DICOM files may go into bundles and reports.
        named: True if names of files of persons may go there, too: of DICOM files, and of images in groups,
            which are most often of one person each.
        grouping: which images belong together, such as those of one patient; `None` if each is on its own.
        copies: byte-identical copies that were left out by `distinct`.
    """

    name: str
    class_names: tuple[str, ...]
    labels: NDArray[np.int64] | None
    _entries: tuple[_Entry, ...] = field(repr=False)
    left_out: tuple[LeftOut, ...] = field(default=(), repr=False)
    released: bool = False
    named: bool = False
    grouping: Grouping | None = None
    copies: tuple[ImageCopy, ...] = ()

    @classmethod
    def open(cls, path: str | Path, groups: GroupSource | None = None) -> ImageSet:
        """The images of a folder, or of a ``.zip`` archive of one, sorted by path.

        If every image lies in one of two or more folders, these are the classes, sorted by name, as in
        Keras's ``image_dataset_from_directory``. A common parent folder is skipped: ``test/cat/1.jpg`` and
        ``test/dog/1.jpg`` show a cat and a dog.

        Args:
            path: the folder or archive.
            groups: as for `grouped`; `None` if the images do not depend on each other.

        Raises:
            InputError: the path cannot be read, is neither a folder nor a zip, or contains no image; or as
                `grouped`.
            OptionError: as `grouped`.
        """
        path = one_path(path, "path")
        entries, left_out = _folder_entries(path) if path.is_dir() else _archive_entries(path)
        images = cls(str(path), *_classes([entry.name for entry in entries]), tuple(entries), tuple(left_out))
        return images if groups is None else images.grouped(groups)

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[Any] | NDArray[np.uint8],
        labels: Sequence[int] | NDArray[Any] | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
        groups: GroupSource | None = None,
    ) -> ImageSet:
        """A set of images in memory. The arrays are not copied and must not be modified.

        Args:
            images: arrays (h, w, 3) uint8 RGB, or (h, w) for grey; or one array (n, h, w, 3). Arrays with
                more bits, such as uint16, need a preprocessing that says how they map.
            labels: the class of each image, 0 or more.
            class_names: one name per class; by default ``class 0``, ``class 1``, …
            name: origin of the set, for messages.
            groups: the name or number of the group of each image, as for `grouped`; `None` if the images do
                not depend on each other.

        Raises:
            InputError: the sequence is empty, an image has another shape or dtype, or the labels do not match
                the images.
            OptionError: `class_names` is not a sequence of names.
        """
        name = text(name, "name")
        entries = tuple(
            _array_entry(image, f"{name}[{place}]") for place, image in enumerate(as_batch(images))
        )
        if not entries:
            raise InputError(f"{name}: expected at least one image, got none")
        label_list: tuple[str, ...] = ()
        checked = None
        if labels is not None:
            checked = _checked_labels(labels, len(entries), name)
            label_list = () if class_names is None else names(class_names, f"{name}: class_names")
            label_list = label_list or tuple(f"class {number}" for number in range(checked.max() + 1))
            if checked.max() >= len(label_list):
                raise InputError(f"{name}: label {checked.max()} has no name ({len(label_list)} class names)")
        found = cls(name, label_list, checked, entries)
        return found if groups is None else found.grouped(groups)

    def grouped(self, groups: GroupSource, others: Collection[str] = ()) -> ImageSet:
        """The same images, with what says which of them belong together.

        Args:
            groups: ``folder:LEVEL``, ``pattern:PATTERN``, ``file`` or the path of a CSV file, as
                `Grouping.read` describes; or a sequence with the name or number of the group of each image.
            others: names that a CSV file may list besides: those of another set.

        Raises:
            OptionError: `groups` has none of these forms.
            InputError: an image has no group, the file names an unknown one, or all are in one group.
        """
        return replace(self, grouping=Grouping.read(groups, self.image_names, self.name, others))

    def grouped_if_any(self, groups: GroupSource, others: Collection[str] = ()) -> ImageSet:
        """As `grouped`, and the set itself if `groups` says nothing of any of its images.

        Raises:
            OptionError, InputError: as `grouped`, also where some images have a group and others do not.
        """
        found = Grouping.read_if_any(groups, self.image_names, self.name, others)
        return self if found is None else replace(self, grouping=found)

    @property
    def groups(self) -> NDArray[np.intp] | None:
        """Index of the group of each image, int ``(images,)``; `None` without groups."""
        return None if self.grouping is None else self.grouping.of_images

    def distinct(self) -> ImageSet:
        """The set without byte-identical copies, of which the first one stays; the others are its `copies`.

        Files that cannot be read are kept, for whoever decodes the images to report.
        """
        first: dict[str, int] = {}
        copies: list[ImageCopy] = []
        kept = []
        for place, entry in enumerate(self._entries):
            digest = _digest_or_none(entry)
            other = place if digest is None else first.setdefault(digest, place)
            if other == place:
                kept.append(place)
            else:
                label, kept_label = self._label_at(place), self._label_at(other)
                of = self._entries[other].name
                copies.append(ImageCopy(entry.name, of, label, kept_label, self._is_nameless(entry)))
        return replace(self.at(kept), copies=(*self.copies, *copies)) if copies else self

    @property
    def only_folder(self) -> str | None:
        """Name of the folder that holds all images and nothing else; `None` if there are several, or none.

        It is a class for a model with a label of this name, and otherwise just a folder.
        """
        folders = set(_folders(self.image_names))
        return folders.pop() if len(folders) == 1 else None

    def _label_at(self, place: int) -> str:
        return "" if self.labels is None else self.class_names[self.labels[place]]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Pixels | Frame]:
        for entry in self._entries:
            yield entry.decode()

    def readers(self) -> Iterator[Callable[[], Pixels | Frame]]:
        """One function per image that reads it as iteration does, for reading on several threads."""
        return iter([entry.decode for entry in self._entries])

    @property
    def image_names(self) -> tuple[str, ...]:
        """The name of each image: its path relative to the folder or in the archive, or its index."""
        return tuple(entry.name for entry in self._entries)

    @cached_property
    def shown_names(self) -> tuple[str, ...]:
        """The names for bundles and reports: digests for those that may tell a person; see `named`."""
        return tuple(
            f"{'dicom' if entry.private else 'image'} {entry.digest[:12]}"
            if self._is_nameless(entry)
            else entry.name
            for entry in self._entries
        )

    @property
    def shown_name(self) -> str:
        """The name for bundles and reports: of a folder or archive, without the folders that it is in."""
        in_memory = all(entry.from_array for entry in self._entries)
        return self.name if self.named or in_memory else base_name(self.name)

    def _is_nameless(self, entry: _Entry) -> bool:
        in_group = self.grouping is not None and not entry.from_array
        return not self.named and (in_group or entry.private)

    @property
    def private(self) -> bool:
        """True if there are DICOM files, and their images must not go into bundles and reports."""
        return not self.released and any(entry.private for entry in self._entries)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each image: of the bytes of the file, or of the shape and bytes of the array.

        Raises:
            InputError: a file cannot be read.
        """
        return tuple(entry.digest for entry in self._entries)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the set: of all images, the names of their classes, and their order."""
        total = hashlib.sha256()
        classes = [""] * len(self) if self.labels is None else [self.class_names[i] for i in self.labels]
        for digest, class_name in zip(self.digests, classes, strict=True):
            total.update(f"{digest} {class_name}\n".encode())
        return total.hexdigest()

    @property
    def has_files(self) -> bool:
        """True if `file_content` has the content of some image; nothing is read to tell."""
        return any(entry.is_file for entry in self._entries)

    def file_content(self, place: int) -> bytes | None:
        """The content of the file of one image; `None` for an array, and for a frame of a file with several.

        Raises:
            InputError: the file cannot be read.
            OptionError: `place` is not a whole number, or there is no such image.
        """
        entry = self._entries[whole_number(place, "place", 0, len(self) - 1)]
        return bytes(entry.content()) if entry.is_file else None

    def sample(self, count: int, seed: int = 0) -> ImageSet:
        """A stratified random sample of `count` images, in their order; the set itself if it is smaller.

        The same set, count and seed always give the same images.

        Raises:
            OptionError: `count` is not a whole number of 1 or more, or `seed` of 0 or more.
        """
        count = whole_number(count, f"sample of {self.name}", least=1)
        seed = whole_number(seed, "seed", least=0)
        if count >= len(self):
            return self
        classes = np.zeros(len(self), np.int64) if self.labels is None else self.labels
        return self.at(_stratified(classes, count, seed))

    def without(self, digests: Iterable[str]) -> ImageSet:
        """The images whose digest is not in `digests`, in their order; may be empty."""
        left_out = frozenset(names(digests, "digests"))
        return self.at([place for place, digest in enumerate(self.digests) if digest not in left_out])

    def at(self, places: Sequence[int]) -> ImageSet:
        """The images at these indices, in this order.

        Raises:
            OptionError: an index is not a whole number, or there is no such image.
        """
        places = whole_numbers(places, f"places in {self.name}", least=-len(self))
        if max(places, default=0) >= len(self):
            raise OptionError(f"places in {self.name}: expected less than {len(self)}, got {max(places)}")
        labels = None if self.labels is None else self.labels[np.asarray(places, np.intp)]
        entries = tuple(self._entries[i] for i in places)
        grouping = None if self.grouping is None else self.grouping.at(places)
        return replace(self, labels=labels, _entries=entries, grouping=grouping)


def set_of_contents(
    name: str, contents: Sequence[ImageContent], left_out: Sequence[LeftOut] = ()
) -> ImageSet:
    """A set of image files that something else reads, such as object storage, in the order of their names.

    The classes are their labels, or else, as for `ImageSet.open`, their folders.

    Args:
        name: origin of the set, for messages.
        contents: one per image.
        left_out: files that are not in the set, with the reasons.

    Raises:
        InputError: there are none, two have one name, or some have a label and others do not.
    """
    ordered = sorted(contents, key=lambda one: (parts_of(one.name), one.frame or 0))
    entries = tuple(_file_entry(one.name, one.where, one.frame, one.read) for one in ordered)
    if not entries:
        raise InputError(f"{name}: no images found")
    found = [entry.name for entry in entries]
    for first, second in pairwise(found):
        if first == second:
            raise InputError(f"{name}: two images are called '{first}'; ground truth is found by the name")
    labels = [one.label for one in ordered]
    if not any(labels):
        return ImageSet(name, *_classes(found), entries, tuple(left_out))
    if not all(labels):
        raise InputError(f"{name}: '{found[labels.index('')]}' has no label, and others have one")
    class_names = tuple(sorted(set(labels)))
    numbers = {label: number for number, label in enumerate(class_names)}
    classes = np.array([numbers[label] for label in labels], np.int64)
    return ImageSet(name, class_names, classes, entries, tuple(left_out))


def _never(_: Any) -> bool:
    return False


@dataclass(frozen=True, eq=False)
class _Entry:
    """One image that can be read.

    Its functions are those of this module, bound to values: a set can be sent to another process.
    """

    name: str
    _read: Callable[[], Any]
    _decode: Callable[[Any], Pixels | Frame]
    _hash: Callable[[Any], str]
    _is_private: Callable[[Any], bool] = _never
    is_file: bool = False
    from_array: bool = False

    def decode(self) -> Pixels | Frame:
        return self._decode(self._read())

    def content(self) -> Any:
        """The content of the file, or the array."""
        return self._read()

    @property
    def digest(self) -> str:
        return self._facts[0]

    @property
    def private(self) -> bool:
        """True for a DICOM file, whatever it is called."""
        return self._facts[1]

    @cached_property
    def _facts(self) -> tuple[str, bool]:
        content = self._read()
        return self._hash(content), self._is_private(content)


def _digest_or_none(entry: _Entry) -> str | None:
    try:
        return entry.digest
    except InputError:
        return None


def _file_entry(name: str, where: str, frame: int | None, read: Callable[[], bytes]) -> _Entry:
    shown = "" if frame is None else f"#{frame}"
    return _Entry(
        *(name + shown, read, partial(_decoded, where + shown, frame), partial(_hash_bytes, shown)),
        _is_dicom,
        is_file=frame is None,
    )


def _decoded(where: str, frame: int | None, data: bytes) -> Pixels | Frame:
    return _plain_or_frame(decode_frame(data, where, frame))


def _is_dicom(data: bytes) -> bool:
    return format_of(data) == "DICOM"


def _plain_or_frame(frame: Frame) -> Pixels | Frame:
    """8-bit images as every consumer knows them; a frame keeps what is needed to map the others."""
    return as_image(frame) if frame.is_plain else frame


def _array_entry(image: Any, name: str) -> _Entry:
    if isinstance(image, Frame):
        return _Entry(name, partial(_itself, image), _itself, _hash_frame, _is_private, from_array=True)
    if not isinstance(image, np.ndarray):
        raise InputError(f"{name}: expected a (h, w, 3) uint8 array, got {type(image).__name__}")
    try:
        frame = replace(as_frame(image), name=name)
        decoded = _plain_or_frame(frame)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    hashed = partial(_hash_stored, frame.pixels)
    return _Entry(name, partial(_itself, decoded), _itself, hashed, from_array=True)


def _itself(image: Any) -> Any:
    return image


def _is_private(frame: Frame) -> bool:
    return bool(frame.private)


def _hash_frame(frame: Frame) -> str:
    return _hash_array(frame.pixels)


def _hash_stored(pixels: Any, decoded: Any) -> str:
    return _hash_array(pixels)


def _hash_bytes(frame: str, data: bytes) -> str:
    return hashlib.sha256(data + frame.encode()).hexdigest()


def _hash_array(array: Any) -> str:
    kind = "" if array.dtype == np.uint8 else array.dtype.name
    return hashlib.sha256(f"{array.shape}{kind}".encode() + array.tobytes()).hexdigest()


def _folder_entries(folder: Path) -> tuple[list[_Entry], list[LeftOut]]:
    found = find([folder])
    return [_entry_of(image, folder) for image in found.images], found.left_out


def _entry_of(image: ImageFile, folder: Path) -> _Entry:
    path = image.path
    read = partial(read_bytes if image.frame is None else content_of_frames, path)
    return _file_entry(path.relative_to(folder).as_posix(), str(path), image.frame, read)


def _archive_entries(path: Path) -> tuple[list[_Entry], list[LeftOut]]:
    try:
        # Of a million images each would be read twice.
        archive = StrictZip.at(path, both_headers=False)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: cannot read a folder or .zip archive of images: {reason}") from error
    except DamagedArchiveError as error:
        raise InputError(f"{path}: expected a folder of images or a .zip archive: {error}") from error
    except ArchiveError as error:
        raise InputError(f"{path}: {error}") from error
    files = sorted((parts, name) for name in archive.sizes if _is_visible(parts := parts_of(name)))
    members = [name for parts, name in files if _suffix(parts) in SUFFIXES]
    left_out = [
        LeftOut(Path(name), reason_of(parts[-1])) for parts, name in files if _suffix(parts) not in SUFFIXES
    ]
    if not members:
        told = f"; {told_left_out(left_out)}" if left_out else ""
        raise InputError(f"{path}: no images found; expected files with {', '.join(sorted(SUFFIXES))}{told}")
    entries = (_member_entries(archive, name, f"{path}: {name}") for name in members)
    return [entry for of_member in entries for entry in of_member], left_out


def _is_visible(parts: tuple[str, ...]) -> bool:
    # macOS adds a folder __MACOSX whose files have the names of the images but are not images.
    return bool(parts) and not any(part.startswith((".", "__MACOSX")) for part in parts)


def _suffix(parts: tuple[str, ...]) -> str:
    return splitext(parts[-1])[1].lower()


def _member_entries(archive: StrictZip, name: str, where: str) -> list[_Entry]:
    if archive.sizes[name] > MOST_MEMBER_BYTES:
        raise InputError(
            f"{where}: unpacked size of {archive.sizes[name]} bytes exceeds the limit of {MOST_MEMBER_BYTES}"
        )
    suffix = splitext(name)[1].lower()
    numbers = frames_of(Path(where), _read_member(archive, name, where)) if suffix in IN_FRAMES else [None]
    return [
        _file_entry(name, where, number, partial(_read_member, archive, name, where)) for number in numbers
    ]


def _read_member(archive: StrictZip, name: str, where: str) -> bytes:
    try:
        return archive.read(name, MOST_MEMBER_BYTES)
    except (ArchiveError, OSError) as error:
        raise InputError(f"{where}: the archive is damaged: {error}") from error


def _classes(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Class names and labels from the folders of the images; empty and `None` if these are no classes.

    The only folder of a set is no class by itself; see `ImageSet.only_folder`.
    """
    folders = _folders(names)
    class_names = tuple(sorted(set(folders)))
    if len(class_names) < 2:
        return (), None
    numbers = {name: number for number, name in enumerate(class_names)}
    return class_names, np.array([numbers[name] for name in folders], np.int64)


def _folders(names: Sequence[str]) -> list[str]:
    """The folder of each image, below the folders that hold all images; empty if an image is in none."""
    paths = [parts_of(name) for name in names]
    while all(len(path) > 2 and path[0] == paths[0][0] for path in paths):
        paths = [path[1:] for path in paths]
    return [] if any(len(path) < 2 for path in paths) else [path[0] for path in paths]


def _checked_labels(labels: Any, count: int, name: str) -> NDArray[np.int64]:
    try:
        is_array = isinstance(labels, np.ndarray)
        array = labels if is_array else np.array(whole_numbers(labels, "labels", least=0), np.int64)
    except OptionError as error:
        raise InputError(f"{name}: labels: expected {count} whole numbers of 0 or more: {error}") from error
    if is_memory_mapped(array):
        raise InputError(f"{name}: labels: an array in a mapped file; pass numpy.array(labels)")
    if array.shape != (count,) or array.dtype.kind not in "iu" or array.min() < 0:
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{name}: labels: expected {count} whole numbers of 0 or more, got {got}")
    return array.astype(np.int64)


def _stratified(classes: NDArray[np.int64], count: int, seed: int) -> list[int]:
    """Sorted indices of `count` images, with the classes in proportion as far as whole images allow."""
    random = np.random.default_rng(seed)
    turns = np.empty(len(classes))
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        # The k-th of n images of a class takes its turn at k/n of the way, in every class alike.
        turns[members] = (random.permutation(len(members)) + random.random()) / len(members)
    return sorted(np.argsort(turns, kind="stable")[:count].tolist())


@dataclass(frozen=True)
class SetFacts:
    """Record of a calibration or evaluation set in the evidence.

    Attributes:
        name: base name or origin of the set.
        images: number of images.
        sha256: digest of the contents of all images.
        labelled: whether there is ground truth.
        left_out: number of images that were left out because they are also in the calibration set.
        other_files: number of files in the folder or archive that were not used: other formats, videos, and
            images that cannot be read.
        copies: number of byte-identical copies of other images of the set, which were left out.
        groups: the groups of images that belong together; `None` if each image counts as independent.
    """

    name: str
    images: int
    sha256: str
    labelled: bool
    left_out: int = 0
    other_files: int = 0
    copies: int = 0
    groups: GroupFacts | None = None

    @classmethod
    def of(cls, images: ImageSet, labelled: bool, left_out: int = 0) -> SetFacts:
        """The record of a set of images."""
        return cls(
            images.shown_name,
            len(images),
            images.digest,
            labelled,
            left_out,
            len(images.left_out),
            len(images.copies),
            None if images.grouping is None else images.grouping.facts(),
        )


def set_facts_from(row: Mapping[str, Any]) -> SetFacts:
    """A `SetFacts` from its JSON document."""
    groups = row.get("groups")
    return SetFacts(**{**row, "groups": None if groups is None else GroupFacts(**groups)})
