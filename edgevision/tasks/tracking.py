"""Objects that keep their id from frame to frame of a stream, by a plugin's tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Ints
from edgevision.errors import EdgeVisionError, InferenceError, PluginError, first_line
from edgevision.imaging.frame import Frame
from edgevision.plugins import registry
from edgevision.streaming.policy import Policy
from edgevision.streaming.records import StreamFrame
from edgevision.system.arguments import mapping, text
from edgevision.system.numeric import plain_fields
from edgevision.system.shown import shown
from edgevision.tasks.detections import Detections
from edgevision.tracker import Tracker

_NS_PER_S = 1e9


@dataclass(frozen=True)
class Tracking:
    """How objects are followed from frame to frame.

    Attributes:
        tracker: name of the method: ``bytetrack``, ``sort``, ``ocsort``, ``botsort`` or ``cbiou`` with the
            extra ``track``, or that of another plugin.
        settings: its settings, such as ``{"track_activation_threshold": 0.5}``: the lowest score with which
            ByteTrack begins to follow an object (0.7 otherwise).

    Raises:
        OptionError: a field has a wrong type.
    """

    tracker: str = "bytetrack"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text(self.tracker, "tracker")
        mapping(self.settings, "settings")
        plain_fields(self, "settings")


class Follower:
    """Adds the ids of objects to the detections of one frame after the other.

    Args:
        tracking: the method.
        view: from a frame to an image uint8 ``(h, w, 3)`` RGB, for trackers that look at it.

    Raises:
        OptionError: a setting is unknown or invalid.
        PluginError: there is no such tracker, or it failed.
        MissingRuntimeError: a library that it needs is not installed.
    """

    def __init__(self, tracking: Tracking, view: Callable[[Frame], NDArray[np.uint8]]) -> None:
        self._name = tracking.tracker
        self._view = view
        kind = registry().tracker(tracking.tracker)
        try:
            self._tracker: Tracker = kind.create(dict(tracking.settings))
        except EdgeVisionError:
            raise
        except Exception as error:  # of a library
            raise PluginError(
                f"tracker '{self._name}' cannot be created: {type(error).__name__}: {first_line(error)}"
            ) from error

    def __call__(self, frame: StreamFrame, found: Detections, policy: Policy) -> Detections:
        """The detections, in their order, with `Detections.tracker_id`.

        Raises:
            InferenceError: the tracker failed, or did not give one id per object.
        """
        image = self._view(frame.image) if self._tracker.uses_image else None
        try:
            ids = self._tracker.update(
                found.boxes_xyxy, found.scores, found.class_ids, image, _time_s(frame, policy)
            )
        except EdgeVisionError:
            raise
        except Exception as error:  # of a library
            raise InferenceError(
                f"tracker '{self._name}' failed: {type(error).__name__}: {first_line(error)}"
            ) from error
        return replace(found, tracker_id=self._checked(ids, len(found)))

    def _checked(self, ids: Any, count: int) -> Ints:
        array = np.asarray(ids)
        if array.shape != (count,) or array.dtype.kind not in "iu":
            raise InferenceError(
                f"tracker '{self._name}' gave {shown(ids)} for {count} objects; "
                "expected one whole number each"
            )
        return array.astype(np.int64, copy=False)


def _time_s(frame: StreamFrame, policy: Policy) -> float | None:
    """When the frame was shown or captured.

    Frames of which none is dropped and that state no time, such as the images of a folder, come as fast as
    they are read: that says nothing about the objects in them.
    """
    if frame.presentation_s is not None:
        return frame.presentation_s
    return frame.captured_at.monotonic_ns / _NS_PER_S if policy.drops else None
