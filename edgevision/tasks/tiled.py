"""Models that cut an image of any size into overlapping tiles of their network's size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from edgevision.errors import OptionError
from edgevision.imaging.decode import as_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import known_levels
from edgevision.imaging.preprocess import Preprocessing
from edgevision.imaging.tiles import Axis, axis_tiles, padded_image
from edgevision.session import CheckedSession
from edgevision.tasks.single_run import NetworkModel
from edgevision.tensors import Array

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of one image, and the outputs of the network for them.

    Attributes:
        rows, columns: where they begin.
        overlap: pixels that neighbours share at least.
    """

    rows: Axis
    columns: Axis
    overlap: int
    _model: TiledModel[Any]
    _frame: Frame

    def outputs(self, top: int) -> Iterator[Mapping[str, Array]]:
        """The outputs of a row of tiles, from left to right: as `SingleRunModel._result` has them.

        Args:
            top: the row's first pixel, one of ``rows.starts``.

        Raises:
            InferenceError: the runtime failed.
        """
        return self._model._run_tiles(self._frame, self.rows, self.columns, top)


class TiledModel(NetworkModel[ResultT], Generic[ResultT]):
    """A model that runs its network on each tile of an image. Safe to share between threads.

    A pixel of the image is a pixel of the network's input: nothing is resized. An image that is smaller than
    a tile is continued by its reflection.

    Args:
        session, preprocessing, labels, task: as `NetworkModel`; its resize is not used.
        overlap: pixels that neighbouring tiles share at least; below half of the network's smaller side.

    Raises:
        OptionError: as `NetworkModel`, or `overlap` is too large.
    """

    def __init__(
        self,
        session: CheckedSession,
        preprocessing: Preprocessing,
        labels: Sequence[str],
        task: Any,
        overlap: int,
    ) -> None:
        super().__init__(session, preprocessing, labels, task)
        self._overlap = overlap
        most = (min(preprocessing.size_wh) - 1) // 2
        if not 0 <= overlap <= most:
            raise OptionError(
                f"overlap: expected 0 to {most} pixels for an input of {preprocessing.size_wh[0]}x"
                f"{preprocessing.size_wh[1]}, got {overlap}"
            )

    @abstractmethod
    def _result(self, tiles: Tiles, size_wh: tuple[int, int]) -> ResultT:
        """The result of one image.

        Args:
            tiles: of the image; `edgevision.tasks.api.blended_bands` blends what is made of them.
            size_wh: width and height of the image.

        A subclass may take further arguments, by name and with defaults: those of its calls.

        Raises:
            InferenceError: the outputs are not valid.
        """

    def _run(self, images: Any, color: str, call: Mapping[str, Any]) -> list[ResultT]:
        return [self._of_image(as_frame(image, color), call) for image in images]

    def _of_image(self, frame: Frame, call: Mapping[str, Any]) -> ResultT:
        # Black and white of the whole image count for its tiles too.
        frame = known_levels(frame, self.preprocessing.mapping)
        width, height = self.preprocessing.size_wh
        rows = axis_tiles(frame.pixels.shape[0], height, height, self._overlap)
        columns = axis_tiles(frame.pixels.shape[1], width, width, self._overlap)
        padded = replace(frame, pixels=padded_image(frame.pixels, rows, columns))
        size_wh = columns.size, rows.size
        return self._result(Tiles(rows, columns, self._overlap, self, padded), size_wh, **call)

    def _run_tiles(self, frame: Frame, rows: Axis, columns: Axis, top: int) -> Iterator[Mapping[str, Array]]:
        with self.session.lease(1) as slot:
            for left in columns.starts:
                part = frame.pixels[top : top + rows.tile, left : left + columns.tile]
                tile = replace(frame, pixels=np.ascontiguousarray(part))
                self._preprocess.put(tile, slot.inputs[self._input.name][0])
                yield self._rows(slot.run(), 1)[0]
