"""The interface of a tracker: which objects of one frame are those of the frames before it.

A plugin provides kinds of trackers. A stream calls its tracker for one frame after the other, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats, Ints


class Tracker(Protocol):
    """Follows the objects of one stream. It is used by one thread at a time.

    Attributes:
        uses_image: True if it looks at the image, too: preparing it costs time.
    """

    @property
    def uses_image(self) -> bool: ...

    def update(
        self,
        boxes_xyxy: Floats,
        scores: Floats,
        class_ids: Ints,
        image: NDArray[np.uint8] | None,
        time_s: float | None,
    ) -> Ints:
        """Return the id of each object of the next frame.

        Args:
            boxes_xyxy: float32 ``(n, 4)``: left, top, right, bottom in pixels.
            scores: float32 ``(n,)``, each 0…1.
            class_ids: int64 ``(n,)``.
            image: uint8 ``(h, w, 3)`` RGB; `None` unless `uses_image`.
            time_s: of the frame, in seconds from any start, later than that of the frame before; `None`
                where frames have no times: they then follow each other at a constant rate.

        Returns:
            int64 ``(n,)``, in the order of the objects: 0 or more, the same for as long as an object is
            followed; -1 for an object that has no id (yet).
        """
        ...


class TrackerKind(Protocol):
    """A method of tracking, provided by a plugin.

    Attributes:
        name: its name, such as ``bytetrack``.
        summary: what it is good at, in one line.
    """

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    def create(self, settings: Mapping[str, Any]) -> Tracker:
        """A tracker that has seen no frame.

        Args:
            settings: name -> value, as the method calls them.

        Raises:
            OptionError: a setting is unknown or invalid.
            MissingRuntimeError: a library that it needs is not installed.
        """
        ...
