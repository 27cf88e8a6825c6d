"""The description of a regression, as a manifest has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from edgevision.tasks.api import OptionError, one_of, real_number

#: What coordinates are given in.
COORDINATES = ("pixels", "share")
#: End of a coordinate's name -> its axis, 0 for x and 1 for y, and whether it is a size and no place.
AXES = {
    **dict.fromkeys(("x", "left", "right"), (0, False)),
    **dict.fromkeys(("y", "top", "bottom"), (1, False)),
    "width": (0, True),
    "height": (1, True),
}


@dataclass(frozen=True)
class RegressTask:
    """Values about an image, from one output or several, and perhaps a class beside them.

    Attributes:
        output: name of the output, ``(batch, values)``.
        names: one name per value, in the outputs' order, such as ``age``.
        units: the unit of each value, such as ``years``; empty for a value without one.
        ranges: (low, high) of each value: what errors are compared with. Values beyond it are given as they
            are.
        more_outputs: names of further outputs, whose values follow those of `output`.
        coordinates: what coordinates are given in: ``pixels`` of the network's input, or ``share`` of its
            sides; the result has them in pixels of the image. They are the values whose names end in one of
            `AXES`, such as ``left eye.x`` and ``box.top``. Empty: no value is a coordinate.
        classes: name of the output with the scores of classes; empty without.
        class_scores: ``softmax`` or ``logits``.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    name: ClassVar[str] = "regress"
    output: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    more_outputs: tuple[str, ...] = field(default=(), metadata={"added": "1.1"})
    coordinates: str = field(default="", metadata={"added": "1.1"})
    classes: str = field(default="", metadata={"added": "1.1"})
    class_scores: str = field(default="softmax", metadata={"added": "1.1"})

    def __post_init__(self) -> None:
        if not isinstance(self.output, str):
            raise OptionError(f"output: expected the name of a tensor, got {self.output!r:.80}")
        names, units = _texts(self.names, "names"), _texts(self.units, "units")
        if not names or len(set(names)) != len(names) or not all(names):
            raise OptionError(f"names: expected one name per value, each another, got {self.names!r:.80}")
        ranges = tuple(_range(one) for one in _listed(self.ranges, "ranges"))
        for what, values in (("units", units), ("ranges", ranges)):
            if len(values) != len(names):
                raise OptionError(f"{what}: expected one for each of {len(names)} values, got {len(values)}")
        more = _texts(self.more_outputs, "more_outputs")
        if len({self.output, self.classes, *more}) != 2 + len(more):
            raise OptionError(f"more_outputs: expected other outputs than '{self.output}', got {more}")
        if self.coordinates:
            one_of(self.coordinates, COORDINATES, "coordinates")
        if not isinstance(self.classes, str):
            raise OptionError(f"classes: expected the name of a tensor, got {self.classes!r:.80}")
        one_of(self.class_scores, ("softmax", "logits"), "class_scores")
        stated = {"names": names, "units": units, "ranges": ranges, "more_outputs": more}
        for what, value in stated.items():
            object.__setattr__(self, what, value)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that hold the values, in their order."""
        return (self.output, *self.more_outputs)

    @property
    def read_outputs(self) -> dict[str, str]:
        """The outputs that are read, with the kind of the scores in each."""
        kind = {self.classes: "softmax" if self.class_scores == "softmax" else ""} if self.classes else {}
        return {**dict.fromkeys(self.outputs, ""), **kind}

    def axis_of(self, name: str) -> tuple[int, bool] | None:
        """Axis of a coordinate, 0 for x and 1 for y, and whether it is a size; `None` for another value."""
        return AXES.get(name.rpartition(".")[2]) if self.coordinates and "." in name else None


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
