"""Trackers by `trackers` (https://github.com/roboflow/trackers), which is imported when one is created."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats, Ints
from edgevision.errors import MissingRuntimeError, OptionError, first_line
from edgevision.system.shown import shown
from edgevision.tracker import Tracker

#: Settings that are Python objects of the library.
_NOT_SETTINGS = ("self", "state_estimator_class", "iou")
_INDEX = "index"
#: With its dependencies comes opencv-python, another build of the module that edgevision has.
_INSTALL = 'pip install --no-deps "trackers>=2.6"'
#: Frames of a video may state the same time: the library would then leave one of them out.
_LEAST_STEP_S = 1e-3


@dataclass(frozen=True)
class LibraryTracker:
    """A kind of tracker of the library.

    Attributes:
        name, summary: as `TrackerKind`.
        class_name: of the library's class.
        uses_image: as `Tracker`: the library warns about an image that it does not use.
    """

    name: str
    summary: str
    class_name: str
    uses_image: bool = False

    def create(self, settings: Mapping[str, Any]) -> Tracker:
        """As `TrackerKind.create`."""
        try:
            import supervision
            import trackers
        except ImportError as error:
            reason = f"tracker '{self.name}': the library `trackers` cannot be imported: {error}"
            raise MissingRuntimeError("track", reason, _INSTALL) from error
        method = getattr(trackers, self.class_name)
        known = {
            name: parameter.default
            for name, parameter in inspect.signature(method).parameters.items()
            if name not in _NOT_SETTINGS
        }
        for name, value in settings.items():
            if name not in known:
                raise OptionError(
                    f"tracker '{self.name}': no setting {shown(name)}; expected one of {', '.join(known)}"
                )
            _check_type(self.name, name, value, known[name])
        try:
            tracker = method(**settings)
        except (TypeError, ValueError) as error:
            raise OptionError(f"tracker '{self.name}': {first_line(error)}") from error
        return _Tracker(tracker, supervision.Detections, self.uses_image)


class _Tracker:
    def __init__(self, tracker: Any, detections: Any, uses_image: bool) -> None:
        self.uses_image = uses_image
        self._tracker = tracker
        self._detections = detections
        self._last_s: float | None = None

    def update(
        self,
        boxes_xyxy: Floats,
        scores: Floats,
        class_ids: Ints,
        image: NDArray[np.uint8] | None,
        time_s: float | None,
    ) -> Ints:
        """As `Tracker.update`. The library returns objects in another order, and leaves some out."""
        given = self._detections(
            xyxy=boxes_xyxy,
            confidence=scores,
            class_id=class_ids,
            data={_INDEX: np.arange(len(scores))},
        )
        if time_s is not None and self._last_s is not None:
            time_s = max(time_s, self._last_s + _LEAST_STEP_S)
        self._last_s = time_s
        bgr = None if image is None else np.ascontiguousarray(image[..., ::-1])
        followed = self._tracker.update(given, frame=bgr, timestamp=time_s)
        ids: Ints = np.full(len(scores), -1, np.int64)
        if len(followed):
            ids[followed.data[_INDEX]] = followed.tracker_id
        return ids


def _check_type(tracker: str, name: str, value: Any, default: Any) -> None:
    """Refuse a value whose type is not that of the default: the library would fail frames later."""
    expected: tuple[type, ...] = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        kind = {int: "a whole number", float: "a number", bool: "true or false"}.get(type(default), "text")
        raise OptionError(f"tracker '{tracker}': {name}: expected {kind}, got {shown(value)}")


KINDS = (
    LibraryTracker(
        "bytetrack", "fast; also follows objects by detections with low scores", "ByteTrackTracker"
    ),
    LibraryTracker("sort", "the simplest: motion and overlap", "SORTTracker"),
    LibraryTracker(
        "ocsort", "objects that change their direction, or are hidden for a while", "OCSORTTracker"
    ),
    LibraryTracker(
        "botsort", "a camera that moves: the image's own motion is estimated", "BoTSORTTracker", True
    ),
    LibraryTracker(
        "cbiou", "fast objects, whose boxes no longer overlap from frame to frame", "CBIoUTracker"
    ),
)
