"""The newest frame of a stream as a picture, and its numbers, for viewers that it never waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from edgevision.drawing.colors import class_color
from edgevision.drawing.results import verdicts
from edgevision.errors import EdgeVisionError
from edgevision.health import Health
from edgevision.imaging.pixels import Pixels
from edgevision.preview.history import History
from edgevision.streaming.records import OK, STALE, StreamFrame, StreamResult
from edgevision.streaming.stream import Stream
from edgevision.system.credentials import without_credentials
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections

#: Draws a result into its frame.
Draw = Callable[[StreamFrame, StreamResult[Any]], Pixels]

_MOST_WIDE, _JPEG_QUALITY = 1280, 85
_MOST_CLASSES, _MOST_OBJECTS = 5, 20
_MOST_EVENTS = 6


class Live:
    """The newest frame of a stream with its result, and the numbers of the last minute.

    Args:
        stream: it.
        draw: for the pictures; called in the threads of viewers, once per picture that one of them asks for.
        health: of the model; `None` if nothing watches it.
        lines: an answer as lines of text, from its task's kind; `None` shows classes and objects alone.
    """

    def __init__(
        self,
        stream: Stream[Any],
        draw: Draw,
        health: Callable[[], Health] | None = None,
        lines: Callable[[Any], Sequence[str]] | None = None,
    ) -> None:
        self._stream = stream
        self._draw = draw
        self._health = health
        self._lines = lines
        self._history = History()
        self._newest: tuple[StreamFrame, StreamResult[Any]] | None = None
        self._picture: tuple[int, bytes] | None = None
        self._drawing = threading.Lock()
        self.ended = False

    def add(self, frame: StreamFrame, result: StreamResult[Any]) -> None:
        """Make this the newest frame; for the consumer's thread, which waits for nobody here."""
        self._newest = frame, result
        self._history.add(time.monotonic(), result, self._stream.counters)

    @property
    def index(self) -> int:
        """Of the newest frame; -1 before the first."""
        newest = self._newest
        return -1 if newest is None else newest[0].index

    def picture(self) -> tuple[int, bytes] | None:
        """The newest frame's index, and its picture as JPEG, which all viewers share; `None` before it."""
        with self._drawing:
            newest = self._newest
            return None if newest is None else self._picture_of(*newest)

    def newest(self) -> tuple[StreamFrame, dict[str, Any], bytes] | None:
        """The newest frame, what the page shows of it, and its picture as JPEG; `None` before the first."""
        newest = self._newest
        if newest is None:
            return None
        with self._drawing:
            picture = self._picture_of(*newest)
        return newest[0], self._document_of(*newest), picture[1]

    def change_call(self, arguments: dict[str, Any]) -> None:
        """As `Stream.change_call`."""
        self._stream.change_call(**arguments)

    def to_dict(self) -> dict[str, Any]:
        """For the page, as JSON."""
        counters, now_s = self._stream.counters, time.monotonic()
        self._history.add(now_s, None, counters)
        document: dict[str, Any] = {
            "ended": self.ended,
            "policy": self._stream.policy,
            "call": dict(self._stream.call),
            "captured": counters.captured,
            "answered": counters.answered,
            "dropped": dict(counters.dropped),
            "stale": counters.stale,
            "abstained": counters.abstained,
            "failed": counters.failed,
            "reconnects": counters.reconnects,
            "history": self._history.to_dict(now_s),
            "events": [
                {"at": event.at.iso(), "kind": event.kind, "message": event.message}
                for event in self._stream.events[-_MOST_EVENTS:]
            ],
        }
        if self._health is not None:
            document["health"] = self._health().to_dict()
        newest = self._newest
        if newest is not None:
            document["frame"] = self._document_of(*newest)
        return document

    def _picture_of(self, frame: StreamFrame, result: StreamResult[Any]) -> tuple[int, bytes]:
        if self._picture is None or self._picture[0] != frame.index:
            self._picture = frame.index, jpeg(self._draw(frame, result))
        return self._picture

    def _document_of(self, frame: StreamFrame, result: StreamResult[Any]) -> dict[str, Any]:
        return {**_frame_document(frame, result), **self._found(result)}

    def _found(self, result: StreamResult[Any]) -> dict[str, Any]:
        """The answer as rows of text, the best first."""
        value = result.value if result.state in (OK, STALE) else result.unsure
        if value is None:
            return {}
        if isinstance(value, Classification):
            rows = [_row(one.label, one.score, one.class_id, None) for one in value.top(_MOST_CLASSES)]
            told = [f"{text} ({number})" if number else text for text, number in verdicts(value)]
            return {"kind": "classes", "found": rows, "count": len(rows), "verdicts": told}
        if isinstance(value, Detections):
            best = list(value)[:_MOST_OBJECTS]
            rows = [_row(one.label, one.score, one.class_id, one.tracker_id) for one in best]
            return {"kind": "objects", "found": rows, "count": len(value)}
        lines = [] if self._lines is None else self._lines(value)
        return (
            {"kind": "lines", "found": [{"label": line} for line in lines[:_MOST_OBJECTS]]} if lines else {}
        )


def _frame_document(frame: StreamFrame, result: StreamResult[Any]) -> dict[str, Any]:
    width, height = frame.image.size_wh
    return {
        "index": frame.index,
        "source": without_credentials(frame.source),
        "width": width,
        "height": height,
        "state": result.state,
        "status": result.status,
        "age_ms": round(result.age_ms, 2),
        "since_ms": round(frame.age_ms),
        "times_ms": {
            name.removesuffix("_ms"): round(value, 2) for name, value in result.times._asdict().items()
        },
    }


def _row(label: str, score: float, class_id: int, tracker_id: int | None) -> dict[str, Any]:
    red, green, blue = class_color(class_id)
    row = {"label": label, "score": round(score, 4), "color": f"rgb({red}, {green}, {blue})"}
    return row if tracker_id is None or tracker_id < 0 else {**row, "tracker_id": tracker_id}


def jpeg(picture: Pixels) -> bytes:
    """A picture as JPEG; one that is wider than a screen is reduced."""
    height, width = picture.shape[:2]
    if width > _MOST_WIDE:
        size = _MOST_WIDE, max(1, round(height * _MOST_WIDE / width))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise EdgeVisionError("the picture cannot be encoded as JPEG")
    return bytes(data)
