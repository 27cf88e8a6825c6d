"""Groups of images that belong together: of one patient, one video or one site."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.system.arguments import one_path, path_text, sequence
from edgevision.system.numeric import plain
from edgevision.system.reading import read_file
from edgevision.system.shown import shown

#: How a caller says which images belong together: ``folder:LEVEL``, ``pattern:PATTERN``, ``file``, the path
#: of a CSV file, or the name of the group of each image.
GroupSource = str | os.PathLike[str] | Sequence[str] | Sequence[int]

_FORMS = (
    "folder:LEVEL, such as folder:1 for patient7/1.jpg; pattern:PATTERN, such as pattern:{group}_* for "
    "patient7_1.jpg; file for the frames of one file; or a CSV file with the columns image,group"
)
_COLUMNS = ("image", "group")
_MOST_CSV_BYTES = 1_000_000_000
_CAPTURE = "{group}"
_WILDCARD = re.compile(r"(\*|\{group\})")
#: The number of a frame, which is not a part of its file's name.
_FRAME = re.compile(r"#\d+\Z")
_NAMED = 5


@dataclass(frozen=True)
class GroupFacts:
    """Record of the groups of a set in the evidence.

    Attributes:
        source: how they were found, as the caller said it.
        groups: number of groups.
        largest: number of images of the largest one.
        design_effect: variance of a mean over the set, if the images of a group are alike, over that of as
            many independent images: Σ(images of a group)² / images (Kish 1965). Where they are less alike, it
            is between 1 and this.
        effective_images: images / `design_effect`: the independent images that the set is then worth.
    """

    source: str
    groups: int
    largest: int
    design_effect: float
    effective_images: float


@dataclass(frozen=True, eq=False)
class Grouping:
    """The group of each image of a set. Created by `read` or `read_if_any`.

    Attributes:
        source: how the groups were found, as the caller said it.
        names: one per group, sorted.
        of_images: int ``(images,)``, index of the group of each image.
    """

    source: str
    names: tuple[str, ...]
    of_images: NDArray[np.intp]

    @classmethod
    def read(
        cls, source: GroupSource, image_names: Sequence[str], where: str, others: Collection[str] = ()
    ) -> Grouping:
        """The groups of images, by their names.

        - ``folder:2`` groups by the folder at the second level below the set's root, ``patient7`` of
          ``cat/patient7/1.jpg``. Folders of the same name below others are the same group: a patient can have
          images of two classes. ``folder:1,2`` takes both names.
        - ``pattern:{group}_*`` groups by a part of the path: ``*`` stands for any characters but ``/``,
          ``{group}`` for the name of the group, both for as few as possible, and everything else for itself.
          A pattern with n slashes is compared with the last n + 1 parts of the path, without the suffix
          ``#3`` of a frame.
        - ``file`` groups the frames of one file, such as the pages of a stack.
        - A CSV file, with the columns ``image`` and ``group`` and names as in the set.
        - A sequence has the name or number of the group of each image.

        Args:
            source: one of these.
            image_names: paths relative to the set's root.
            where: the set, for messages.
            others: names that a CSV file may list besides: those of another set.

        Raises:
            OptionError: `source` is in none of these forms.
            InputError: the CSV file cannot be read, an image has no group, or one in the file is unknown,
                which the message names; or all images are in one group.
        """
        return cls._of(*_found(source, image_names, where, others), image_names, where)

    @classmethod
    def read_if_any(
        cls, source: GroupSource, image_names: Sequence[str], where: str, others: Collection[str] = ()
    ) -> Grouping | None:
        """As `read`, for a set that `source` may say nothing about: `None` if no image has a group.

        Raises:
            OptionError, InputError: as `read`, where some images have a group and others do not.
        """
        found, text = _found(source, image_names, where, others)
        return cls._of(found, text, image_names, where) if any(found) else None

    @classmethod
    def _of(cls, found: Sequence[str | None], text: str, image_names: Sequence[str], where: str) -> Grouping:
        """The groups of images, from the name of the group of each, and how they were stated."""
        missing = [name for name, group in zip(image_names, found, strict=True) if not group]
        if missing:
            raise InputError(
                f"groups {text}: {len(missing)} of the {len(found)} images of {where} have no group: "
                f"{_listed(missing)}; {_advice(text)}"
            )
        names, of_images = np.unique(np.array(found, object), return_inverse=True)
        if len(names) < 2:
            raise InputError(
                f"groups {text}: all {len(found)} images of {where} are in one group, '{names[0]}', which "
                f"cannot show how much groups differ; {_advice(text)}"
            )
        return cls(text, tuple(names.tolist()), of_images.astype(np.intp))

    def at(self, places: Sequence[int]) -> Grouping:
        """The groups of the images at these indices, in this order; groups without an image are left out."""
        kept, of_images = np.unique(self.of_images[np.asarray(places, np.intp)], return_inverse=True)
        return Grouping(
            self.source, tuple(self.names[place] for place in kept.tolist()), of_images.astype(np.intp)
        )

    def check_apart(self, other: Grouping, where: str, other_where: str) -> None:
        """Check that no group is in both sets.

        Raises:
            InputError: some are; the message names a few.
        """
        shared = sorted(set(self.names) & set(other.names))
        if shared:
            verb = "group has" if len(shared) == 1 else "groups have"
            raise InputError(
                f"{len(shared)} {verb} images in both {where} and {other_where}: {_listed(shared)}; a "
                "conversion is evaluated on groups that it was not calibrated on: split the sets by group"
            )

    def facts(self) -> GroupFacts:
        """The record for the evidence."""
        sizes = np.bincount(self.of_images)
        effect = float((sizes.astype(np.float64) ** 2).sum() / sizes.sum())
        return GroupFacts(
            self.source,
            len(self.names),
            int(sizes.max()),
            round(effect, 6),
            round(len(self.of_images) / effect, 6),
        )


def file_of(name: str) -> str:
    """The name of an image's file: its own without the number of a frame, such as ``#3``."""
    return _FRAME.sub("", name)


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of an image's name, five times faster than `PurePosixPath`, for sets of many thousands."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


def _found(
    source: GroupSource, image_names: Sequence[str], where: str, others: Collection[str]
) -> tuple[list[str | None], str]:
    """The group of each image, `None` or empty if it has none; and the source as text."""
    stated = stated_groups(source)
    if isinstance(stated, str):
        text = stated
        kind, _, rest = text.partition(":")
        if kind == "folder":
            levels = _levels(rest, text)
            return [_of_folders(name, levels) for name in image_names], text
        if kind == "pattern":
            pattern = _Pattern(rest, text)
            return [pattern.group_of(name) for name in image_names], text
        if text == "file":
            return [file_of(name) for name in image_names], text
        path = one_path(text, "groups")
        if not path.exists():
            raise OptionError(f"groups: {path} does not exist; expected {_FORMS}")
        return _of_file(path, image_names, where, others), str(path)
    if len(stated) != len(image_names):
        raise OptionError(
            f"groups: expected one per image of {where}, {len(image_names)} in all, got {len(stated)}"
        )
    return list(stated), "stated for each image"


def _levels(text: str, source: str) -> list[int]:
    parts = text.split(",")
    if not all(re.fullmatch(r"[1-9]\d{0,2}", part) for part in parts):
        raise OptionError(
            f"groups {source}: expected the level of a folder, 1 or more, such as folder:2, or several, such "
            f"as folder:1,2"
        )
    return [int(part) - 1 for part in parts]


def _of_folders(name: str, levels: Sequence[int]) -> str | None:
    folders = parts_of(name)[:-1]
    return "/".join(folders[level] for level in levels) if max(levels) < len(folders) else None


class _Pattern:
    """A path with wildcards, matched in linear time, which a regular expression does not promise."""

    def __init__(self, pattern: str, source: str) -> None:
        if pattern.count(_CAPTURE) != 1:
            raise OptionError(
                f"groups {source}: expected a pattern with {_CAPTURE} once, such as pattern:{_CAPTURE}_* for "
                f"patient7_1.jpg, where * stands for any characters but /"
            )
        self._parts = [_WILDCARD.split(part) for part in parts_of(pattern)]

    def group_of(self, name: str) -> str | None:
        """The name of the group; `None` if the pattern does not match."""
        parts = parts_of(file_of(name))[-len(self._parts) :]
        if len(parts) < len(self._parts):
            return None
        found = [_captured(tokens, part) for tokens, part in zip(self._parts, parts, strict=True)]
        return None if None in found else "".join(one or "" for one in found)


def _captured(tokens: Sequence[str], part: str) -> str | None:
    """The characters that ``{group}`` stands for, empty if it is not in the tokens; `None` without a match.

    Args:
        tokens: literals at even places, wildcards at odd ones.
        part: of the path.
    """
    if not part.startswith(tokens[0]):
        return None
    group, at, last = "", len(tokens[0]), len(tokens) - 1
    for place in range(1, len(tokens), 2):
        wildcard, literal = tokens[place : place + 2]
        # The last literal ends the part; the first place of each other one leaves most to those after it.
        end = part.find(literal, at) if place + 1 < last else len(part) - len(literal)
        if end < at or not part.startswith(literal, end):
            return None
        group += part[at:end] if wildcard == _CAPTURE else ""
        at = end + len(literal)
    return group if at == len(part) else None


def _of_file(path: Path, image_names: Sequence[str], where: str, others: Collection[str]) -> list[str | None]:
    group_of = _read_csv(path)
    known = {*image_names, *others}
    unknown = [name for name in group_of if name not in known]
    if unknown:
        raise InputError(
            f"{path}: {len(unknown)} of its {len(group_of)} images are not in {where}: {_listed(unknown)}; "
            f"expected names relative to the set, such as '{image_names[0]}'"
        )
    return [group_of.get(name) for name in image_names]


def _read_csv(path: Path) -> dict[str, str]:
    """Image -> group."""
    try:
        text = read_file(path, _MOST_CSV_BYTES).decode("utf-8-sig")
        return _rows_of(csv.reader(io.StringIO(text, newline=""), strict=True), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a valid CSV file in UTF-8: {error}") from error


def _rows_of(rows: Iterable[list[str]], path: Path) -> dict[str, str]:
    numbered = enumerate(rows, 1)
    header = [cell.strip() for cell in next(numbered, (0, []))[1]]
    if any(header.count(column) != 1 for column in _COLUMNS):
        raise InputError(
            f"{path}: expected the columns image and group in the first line, separated by commas, got "
            f"'{','.join(header):.80}'"
        )
    places = [header.index(column) for column in _COLUMNS]
    group_of: dict[str, str] = {}
    for number, row in numbered:
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(f"{path}: row {number}: expected {len(header)} columns, got {len(row)}")
        name, group = (row[place].strip() for place in places)
        if not name or not group:
            raise InputError(f"{path}: row {number}: expected an image and its group, got '{name},{group}'")
        if group_of.setdefault(name, group) != group:
            raise InputError(
                f"{path}: row {number}: the group of '{name}' is '{group}' here, but '{group_of[name]}' above"
            )
    return group_of


def stated_groups(source: GroupSource) -> str | list[str]:
    """`source` with Python's own types, before any image is looked at.

    Raises:
        OptionError: it has none of the forms of `GroupSource`.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _plain(source)
    text = path_text(source)
    if text is None:
        raise OptionError(f"groups: expected one of {_FORMS}; got {shown(source)}")
    return str.__str__(text)  # of a class of the caller's, too


def _plain(values: Sequence[str] | Sequence[int]) -> list[str]:
    try:
        groups = [plain(value) for value in sequence(values, "groups", "names, one per image")]
    except OptionError as error:
        raise OptionError(str(error) if str(error).startswith("groups") else f"groups: {error}") from error
    for group in groups:
        if isinstance(group, bool) or not isinstance(group, (str, int)):
            raise OptionError(f"groups: expected a name or a whole number for each image, got {shown(group)}")
    return [str(group) for group in groups]


def _advice(source: str) -> str:
    if source.startswith("folder:"):
        return "pass the level of a folder that names the group, pattern:PATTERN, or a CSV file image,group"
    if source.startswith("pattern:"):
        return f"in a pattern, * stands for any characters but /, and {_CAPTURE} for the name of the group"
    return "name a group for every image"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
