"""Class names, in the order of the network's outputs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from edgevision.errors import OptionError
from edgevision.system.numeric import plain
from edgevision.system.shown import shown

_MOST_LISTED = 20
#: Control characters, halves of characters, and ends of lines, which forge lines of output.
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: More classes than any network has: a larger id is none of a class.
_MOST_CLASSES = 100_000
#: What lists have in the places of classes that do not exist.
_UNNAMED = frozenset({"???", "n/a"})
#: Folders that are found above those of the classes.
_PARTS = frozenset(
    (
        *("train", "training", "val", "valid", "validation", "dev", "test", "testing"),
        *("eval", "evaluation", "calibration", "holdout"),
    )
)
#: Share of the names of a file that may be there twice: ImageNet has two cranes, the bird and the machine.
HOMONYMS = 0.01


def as_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Class names from a list, tuple or array.

    Raises:
        OptionError: not a sequence of names: a text, a path, a set, a dictionary, or numbers.
    """
    try:
        names = plain(labels)
    except OptionError as error:
        raise OptionError(f"labels: {error}") from error
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not all(isinstance(n, str) for n in names)
    ):
        raise OptionError(
            f"labels: expected a list of class names, in the network's order, got {shown(labels, 200)}"
        )
    return tuple(names)


def labels_in_order(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Class names that stand in the network's order.

    Args:
        names: one per class.
        where: the file, for errors.

    Raises:
        OptionError: there are none, one is empty or has control characters, or two are the same.
    """
    if not names:
        raise OptionError(f"{where}: no labels found; expected one class per line")
    if len(names) > _MOST_CLASSES:
        raise OptionError(f"{where}: {len(names)} labels; expected {_MOST_CLASSES} at most")
    return _checked(names, where)


def labels_by_id(names: Mapping[int, str], where: str) -> tuple[str, ...]:
    """Class names by the number of the class; classes without one are ``class 3`` and so on.

    Raises:
        OptionError: as `labels_in_order`, or an id is too large.
    """
    if not names:
        raise OptionError(f"{where}: no labels found; expected ids and names of classes")
    highest = max(names)
    if highest >= _MOST_CLASSES or min(names) < 0:
        raise OptionError(f"{where}: expected ids of classes, from 0, got {highest}")
    return _checked([names.get(number, f"class {number}") for number in range(highest + 1)], where)


def _checked(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The names, with a number where they are missing, or the same for two classes."""
    stripped = [name.replace("\t", " ").strip() for name in names]
    named = [f"class {n}" if name.lower() in _UNNAMED else name for n, name in enumerate(stripped)]
    places: dict[str, list[int]] = {}
    for number, name in enumerate(named):
        if not name or any(unicodedata.category(char) in _CONTROLS for char in name):
            raise OptionError(f"{where}: class {number} has no usable name: {shown(name)}")
        places.setdefault(name, []).append(number)
    twice = {name: numbers for name, numbers in places.items() if len(numbers) > 1}
    if sum(map(len, twice.values())) - len(twice) > HOMONYMS * len(named):
        name, numbers = next(iter(twice.items()))
        raise OptionError(
            f"{where}: classes {numbers[0]} and {numbers[1]} are both called '{name}'; give each class a "
            "name of its own"
        )
    return tuple(f"{name} (class {n})" if name in twice else name for n, name in enumerate(named))


def abbreviated(labels: Sequence[str]) -> str:
    """The labels as a list for a message, such as ``cat, dog, horse``; of many the first twenty."""
    return ", ".join(labels[:_MOST_LISTED]) + (", …" if len(labels) > _MOST_LISTED else "")


def check_label_count(labels: Sequence[str], classes: int, where: str = "") -> None:
    """Check that every class of a network has a label.

    Args:
        labels: the names.
        classes: number of classes.
        where: the file with the labels, for errors.

    Raises:
        OptionError: there are more or fewer labels than classes.
    """
    if len(labels) != classes:
        raise OptionError(
            (f"{where}: " if where else "")
            + f"{len(labels)} labels for a network with {classes} classes; expected one label per class"
            + background_hint(len(labels), classes)
        )


def parts_hint(folders: Sequence[str]) -> str:
    """The argument for one of the parts of a data set, for a message; empty for folders of classes.

    Args:
        folders: names of the folders of a set.
    """
    if not folders or not {name.lower() for name in folders} <= _PARTS:
        return ""
    best = next((name for name in folders if not name.lower().startswith("train")), folders[0])
    return (
        f"; {', '.join(folders)} are parts of a data set: pass the one to measure on, such as FOLDER/{best}"
    )


def background_hint(labels: int, classes: int) -> str:
    """The usual cause where the number of labels is one more or less than that of classes; else empty."""
    if labels == classes + 1:
        return (
            "; if class 0 of the file is a background that the network does not count, delete it, and let "
            "ids begin at 0"
        )
    if labels == classes - 1:
        return "; if the network counts a background as class 0, name it in the first line of the file"
    return ""


def network_labels(
    labels: tuple[str, ...] | None, folders: tuple[str, ...], classes: int, where: str, file: str = "labels"
) -> tuple[str, ...]:
    """The labels of a network: those that were stated, or else the class folders of its evaluation set.

    Args:
        labels: one per class, or `None`.
        folders: names of the class folders in sorted order, in which Keras's
            ``image_dataset_from_directory`` numbers them; empty for a set without labels.
        classes: the network's number of classes.
        where: the network's name, for errors.
        file: the file with the labels, likewise.

    Raises:
        OptionError: more or fewer labels than classes, a folder that is not among the labels, or folders
            that are parts of a data set.
    """
    if parts_hint(folders) and not set(folders) <= set(labels or ()):
        raise OptionError(f"the evaluation set has no class folders{parts_hint(folders)}")
    if labels is None:
        if folders and len(folders) != classes:
            raise OptionError(
                f"the evaluation set has {len(folders)} class folders, but {where} has {classes} classes; "
                f"name them all, in the network's order, with --labels FILE"
            )
        return folders or tuple(f"class {number}" for number in range(classes))
    if len(labels) != classes:
        raise OptionError(
            f"{file}: {len(labels)} labels, but {where} has {classes} classes"
            + background_hint(len(labels), classes)
        )
    unknown = sorted(set(folders) - set(labels))
    if unknown:
        raise OptionError(
            f"{file}: class folder '{unknown[0]}' of the evaluation set is not among these labels"
        )
    return labels
