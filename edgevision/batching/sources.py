"""The images of a batch: from what a caller names to references, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from edgevision.batching.references import FilePlace, ImageReference, MemberPlace, MissingPlace
from edgevision.batching.tables_of_images import TableColumns, table_references
from edgevision.errors import InputError, OptionError
from edgevision.imaging.find import (
    IN_FRAMES,
    SUFFIXES,
    ImageFile,
    LeftOut,
    find,
    frames_of,
    reason_of,
    told_left_out,
)
from edgevision.system.credentials import is_address, without_credentials
from edgevision.system.reading import MOST_DOCUMENT_BYTES, read_text
from edgevision.system.shown import shown
from edgevision.system.strict_json import JsonError, read_json
from edgevision.system.strict_zip import ArchiveError, StrictZip

#: Begins the name of a list of images.
LIST_MARK = "@"
#: Key of a line of a JSONL list.
_LIST_KEYS = ("uri", "path")


@dataclass
class Sources:
    """The images of what a caller named.

    Args:
        named: folders, zip archives, patterns, image files, ``.parquet`` files, ``@`` and a list, or URLs.
        columns: of Parquet files.
        output: the folder of the results, which may be in one of the folders: its files are no images.

    Attributes:
        left_out: files that were found and not used, so far.
    """

    named: Sequence[str]
    columns: TableColumns
    output: Path
    left_out: list[LeftOut] = field(default_factory=list)

    def references(self) -> Iterator[ImageReference]:
        """All images, in the order of the sources, and sorted in folders.

        Raises:
            InputError: a source does not exist, cannot be listed, or has no images.
            OptionError: a column of a table was not named, or does not exist.
            MissingRuntimeError: a library for URLs or Parquet is not installed.
        """
        for source in self.named:  # now, and not when all before it were worked on
            _check_there(source)
        for source in self.named:
            count = 0
            for reference in self._of(source):
                count += 1
                yield reference
            if not count:
                raise InputError(f"{without_credentials(source)}: no images found{self._told()}")

    def _told(self) -> str:
        return f"; {told_left_out(self.left_out)}" if self.left_out else ""

    def _of(self, source: str) -> Iterator[ImageReference]:
        if source.startswith(LIST_MARK):
            return self._of_list(Path(source[1:]))
        if is_address(source):
            from edgevision.batching.remote import remote_references

            return remote_references(source, self.columns, self.left_out)
        path = Path(source)
        suffix = path.suffix.lower()
        if suffix == ".parquet" and path.is_file():
            return self._of_table(path)
        if suffix == ".zip" and path.is_file():
            return self._of_archive(path)
        if suffix in (".txt", ".jsonl", ".csv") and path.is_file():
            raise OptionError(f"{source}: expected images; for a list of them, pass {LIST_MARK}{source}")
        return self._of_files(path)

    def _of_files(self, path: Path) -> Iterator[ImageReference]:
        try:
            found = find([path])
        except InputError:
            found_tables = sorted(path.glob("**/*.parquet")) if path.is_dir() else []
            tables = [one for one in found_tables if not self._is_own(one)]
            if not tables:
                raise
            for table in tables:  # the shards of a data set
                yield from self._of_table(table)
            return
        self.left_out += [one for one in found.left_out if not self._is_own(one.path)]
        yield from map(_of_file, found.images)

    def _is_own(self, path: Path) -> bool:
        return path.absolute().is_relative_to(self.output.absolute())

    def _of_table(self, path: Path) -> Iterator[ImageReference]:
        return table_references(str(path.absolute()), None, self.columns, _state_of(path))

    def _of_archive(self, path: Path) -> Iterator[ImageReference]:
        archive = str(path.absolute())
        try:
            members = sorted(StrictZip.at(path, both_headers=False).sizes)
        except (ArchiveError, OSError) as error:
            raise InputError(f"{path}: cannot be read as an archive of images: {error}") from error
        size_bytes, modified = _state_of(path)
        for member in members:
            name = PurePosixPath(member)
            if any(part.startswith((".", "__MACOSX")) for part in name.parts) or member.endswith("/"):
                continue
            if name.suffix.lower() not in SUFFIXES:
                self.left_out.append(LeftOut(path / member, reason_of(member)))
                continue
            place = MemberPlace(archive, member)
            numbers: list[int | None] = [None]
            if name.suffix.lower() in IN_FRAMES:
                numbers = _frames(place, f"{path}: {member}")
            for number in numbers:
                shown_number = "" if number is None else f"#{number}"
                yield ImageReference(
                    *(f"{archive}#{member}{shown_number}", f"{member}{shown_number}", place, number),
                    size_bytes=size_bytes,
                    modified=modified,
                )

    def _of_list(self, path: Path) -> Iterator[ImageReference]:
        """The images of a list: one path or URL per line, or JSON objects with `uri` or `path`.

        One that is missing is a reference, too: its result says so.
        """
        for line in _lines(path):
            if is_address(line):
                from edgevision.batching.remote import remote_reference

                yield remote_reference(line)
                continue
            place = path.parent / line
            suffix = place.suffix.lower()
            numbers = frames_of(place) if suffix in IN_FRAMES else [None]
            for number in numbers:
                reference = _of_file(ImageFile(place, number))
                name = Path(line).as_posix() + ("" if number is None else f"#{number}")
                yield ImageReference(
                    *(reference.uri, name, reference.place, number),
                    size_bytes=reference.size_bytes,
                    modified=reference.modified,
                )


def _check_there(source: str) -> None:
    """Refuse a source of this machine that does not exist, or a pattern that nothing matches."""
    if source.startswith(LIST_MARK):
        _state_of(Path(source[len(LIST_MARK) :]))
    elif not is_address(source) and not Path(source).exists():
        find([Path(source)])


def _of_file(image: ImageFile) -> ImageReference:
    path = image.path
    number = "" if image.frame is None else f"#{image.frame}"
    below = image.below if image.below is not None and image.below.is_dir() else path.parent
    name = f"{path.relative_to(below).as_posix()}{number}"
    absolute = os.path.abspath(path)  # noqa: PTH100 - `..` leaves, and links stay
    uri = f"{absolute}{number}"
    try:
        size_bytes, modified = _state_of(path)
    except InputError as error:
        return ImageReference(uri, name, MissingPlace(str(error)), image.frame)
    place = FilePlace(absolute, image.frame is not None)
    return ImageReference(uri, name, place, image.frame, size_bytes, modified)


def _state_of(path: Path) -> tuple[int, str]:
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise InputError(f"{path}: cannot be read: {reason}") from error
    return state.st_size, str(state.st_mtime_ns)


def _frames(place: MemberPlace, where: str) -> list[int | None]:
    try:
        return frames_of(Path(where), place.read())
    except InputError:  # told in its result
        return [None]


def _lines(path: Path) -> Iterable[str]:
    try:
        text = read_text(path, MOST_DOCUMENT_BYTES)
    except OSError as error:
        raise InputError(f"{path}: the list cannot be read: {error.strerror or error}") from error
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip("\ufeff\r\n")
        if not line.strip():
            continue
        yield _listed(line, f"{path}: line {number}") if path.suffix.lower() == ".jsonl" else line


def _listed(line: str, where: str) -> str:
    try:
        document = read_json(line)
    except JsonError as error:
        raise InputError(f"{where}: {error}") from error
    values = (
        [document[key] for key in _LIST_KEYS if key in document] if isinstance(document, dict) else [document]
    )
    if len(values) != 1 or not isinstance(values[0], str) or not values[0]:
        keys = " or ".join(_LIST_KEYS)
        raise InputError(f"{where}: expected a path, or an object with {keys}, got {shown(document)}")
    return values[0]
