"""Limits of the process that reads a source and converts it, as a caller states them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from edgevision.errors import OptionError
from edgevision.system.arguments import real_number, whole_number


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
        idle_s: seconds without any computing; Linux only. Default: 600.
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
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if value is not None:
                checked = (
                    whole_number(value, name, least=1) if name == "open_files" else _above_0(value, name)
                )
                object.__setattr__(self, name, checked)


def _above_0(value: float, name: str) -> float:
    checked = real_number(value, name)
    if checked <= 0:
        raise OptionError(f"{name}: expected a number above 0, got {checked:g}")
    return checked
