"""The models of a segmentation: of a whole image, or of its tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    Array,
    CheckedSession,
    ExplainableModel,
    Frame,
    NothingFoundError,
    Placement,
    Preprocessing,
    SingleRunModel,
    TiledModel,
    Tiles,
    blended_bands,
    grid_of,
    placement_of,
)
from edgevision_segment.description import SegmentTask
from edgevision_segment.scores import Floats, ScoreMap
from edgevision_segment.segmentation import BACKGROUND, VOID, Segmentation

if TYPE_CHECKING:
    from edgevision.tasks.api import Aim

#: Rows of an image, and what stands there.
_Rows = Iterator[tuple[slice, Floats]]


class Segmenter(ExplainableModel[Segmentation], SingleRunModel[Segmentation]):
    """A segmentation network that sees the whole image. Safe to share between threads.

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
        self._map = ScoreMap(session.outputs, task, self.labels)
        self.labels = self._map.labels

    def _result(
        self,
        outputs: Mapping[str, Array],
        size_wh: tuple[int, int],
        placement: Placement,
        scores: bool = True,
    ) -> Segmentation:
        """The segmentation of one image; without `scores` for callers that need the classes alone."""
        cells = self._map.cells(outputs)
        grid = grid_of((cells.shape[2], cells.shape[1]), self.preprocessing.size_wh, size_wh, placement)
        bands: _Rows
        if self._map.holds_classes:
            bands = iter([(slice(0, size_wh[1]), grid.nearest(cells[0])[np.newaxis])])
        else:
            bands = grid.interpolated(cells)
        return _gathered(self._map, bands, size_wh, scores, grid.seen)

    def _aim(self, frame: Frame, target: Any) -> Aim:
        """The mean score of a class over the pixels where it was found (Vinogradova et al. 2020)."""
        from edgevision.tasks.api import Aim, class_of  # who segments does not wait for explanations

        cells = self._map.cells(self.outputs_of(frame))
        classes, _ = self._map.best(cells, with_scores=False)
        seen = self._seen(classes.shape, placement_of(self.preprocessing, frame.size_wh))
        if target is None:
            class_id = _largest(classes[seen], self.labels)
        else:
            class_id = class_of(target, self.labels, len(self.labels))
        where = seen & (classes == class_id)
        if not where.any():
            raise NothingFoundError(
                f"target: no pixel of class '{self.labels[class_id]}' was found in this image"
            )

        def score_of(outputs: Mapping[str, Array]) -> NDArray[np.float64]:
            rows = self._rows(outputs, len(outputs[self.task.output]))
            scores = (self._map.score_of(self._map.cells(row), class_id) for row in rows)
            return np.array([float(one[where].mean()) for one in scores], np.float64)

        return Aim(self.labels[class_id], class_id, score_of, self.preprocess)

    def _seen(self, cells_hw: tuple[int, ...], placement: Placement) -> NDArray[np.bool_]:
        """bool ``(height, width)``: the cells of the network's output whose centres the image covers."""
        axes = []
        for axis, (size, cells) in enumerate(zip(self.preprocessing.size_wh, cells_hw[::-1], strict=True)):
            centres = (np.arange(cells) + 0.5) * size / cells
            axes.append((centres >= placement.seen_low[axis]) & (centres <= placement.seen_high[axis]))
        return np.asarray(axes[1][:, np.newaxis] & axes[0])


class TiledSegmenter(TiledModel[Segmentation]):
    """A segmentation network that sees images of any size in overlapping tiles. Safe to share by threads.

    Scores are blended where tiles overlap; class numbers come from the tile whose centre is nearest. The
    memory is that of the result, and of the scores of one row of tiles.

    Args:
        session, preprocessing, labels, task: as `Segmenter`.

    Raises:
        OptionError: as `Segmenter`, or the overlap is too large for the network's input.
    """

    def __init__(
        self, session: CheckedSession, preprocessing: Preprocessing, labels: Sequence[str], task: SegmentTask
    ) -> None:
        super().__init__(session, preprocessing, labels, task, task.overlap or 0)
        self._map = ScoreMap(session.outputs, task, self.labels)
        self.labels = self._map.labels

    def _result(self, tiles: Tiles, size_wh: tuple[int, int], scores: bool = True) -> Segmentation:
        """The segmentation of one image; without `scores` for callers that need the classes alone."""
        bands: _Rows
        if self._map.holds_classes:
            bands = self._owned(tiles)
        else:
            bands = blended_bands(
                tiles.rows, tiles.columns, tiles.overlap, lambda top: map(self._at_pixels, tiles.outputs(top))
            )
        return _gathered(self._map, bands, size_wh, scores, None)

    def _at_pixels(self, outputs: Mapping[str, Array]) -> Floats:
        """The values of one tile at each of its pixels, ``(channels, height, width)``."""
        cells = self._map.cells(outputs)
        tile_wh = self.preprocessing.size_wh
        cells_wh = cells.shape[2], cells.shape[1]
        if cells_wh == tile_wh:
            return cells
        grid = grid_of(cells_wh, tile_wh, tile_wh, placement_of(self.preprocessing, tile_wh))
        if self._map.holds_classes:
            return grid.nearest(cells[0])[np.newaxis]
        return np.concatenate([values for _, values in grid.interpolated(cells)], axis=1)

    def _owned(self, tiles: Tiles) -> _Rows:
        rows, columns = tiles.rows, tiles.columns
        owned = columns.owned()
        for top, part in rows.owned().items():
            band = np.zeros((1, part.stop - part.start, columns.padded), np.float32)
            for left, outputs in zip(columns.starts, tiles.outputs(top), strict=True):
                place = owned[left]
                inside = slice(place.start - left, place.stop - left)
                band[0, :, place] = self._at_pixels(outputs)[0, part.start - top : part.stop - top, inside]
            shown = slice(part.start, min(part.stop, rows.size))
            if shown.start < shown.stop:
                yield shown, band[:, : shown.stop - shown.start, : columns.size]


def _gathered(
    score_map: ScoreMap,
    bands: _Rows,
    size_wh: tuple[int, int],
    with_scores: bool,
    seen: NDArray[np.bool_] | None,
) -> Segmentation:
    """The segmentation of an image from its rows; what the network did not see is `VOID`."""
    width, height = size_wh
    with_scores = with_scores and not score_map.holds_classes
    classes = np.empty((height, width), np.uint8)
    scores = np.empty((height, width), np.float32) if with_scores else None
    for rows, values in bands:
        classes[rows], found = score_map.best(values, with_scores)
        if scores is not None:
            scores[rows] = found
    if seen is not None:
        classes[~seen] = VOID
        if scores is not None:
            scores[~seen] = 0.0
    return Segmentation(classes, score_map.labels, scores)


def _largest(classes: NDArray[np.uint8], labels: Sequence[str]) -> int:
    """The class with the most pixels, background only if there is no other."""
    counts = np.bincount(classes.reshape(-1), minlength=len(labels))
    if BACKGROUND in labels and counts[labels.index(BACKGROUND)] < counts.sum():
        counts[labels.index(BACKGROUND)] = 0
    return int(counts.argmax())
