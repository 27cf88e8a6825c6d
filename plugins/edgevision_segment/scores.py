"""The output of a segmentation network: checked, and turned into the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import Array, InferenceError, OptionError, TensorSpec, stated_output
from edgevision_segment.description import SegmentTask
from edgevision_segment.segmentation import BACKGROUND, VOID

Classes = NDArray[np.uint8]
Floats = NDArray[np.float32]
MOST_CLASSES = 255
#: Largest value of a score that rounding explains.
_HIGHEST_SCORE = 1.01
#: Of a dequantized number in float32.
_ROUNDING = 1e-4


class ScoreMap:
    """The output of a segmentation network.

    Args:
        outputs: of the network.
        task: which of them, and what it holds.
        labels: one name per class; background may be left out, and comes first.

    Attributes:
        labels: one name per class.

    Raises:
        OptionError: the output or the number of labels is wrong for a segmentation.
    """

    def __init__(self, outputs: Sequence[TensorSpec], task: SegmentTask, labels: Sequence[str]) -> None:
        self.task = task
        spec = stated_output(outputs, task.output, "the classes")
        rank = len(spec.shape) - 1
        if task.grid_wh is not None:
            cells = spec.shape[1 if task.axis == "last" else 2] if rank == 2 else -1
            if cells not in (None, task.grid_wh[0] * task.grid_wh[1]):
                raise OptionError(
                    f"output '{task.output}': expected {task.grid_wh[0]}x{task.grid_wh[1]} cells with "
                    f"classes, got {spec.describe()}"
                )
        elif rank not in ((2, 3) if task.values == "classes" else (3,)):
            raise OptionError(
                f"output '{task.output}': expected (batch, height, width, classes), got "
                f"{spec.describe()}; for class numbers pass --task-option values=classes"
            )
        self.labels = labels_of(labels, spec, task)
        # Through a quantized output class numbers come back off by up to half of its step.
        self._off = 0.0 if spec.quantization is None else 0.5 * spec.quantization.scale + _ROUNDING

    @property
    def holds_classes(self) -> bool:
        """True for class numbers, which nothing lies between."""
        return self.task.values == "classes"

    def cells(self, outputs: Mapping[str, Array]) -> Floats:
        """The values of one image, ``(channels, height, width)``; one channel of class numbers.

        Raises:
            InferenceError: they are not finite, or not what the task says.
        """
        cells = outputs[self.task.output]
        if self.task.grid_wh is not None:
            by_class = cells.T if self.task.axis == "last" else cells
            cells = by_class.reshape(-1, *self.task.grid_wh[::-1])
        elif cells.ndim == 2:
            cells = cells[np.newaxis]
        elif self.task.axis == "last":
            cells = np.moveaxis(cells, -1, 0)
        if self.holds_classes and 0 < self._off < 0.5:
            near = np.rint(cells)
            cells = np.where(np.abs(cells - near) <= self._off, near, cells)
        self._check(cells)
        return np.ascontiguousarray(cells)

    def best(self, values: Floats, with_scores: bool = True) -> tuple[Classes, Floats | None]:
        """The class of each pixel and its score, 0…1, from ``(channels, …)``; no score for class numbers."""
        if self.holds_classes:
            return values[0].astype(np.uint8), None
        top = values.max(axis=0)
        if len(values) == 1:
            best = np.zeros(top.shape, np.uint8)
        else:  # several times faster than argmax over few channels; of equal scores, the first class
            numbers = np.arange(len(values), dtype=np.uint8).reshape(-1, *[1] * top.ndim)
            best = np.where(values == top, numbers, np.uint8(VOID)).min(axis=0)
        if self.task.are_masks:
            if self.task.values == "sigmoid-logits":
                top = _sigmoid(top)
            found = top >= self.task.threshold
            return np.where(found, best + np.uint8(1), np.uint8(0)), np.where(found, top, 1 - top)
        if not with_scores:
            return best, None
        if self.task.values == "logits":
            return best, np.asarray(1.0 / np.exp(values - top).sum(axis=0), np.float32)
        return best, np.minimum(top, np.float32(1.0))

    def score_of(self, values: Floats, class_id: int) -> Floats:
        """The score of one class, 0…1, from ``(channels, …)``; of class numbers 1 where it is the class."""
        if self.holds_classes:
            return np.asarray(values[0] == class_id, np.float32)
        if self.task.values == "sigmoid-logits":
            values = _sigmoid(values)
        if self.task.are_masks:
            return np.asarray(values[class_id - 1] if class_id else 1 - values.max(axis=0), np.float32)
        if self.task.values == "logits":
            weights = np.exp(values - values.max(axis=0))
            return np.asarray(weights[class_id] / weights.sum(axis=0), np.float32)
        return np.asarray(values[class_id], np.float32)

    def _check(self, cells: Floats) -> None:
        name, values = self.task.output, self.task.values
        if not np.isfinite(cells).all():
            raise InferenceError(f"output '{name}' contains NaN or infinity; expected finite numbers")
        low, high = float(cells.min()), float(cells.max())
        if values == "classes":
            if low < 0 or high >= len(self.labels) or (cells != np.rint(cells)).any():
                raise InferenceError(
                    f"output '{name}' gave values from {low:g} to {high:g}; expected class numbers, 0 to "
                    f"{len(self.labels) - 1}, one of the labels each"
                )
        elif values in ("softmax", "sigmoid") and not (low >= 1 - _HIGHEST_SCORE and high <= _HIGHEST_SCORE):
            raise InferenceError(
                f"output '{name}' gave values from {low:.4g} to {high:.4g}; expected scores, 0 to 1; if they "
                "are logits, convert again with --scores logits"
            )


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -80, 80))), np.float32)


def class_count(spec: TensorSpec, task: SegmentTask) -> int | None:
    """Number of classes, background included; `None` for class numbers, which do not say."""
    if task.values == "classes":
        return None
    channels = spec.shape[-1] if task.axis == "last" else spec.shape[1]
    return None if channels is None else channels + int(task.are_masks)


def labels_of(labels: Sequence[str], spec: TensorSpec, task: SegmentTask) -> tuple[str, ...]:
    """One name per class: those stated, with background where it is left out, or numbers.

    Raises:
        OptionError: their number is not that of the classes, or there are more than `MOST_CLASSES`.
    """
    count = class_count(spec, task)
    given = tuple(labels)
    if count is None:
        if not given:
            raise OptionError(
                f"output '{spec.name}' holds class numbers; pass --labels FILE with their names"
            )
        count = len(given)
    if count > MOST_CLASSES:
        raise OptionError(f"output '{spec.name}': {count} classes; expected {MOST_CLASSES} at most")
    if not given:
        names = [f"class {number}" for number in range(count)]
        return (BACKGROUND, *names[1:]) if task.are_masks else tuple(names)
    if len(given) == count - 1:
        return (BACKGROUND, *given)
    if len(given) != count:
        raise OptionError(
            f"output '{spec.name}' has {count} classes"
            f"{', background included' if task.are_masks else ''}, and there are {len(given)} labels"
        )
    return given
