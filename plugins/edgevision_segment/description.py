"""The description of a segmentation, as a manifest has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from edgevision.tasks.api import OptionError, one_of, real_number, whole_number

#: What an output can hold: scores or logits of exclusive classes, of independent masks, or class numbers.
VALUES = ("softmax", "logits", "sigmoid", "sigmoid-logits", "classes")
AXES = ("last", "first")


@dataclass(frozen=True)
class SegmentTask:
    """Semantic segmentation.

    Attributes:
        output: name of the output: ``(batch, height, width, classes)``, or without the last for ``classes``.
        values: ``softmax`` or ``logits`` of exclusive classes; ``sigmoid`` or ``sigmoid-logits`` of masks, of
            which the best at each pixel counts and a pixel below `threshold` is background; ``classes``: the
            number of the class itself.
        axis: where its classes are: ``last``, or ``first`` for ``(batch, classes, height, width)``.
        threshold: the lowest score of a mask, 0…1.
        overlap: pixels that neighbouring tiles share, for a network that sees images of any size in tiles of
            its own size; `None` for one that sees the whole image, resized.
        grid_wh: width and height of the grid of an output that is flattened row by row, ``(batch, cells,
            classes)``; `None` for one that is not.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    name: ClassVar[str] = "segment"
    output: str
    values: str
    axis: str = "last"
    threshold: float = 0.5
    overlap: int | None = field(default=None, metadata={"added": "1.1"})
    grid_wh: tuple[int, int] | None = field(default=None, metadata={"added": "1.1"})

    def __post_init__(self) -> None:
        if not isinstance(self.output, str):
            raise OptionError(f"output: expected the name of a tensor, got {self.output!r:.80}")
        one_of(self.values, VALUES, "values")
        one_of(self.axis, AXES, "axis")
        threshold = real_number(self.threshold, "threshold")
        if not 0 <= threshold <= 1:
            raise OptionError(f"threshold: expected 0 to 1, got {threshold:g}")
        object.__setattr__(self, "threshold", threshold)
        if self.overlap is not None:
            object.__setattr__(self, "overlap", whole_number(self.overlap, "overlap", 0))
        if self.grid_wh is not None:
            if not isinstance(self.grid_wh, (list, tuple)) or len(self.grid_wh) != 2:
                raise OptionError(f"grid_wh: expected a width and a height, got {self.grid_wh!r:.80}")
            width, height = (whole_number(side, "grid_wh", 1) for side in self.grid_wh)
            object.__setattr__(self, "grid_wh", (width, height))

    @property
    def are_masks(self) -> bool:
        """True if each class has a mask of its own, and background none."""
        return self.values.startswith("sigmoid")

    @property
    def read_outputs(self) -> dict[str, str]:
        """The output that is read, with the kind of its scores."""
        return {self.output: self.values if self.values in ("softmax", "sigmoid") else ""}
