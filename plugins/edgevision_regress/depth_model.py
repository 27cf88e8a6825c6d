"""The models of maps of values: of a whole image, or of its tiles."""

from __future__ import annotations

from collections.abc import Mapping

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
    TiledModel,
    Tiles,
    blended_bands,
    grid_of,
    placement_of,
    stated_output,
)
from edgevision_regress.depth import DepthMap, DepthTask


class DepthEstimator(SingleRunModel[DepthMap]):
    """A network that sees the whole image. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        task: its output, and what the values are.

    Raises:
        OptionError: the network has no such output, or it is no map of one value per pixel.
    """

    def __init__(self, session: CheckedSession, preprocessing: Preprocessing, task: DepthTask) -> None:
        super().__init__(session, preprocessing, (), task)
        check_output(stated_output(session.outputs, task.output, f"the {task.value}"))

    def _result(
        self, outputs: Mapping[str, Array], size_wh: tuple[int, int], placement: Placement
    ) -> DepthMap:
        cells = cells_of(outputs, self.task)
        grid = grid_of((cells.shape[2], cells.shape[1]), self.preprocessing.size_wh, size_wh, placement)
        values = np.empty(size_wh[::-1], np.float32)
        for rows, found in grid.interpolated(cells):
            values[rows] = found[0]
        if grid.seen is not None:
            values[~grid.seen] = np.nan
        return DepthMap(values, self.task)


class TiledDepthEstimator(TiledModel[DepthMap]):
    """A network that sees images of any size in overlapping tiles, whose values are blended.

    Args:
        session, preprocessing, task: as `DepthEstimator`.

    Raises:
        OptionError: as `DepthEstimator`, or the overlap is too large for the network's input.
    """

    def __init__(self, session: CheckedSession, preprocessing: Preprocessing, task: DepthTask) -> None:
        super().__init__(session, preprocessing, (), task, task.overlap or 0)
        check_output(stated_output(session.outputs, task.output, f"the {task.value}"))

    def _result(self, tiles: Tiles, size_wh: tuple[int, int]) -> DepthMap:
        values = np.empty(size_wh[::-1], np.float32)
        bands = blended_bands(
            tiles.rows, tiles.columns, tiles.overlap, lambda top: map(self._at_pixels, tiles.outputs(top))
        )
        for rows, found in bands:
            values[rows] = found[0]
        return DepthMap(values, self.task)

    def _at_pixels(self, outputs: Mapping[str, Array]) -> NDArray[np.float32]:
        """The values of one tile at each of its pixels, ``(1, height, width)``."""
        cells, tile_wh = cells_of(outputs, self.task), self.preprocessing.size_wh
        placement = placement_of(self.preprocessing, tile_wh)
        grid = grid_of((cells.shape[2], cells.shape[1]), tile_wh, tile_wh, placement)
        return np.concatenate([values for _, values in grid.interpolated(cells)], axis=1)


def is_map(spec: TensorSpec) -> bool:
    """True for one value at each cell of a grid: two sizes of more than 1, or open ones."""
    sides = [size for size in spec.shape[1:] if size != 1]
    return len(sides) == 2 and len(spec.shape) in (3, 4)


def check_output(spec: TensorSpec) -> None:
    """Refuse an output that is no map.

    Raises:
        OptionError: says what it is.
    """
    if not is_map(spec):
        raise OptionError(
            f"output '{spec.name}' is {spec.describe()}; expected one value per pixel, "
            "(batch, height, width, 1)"
        )


def cells_of(outputs: Mapping[str, Array], task: DepthTask) -> NDArray[np.float32]:
    """The values on the network's grid, in the task's unit: float32 ``(1, height, width)``.

    Raises:
        InferenceError: one is NaN or infinite.
    """
    values = np.asarray(outputs[task.output], np.float32)
    sides = values.shape[:2] if values.ndim == 3 and values.shape[-1] == 1 else values.shape[-2:]
    cells: NDArray[np.float32] = values.reshape(1, *sides) * np.float32(task.factor)
    if not np.isfinite(cells).all():
        raise InferenceError(f"output '{task.output}' contains NaN or infinity; expected finite numbers")
    return cells
