"""Limits of the process that reads a source and converts it."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

from edgevision.errors import OptionError
from edgevision.system.arguments import real_number, whole_number
from edgevision.system.reading import memory_bytes

#: Share of the machine's memory that a conversion may use.
_SHARE_OF_MEMORY = 0.8
#: Memory and time until a source is read, which grow with its size.
_READING_GB, _READING_GB_PER_GB = 4.0, 20.0
_READING_S, _READING_S_PER_MB = 60.0, 4.0
#: Seconds until the file is checked, before TensorFlow is imported; its structure is walked, not its values.
_CHECKING_S, _CHECKING_S_PER_MB = 10.0, 0.05
_IDLE_S = 600.0
_OPEN_FILES = 1024
_GB, _MB = 1e9, 1e6


@dataclass(frozen=True)
class SourceLimits:
    """Limits of the process that reads a source and converts it. `None` leaves a limit to its default.

    A trained model is a program: damaged or hostile, it may loop, wait for ever, or take all memory. What
    goes over a limit is ended, with a `SourceLimitError` that names it.

    Attributes:
        memory_gb: memory in use by that process and its children, in GB (10**9 bytes); Linux only. Default:
            80 % of the machine's; until the source is read, 4 GB and 20 times the source's size, if that is
            less.
        reading_s: seconds of computing until the source is read, and three times as many on the clock.
            Default: 60, and 4 for each MB of the source; of these, 10 and 1 for each 20 MB for the checks of
            a file that come before TensorFlow is imported.
        idle_s: seconds without any computing. Default: 600.
        total_s: seconds on the clock for the whole conversion. Default: none.
        open_files: files open at once in a process. Default: 1024.

    Raises:
        OptionError: a limit is not a number above 0.
    """

    memory_gb: float | None = None
    reading_s: float | None = None
    idle_s: float | None = None
    total_s: float | None = None
    open_files: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name == "open_files":
                checked: float = whole_number(value, field.name, least=1)
            else:
                checked = real_number(value, field.name)
                if checked <= 0:
                    raise OptionError(f"{field.name}: expected a number above 0, got {value}")
            object.__setattr__(self, field.name, checked)

    @classmethod
    def parse(cls, texts: tuple[str, ...]) -> SourceLimits:
        """Limits from texts such as ``reading_s=300``.

        Raises:
            OptionError: a text has another form, or names no limit.
        """
        known = [field.name for field in fields(cls)]
        values: dict[str, float] = {}
        for text in texts:
            name, _, value = text.partition("=")
            try:
                values[name] = int(value) if name == "open_files" else float(value)
            except ValueError:
                raise OptionError(f"--limit {text}: expected NAME=NUMBER, such as reading_s=300") from None
            if name not in known:
                raise OptionError(f"--limit {text}: no limit '{name}'; known: {', '.join(known)}")
        return replace(cls(), **values)  # type: ignore[arg-type]

    def checking_seconds(self, size_bytes: int) -> float:
        """Seconds of computing until the file is checked."""
        if self.reading_s is not None:
            return self.reading_s
        return _CHECKING_S + _CHECKING_S_PER_MB * size_bytes / _MB

    def reading_seconds(self, size_bytes: int) -> float:
        """Seconds of computing until the source is read."""
        if self.reading_s is not None:
            return self.reading_s
        return _READING_S + _READING_S_PER_MB * size_bytes / _MB

    def reading_memory_gb(self, size_bytes: int) -> float:
        """GB in use until the source is read."""
        if self.memory_gb is not None:
            return self.memory_gb
        return min(_READING_GB + _READING_GB_PER_GB * size_bytes / _GB, self.whole_memory_gb)

    @property
    def whole_memory_gb(self) -> float:
        """GB in use by the whole conversion."""
        return _SHARE_OF_MEMORY * memory_bytes() / _GB if self.memory_gb is None else self.memory_gb

    @property
    def idle_seconds(self) -> float:
        """Seconds without any computing."""
        return _IDLE_S if self.idle_s is None else self.idle_s

    @property
    def files(self) -> int:
        """Files open at once in a process."""
        return _OPEN_FILES if self.open_files is None else self.open_files


def size_of(source: Path) -> int:
    """Bytes of a file, or of all files in a directory; 0 for what is not there."""
    if not source.is_dir():
        return _size(source)
    return sum(_size(Path(folder, name)) for folder, _, names in os.walk(source) for name in names)


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size if file.is_symlink() else file.stat().st_size
    except OSError:
        return 0
