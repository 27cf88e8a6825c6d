"""Records without the folders of whoever made them: absolute paths are reduced to their last parts.

A path says who a person is (``/home/jane.doe/…``), and often whom it is about (``/scans/john_smith/…``).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

#: Top folders of the usual systems: a text may have been written on another machine.
_USUAL_ROOTS = (
    *("Users", "Volumes", "bin", "content", "data", "dev", "etc", "home", "kaggle", "lib", "media", "mnt"),
    *("opt", "private", "proc", "root", "run", "scratch", "srv", "sys", "tmp", "usr", "var", "workspace"),
)
#: A character of a path in a text: no white space, and nothing that ends a clause or a quotation.
_IN_PATH = r"[^\s/\\:;,'\"()<>|]"
_BEFORE = r"(?<![\w./\\-])"
_SEPARATOR = re.compile(r"[/\\]")


def base_name(path: str | os.PathLike[str]) -> str:
    """The last part of a path, also of ``.`` and ``..``; of the root, the root."""
    given = Path(path)
    if given.name not in ("", ".."):
        return given.name
    meant = given.resolve()
    return meant.name or str(meant)


def without_folders(known: Iterable[str | os.PathLike[str]] = ()) -> Callable[[str], str]:
    """A function that takes the folders of absolute paths out of a text.

    A layer such as ``/conv/Conv`` is no path: only what begins with a top folder of some system is.

    Args:
        known: paths that are replaced by their last part wherever they stand, relative ones too; what is
            below them stays, such as ``cats/1.png`` of an image set. Needed where a folder has white space.
    """
    names: dict[str, str] = {}
    for path in map(Path, known):
        names |= {str(each): base_name(path) for each in (path, path.absolute()) if len(each.parts) > 1}
    names |= {f"{folder}{os.sep}": "" for folder in _own_folders()}
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    exact = re.compile(rf"{_BEFORE}(?:{longest_first})(?!\w)|{_BEFORE}(?:{longest_first})(?<=[/\\])")

    def reduced(text: str) -> str:
        if not _SEPARATOR.search(text):
            return text
        text = exact.sub(lambda match: names[match[0]], text)
        return _absolute_path().sub(lambda match: _SEPARATOR.split(match[0].rstrip("/\\"))[-1], text)

    return reduced


def words_without_folders(words: Iterable[str], known: Collection[Path]) -> tuple[str, ...]:
    """The words of a command line with base names of known paths, also of those spelled ``a//b``."""

    def reduced(word: str) -> str:
        before, equals, value = word.rpartition("=")  # of --option=PATH, or NAME=PATH
        return f"{before}{equals}{base_name(value)}" if value and Path(value) in known else word

    return tuple(map(reduced, words))


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A value with every text in it changed: in dataclasses, lists, tuples, and as keys and values."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(with_texts(each, change) for each in value)
    if isinstance(value, Mapping):
        return {with_texts(name, change): with_texts(each, change) for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {
            each.name: with_texts(getattr(value, each.name), change) for each in fields(value) if each.init
        }
        return replace(value, **parts)
    return value


def _own_folders() -> set[str]:
    folders = {tempfile.gettempdir()}
    with suppress(RuntimeError, OSError):  # no home, or the working folder was removed
        folders |= {str(Path.home()), str(Path.cwd())}
    return {folder.rstrip("/\\") for folder in folders if len(Path(folder).parts) > 1}


@cache
def _absolute_path() -> re.Pattern[str]:
    roots = set(_USUAL_ROOTS)
    with suppress(OSError):
        roots |= {entry.name for entry in os.scandir("/") if entry.is_dir()}
    posix = rf"/(?:{'|'.join(map(re.escape, sorted(roots)))})(?:/{_IN_PATH}+)+/?"
    windows = rf"(?:[A-Za-z]:[\\/]|\\\\)(?:{_IN_PATH}+[\\/])*{_IN_PATH}+"
    return re.compile(rf"{_BEFORE}(?:{posix}|{windows}|~(?:[A-Za-z_]\w*)?(?:/{_IN_PATH}+)+)")
