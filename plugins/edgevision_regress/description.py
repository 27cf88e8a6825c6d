"""The description of a regression, as a manifest has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from edgevision.tasks.api import OptionError, real_number


@dataclass(frozen=True)
class RegressTask:
    """A vector of values about an image.

    Attributes:
        output: name of the output, ``(batch, values)``.
        names: one name per value, in the output's order, such as ``age``.
        units: the unit of each value, such as ``years``; empty for a value without one.
        ranges: (low, high) of each value: what errors are compared with. Values beyond it are given as they
            are.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    name: ClassVar[str] = "regress"
    output: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.output, str):
            raise OptionError(f"output: expected the name of a tensor, got {self.output!r:.80}")
        names, units = _texts(self.names, "names"), _texts(self.units, "units")
        if not names or len(set(names)) != len(names) or not all(names):
            raise OptionError(f"names: expected one name per value, each another, got {self.names!r:.80}")
        ranges = tuple(_range(one) for one in _listed(self.ranges, "ranges"))
        for field, values in (("units", units), ("ranges", ranges)):
            if len(values) != len(names):
                raise OptionError(f"{field}: expected one for each of {len(names)} values, got {len(values)}")
        for field, stated in (("names", names), ("units", units), ("ranges", ranges)):
            object.__setattr__(self, field, stated)

    @property
    def read_outputs(self) -> dict[str, str]:
        """The output that is read."""
        return {self.output: ""}


def _listed(values: Any, field: str) -> Sequence[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise OptionError(f"{field}: expected a list, got {values!r:.80}")
    return values


def _texts(values: Any, field: str) -> tuple[str, ...]:
    texts = tuple(_listed(values, field))
    for text in texts:
        if not isinstance(text, str):
            raise OptionError(f"{field}: expected texts, got {text!r:.80}")
    return texts


def _range(pair: Any) -> tuple[float, float]:
    ends = tuple(real_number(end, "ranges") for end in _listed(pair, "ranges"))
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise OptionError(f"ranges: expected a low number, then a higher, got {pair!r:.80}")
    return ends[0], ends[1]
