"""Class names, in the order of the network's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgevision.errors import OptionError
from edgevision.system.numeric import plain

_MOST_LISTED = 20


def as_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Class names from a list, tuple or array.

    Raises:
        OptionError: not a sequence of names: a text, a path, a set, a dictionary, or numbers.
    """
    names = plain(labels)
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not all(isinstance(n, str) for n in names)
    ):
        raise OptionError(
            f"labels: expected a list of class names, in the network's order, got {labels!r:.200}"
        )
    return tuple(names)


def abbreviated(labels: Sequence[str]) -> str:
    """The labels as a list for a message, such as ``cat, dog, horse``; of many the first twenty."""
    return ", ".join(labels[:_MOST_LISTED]) + (", …" if len(labels) > _MOST_LISTED else "")


def check_label_count(labels: Sequence[str], classes: int) -> None:
    """Check that every class of a network has a label.

    Raises:
        OptionError: there are more or fewer labels than classes.
    """
    if len(labels) != classes:
        raise OptionError(
            f"{len(labels)} labels for a network with {classes} classes; expected one label per class"
        )


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Read a text file with one class per line; empty lines at its end are ignored.

    Raises:
        OptionError: the file cannot be read or is empty.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read as a list of labels: {error}") from error
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise OptionError(f"{path}: no labels found; expected one class per line")
    return tuple(lines)


def network_labels(
    path: str | Path | None, folders: tuple[str, ...], classes: int, where: str
) -> tuple[str, ...]:
    """The labels of a network: from a file, or else the class folders of its evaluation set.

    Args:
        path: a text file with one class per line, or `None`.
        folders: names of the class folders in sorted order, in which Keras's
            ``image_dataset_from_directory`` numbers them; empty for a set without labels.
        classes: the network's number of classes.
        where: the network's name, for errors.

    Raises:
        OptionError: more or fewer labels than classes, or a folder that is not among the labels.
    """
    if path is None:
        if folders and len(folders) != classes:
            raise OptionError(
                f"the evaluation set has {len(folders)} class folders, but {where} has {classes} classes; "
                f"name them all, in the network's order, with --labels FILE"
            )
        return folders or tuple(f"class {number}" for number in range(classes))
    labels = read_labels(path)
    if len(labels) != classes:
        raise OptionError(f"{path}: {len(labels)} labels, but {where} has {classes} classes")
    unknown = sorted(set(folders) - set(labels))
    if unknown:
        raise OptionError(
            f"{path}: class folder '{unknown[0]}' of the evaluation set is not among these labels"
        )
    return labels
