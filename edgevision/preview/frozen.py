"""Frames that viewers of a preview stop at, and what the answers about them rest on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgevision.drawing.explanations import draw_explanation
from edgevision.errors import OptionError
from edgevision.explaining.explanation import Explanation
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.preview.live import Live, jpeg
from edgevision.streaming.records import StreamFrame
from edgevision.tasks.explainable_model import ExplainableModel

#: Called with (runs done, runs at most); False ends the explanation with the map so far.
Progress = Callable[[int, int], bool]
#: From a frame to the explanation of its best class or object, and its picture.
Explain = Callable[[StreamFrame, Progress], tuple[Explanation, Pixels]]

#: Each is a whole frame in memory.
_MOST_FROZEN = 4


@dataclass(eq=False)
class _Frozen:
    frame: StreamFrame
    document: dict[str, Any]
    picture: bytes
    explanation: dict[str, Any] | None = None
    map: bytes | None = None


class FrozenFrames:
    """The latest frames that viewers stopped at, by their index in the stream.

    Args:
        live: the stream.
        explain: explains one of them; `None` for a model whose answers cannot be explained.

    Attributes:
        progress: (runs done, runs at most) of the explanation that is being computed, or `None`.
    """

    def __init__(self, live: Live, explain: Explain | None = None) -> None:
        self._live = live
        self._explain = explain
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, _Frozen] = OrderedDict()
        self._busy = threading.Lock()
        self.progress: tuple[int, int] | None = None

    def freeze(self) -> dict[str, Any] | None:
        """Keep the newest frame, and describe it with its answer for the page; `None` before the first."""
        newest = self._live.newest()
        if newest is None:
            return None
        frame, document, picture = newest
        with self._lock:
            frozen = self._kept.setdefault(frame.index, _Frozen(frame, document, picture))
            self._kept.move_to_end(frame.index)
            while len(self._kept) > _MOST_FROZEN:
                self._kept.popitem(last=False)
        return {"frame": frozen.document, "explainable": self._explain is not None}

    def picture(self, index: int, explained: bool) -> bytes | None:
        """The picture of a frozen frame as JPEG: with its answer, or with its explanation; `None` if gone."""
        frozen = self._of(index)
        if frozen is None:
            return None
        return frozen.map if explained else frozen.picture

    def explain(self, index: int, is_unwanted: Callable[[], bool]) -> dict[str, Any]:
        """Explain the best class or object of a frozen frame, which is computed once.

        Args:
            index: of the frame.
            is_unwanted: asked between runs; the map so far is given once it returns True.

        Returns:
            The explanation as JSON values, without its map.

        Raises:
            EdgeVisionError: it is not frozen any more, another one is being explained, or it cannot be, such
                as one in which nothing was found.
        """
        frozen = self._of(index)
        if frozen is None:
            raise OptionError(f"frame {index} is not frozen any more; freeze another one")
        if self._explain is None:
            raise OptionError("the answers of this model cannot be explained")
        if frozen.explanation is not None:  # also while another one is being explained
            return frozen.explanation
        if not self._busy.acquire(blocking=False):  # each takes the runs of many frames
            raise OptionError("another frame is being explained; try again later")
        try:
            if frozen.explanation is None:
                explanation, picture = self._explain(frozen.frame, self._reporting(is_unwanted))
                if is_unwanted():  # cut short: the next viewer shall have the whole one
                    return explanation.to_dict()
                frozen.map, frozen.explanation = jpeg(picture), explanation.to_dict()
            return frozen.explanation
        finally:
            self.progress = None
            self._busy.release()

    def _reporting(self, is_unwanted: Callable[[], bool]) -> Progress:
        def report(done: int, most: int) -> bool:
            self.progress = done, most
            return not is_unwanted()

        return report

    def _of(self, index: int) -> _Frozen | None:
        with self._lock:
            return self._kept.get(index)


def explain_of(model: Any) -> Explain | None:
    """How frames are explained by a model; `None` if it explains no answers."""
    if not isinstance(model, ExplainableModel):
        return None

    def explain(frame: StreamFrame, progress: Progress) -> tuple[Explanation, Pixels]:
        explanation = model.explain(frame.image, progress=progress)
        return explanation, draw_explanation(viewable(frame.image, model.preprocessing.mapping), explanation)

    return explain
