"""Rows of a network's input in which parts of the image are hidden."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from edgevision.decoder import Floats
from edgevision.tensors import Array

#: Standard deviation of the blur, as a share of the shorter side: no detail of an eighth of it is left.
_BLUR = 1 / 8


class Perturbation:
    """One image as the network sees it, with any part of it hidden.

    Args:
        row: the preprocessed image, ``(h, w, c)``, or ``(c, h, w)`` for `channels_first`; of any dtype.
        channels_first: the layout of `row`.
        seen_xyxy: the part of the row that the image covers, in whole pixels; a letterbox's borders stay.
        fill: ``blur`` or ``mean``, as in `ExplainSettings`.

    Attributes:
        size_hw: height and width of the masks: of the part that the image covers.
    """

    def __init__(
        self, row: Array, channels_first: bool, seen_xyxy: tuple[int, int, int, int], fill: str
    ) -> None:
        left, top, right, bottom = seen_xyxy
        self.size_hw = bottom - top, right - left
        self._row = row
        self._channels_first = channels_first
        within: tuple[Any, ...] = slice(top, bottom), slice(left, right)
        self._seen = (slice(None), *within) if channels_first else within
        shown = np.asarray(row[self._seen], np.float32)
        if channels_first:
            shown = np.ascontiguousarray(shown.transpose(1, 2, 0))
        self._hidden = _without_details(shown, fill)
        self._details = shown - self._hidden
        self._whole_numbers = np.dtype(row.dtype).kind in "iu"

    def row(self, shown: float) -> Array:
        """The whole row with the image shown (1) or hidden (0)."""
        out = np.empty_like(self._row)
        self.write(np.full(self.size_hw, shown, np.float32), out)
        return out

    def write(self, mask: Floats, out: Array) -> None:
        """Write the row, with the image hidden where `mask` is 0.

        Args:
            mask: float32 `size_hw`, 0…1.
            out: of the shape and dtype of the row; overwritten completely.
        """
        mixed = self._details * mask[:, :, np.newaxis]
        mixed += self._hidden
        if self._whole_numbers:
            np.rint(mixed, out=mixed)
        out[...] = self._row
        out[self._seen] = mixed.transpose(2, 0, 1) if self._channels_first else mixed


def _without_details(shown: Floats, fill: str) -> Floats:
    """The image (h, w, c) that stands where it is hidden."""
    if fill == "mean":
        return np.broadcast_to(shown.mean(axis=(0, 1), dtype=np.float64), shown.shape).astype(np.float32)
    deviation = max(1.0, min(shown.shape[:2]) * _BLUR)
    blurred = cv2.GaussianBlur(shown, (0, 0), deviation, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32).reshape(shown.shape)
