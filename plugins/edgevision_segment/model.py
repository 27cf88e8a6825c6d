"""The model of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    Array,
    CheckedSession,
    InferenceError,
    OptionError,
    Placement,
    Preprocessing,
    SingleRunModel,
    TensorSpec,
    stated_output,
)
from edgevision_segment.description import SegmentTask
from edgevision_segment.resampling import Floats, Grid, grid_of
from edgevision_segment.segmentation import BACKGROUND, VOID, Segmentation

#: Largest value of a score that rounding explains.
_HIGHEST_SCORE = 1.01
MOST_CLASSES = 255


class Segmenter(SingleRunModel[Segmentation]):
    """A segmentation network. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        labels: one name per class; background may be left out, and comes first.
        task: its output, and what that holds.

    Raises:
        OptionError: the network's tensors or the number of labels are wrong for a segmentation.
    """

    def __init__(
        self, session: CheckedSession, preprocessing: Preprocessing, labels: Sequence[str], task: SegmentTask
    ) -> None:
        super().__init__(session, preprocessing, labels, task)
        self._spec = stated_output(session.outputs, task.output, "the classes")
        rank = len(self._spec.shape) - 1
        if rank not in ((2, 3) if task.values == "classes" else (3,)):
            raise OptionError(
                f"output '{task.output}': expected (batch, height, width, classes), got "
                f"{self._spec.describe()}; for class numbers pass --task-option values=classes"
            )
        self.labels = labels_of(self.labels, self._spec, task)

    def _result(
        self,
        outputs: Mapping[str, Array],
        size_wh: tuple[int, int],
        placement: Placement,
        scores: bool = True,
    ) -> Segmentation:
        """The segmentation of one image; without `scores` for callers that need the classes alone."""
        cells = outputs[self.task.output]
        if self.task.axis == "last" and cells.ndim == 3:
            cells = np.moveaxis(cells, -1, 0)
        self._check(cells)
        cells_wh = cells.shape[-1], cells.shape[-2]
        grid = grid_of(cells_wh, self.preprocessing.size_wh, size_wh, placement)
        if self.task.values == "classes":
            classes = grid.nearest(cells.reshape(cells.shape[-2:])).astype(np.uint8)
            found = None
        else:
            classes, found = self._scored(grid, np.ascontiguousarray(cells), size_wh, scores)
        seen = grid.seen
        if seen is not None:
            classes[~seen] = VOID
            if found is not None:
                found[~seen] = 0.0
        return Segmentation(classes, self.labels, found)

    def _scored(
        self, grid: Grid, cells: Floats, size_wh: tuple[int, int], with_scores: bool
    ) -> tuple[NDArray[np.uint8], Floats | None]:
        width, height = size_wh
        classes = np.empty((height, width), np.uint8)
        scores = np.empty((height, width), np.float32) if with_scores else None
        for rows, values in grid.interpolated(cells):
            best, score = self._best(values, with_scores)
            classes[rows] = best
            if scores is not None:
                scores[rows] = score
        return classes, scores

    def _best(self, values: Floats, with_scores: bool) -> tuple[NDArray[np.uint8], Floats | None]:
        """The class of each pixel, and its score, from ``(channels, rows, width)``."""
        top = values.max(axis=0)
        if len(values) == 1:
            best = np.zeros(top.shape, np.uint8)
        else:  # several times faster than argmax over few channels; of equal scores, the first class
            numbers = np.arange(len(values), dtype=np.uint8)[:, None, None]
            best = np.where(values == top, numbers, np.uint8(VOID)).min(axis=0)
        if self.task.are_masks:
            if self.task.values == "sigmoid-logits":
                top = np.asarray(1.0 / (1.0 + np.exp(-np.clip(top, -80, 80))), np.float32)
            found = top >= self.task.threshold
            return np.where(found, best + np.uint8(1), np.uint8(0)), np.where(found, top, 1 - top)
        if not with_scores:
            return best, None
        if self.task.values == "logits":
            return best, np.asarray(1.0 / np.exp(values - top).sum(axis=0), np.float32)
        return best, np.minimum(top, np.float32(1.0))

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
