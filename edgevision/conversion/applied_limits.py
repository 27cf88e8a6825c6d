"""The limits of one conversion, with defaults that follow from the machine and the size of the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevision.conversion.source_limits import SourceLimits
from edgevision.system.folders import entries_below
from edgevision.system.reading import memory_bytes

_SHARE_OF_MEMORY = 0.8
#: Until a source is read, which grow with its size. TensorFlow alone has 0.7 GB.
_READING_GB, _READING_GB_PER_GB = 4.0, 20.0
_READING_S, _READING_S_PER_MB = 60.0, 4.0
#: Until a file is checked, without TensorFlow: its structure is walked, and not its values.
_CHECKING_S, _CHECKING_S_PER_MB = 10.0, 0.05
_IDLE_S = 600.0
_OPEN_FILES = 1024
_GB, _MB = 1e9, 1e6


@dataclass(frozen=True)
class AppliedLimits:
    """The limits of one conversion.

    Attributes:
        checking_s, reading_s: seconds of computing until the file is checked, and from then until it is read.
        reading_gb: GB in use until the source is read.
        whole_gb: GB in use by the whole conversion.
        idle_s, total_s, open_files: as in `SourceLimits`.
    """

    checking_s: float
    reading_s: float
    reading_gb: float
    whole_gb: float
    idle_s: float
    total_s: float | None
    open_files: int

    @classmethod
    def of(cls, stated: SourceLimits, source: Path) -> AppliedLimits:
        """The stated limits, and defaults for the others.

        Args:
            stated: by the caller.
            source: the file or directory, which need not exist.
        """
        size = _size_of(source)
        whole_gb = stated.memory_gb or _SHARE_OF_MEMORY * memory_bytes() / _GB
        return cls(
            checking_s=stated.reading_s or _CHECKING_S + _CHECKING_S_PER_MB * size / _MB,
            reading_s=stated.reading_s or _READING_S + _READING_S_PER_MB * size / _MB,
            reading_gb=stated.memory_gb or min(whole_gb, _READING_GB + _READING_GB_PER_GB * size / _GB),
            whole_gb=whole_gb,
            idle_s=stated.idle_s or _IDLE_S,
            total_s=stated.total_s,
            open_files=stated.open_files or _OPEN_FILES,
        )


def _size_of(source: Path) -> int:
    """Bytes of a file, or of all files in a directory; 0 for what is not there."""
    if not source.is_dir():
        return _size(source)
    try:
        return sum(_size(Path(entry.path)) for _, entry in entries_below(source) if not entry.is_dir())
    except OSError:  # told by who reads it
        return 0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
