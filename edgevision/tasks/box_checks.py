"""Checks of a detector's boxes against the unit and the format in which they are said to be.

Shares that are taken for pixels all lie within one pixel, and pixels that are taken for shares far outside
of the image; corners that are taken for sizes end before they begin. None of these is ever seen by a caller:
the detector finds nothing, on every image, and it looks as if there were nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from edgevision.decoder import Floats
from edgevision.errors import InferenceError

#: Pixels by which shares that are taken for pixels exceed the unit square at most.
_UNIT_LOW, _UNIT_HIGH = -0.5, 1.5
#: From this side on, an input has no objects of less than a pixel.
_LARGE_INPUT = 64
#: Sides of the input beyond which a coordinate is no share: a box may well exceed the image.
_MOST_SIDES = 4.0
#: Sides by which the boxes of a detector lie outside of its input if their format is another.
_OUTSIDE = 0.02
#: Share of the input's side that noise may turn a box around.
_TURNED = 0.01
#: Share of the boxes that tell of another unit; a network may have a few odd ones.
_MOST = 0.9
#: Boxes within the input, and of a pixel or more, after which unit and format are no longer doubted.
_ENOUGH = 32


class _Wrong(NamedTuple):
    """A fault of boxes, and whether a unit would explain it."""

    reason: str
    unit: bool


class BoxCheck:
    """Checks candidate boxes, until enough of them were plausible; from then on it costs nothing.

    Safe to share between threads.

    Args:
        size_wh: width and height of the network's input.
        decoder: name of the decoder, for errors.
        settings: its settings.
    """

    def __init__(self, size_wh: tuple[int, int], decoder: str, settings: Mapping[str, Any]) -> None:
        self._sides = np.array(size_wh * 2, np.float32)
        self._size_wh = size_wh
        self._decoder = decoder
        self._settings = settings
        self._plausible = 0

    def __call__(self, boxes_xyxy: Floats) -> None:
        """Check the candidates for one image.

        Args:
            boxes_xyxy: float32 ``(n, 4)``, finite: left, top, right, bottom in pixels of the input.

        Raises:
            InferenceError: they cannot be in the unit or format that the decoder was told; names the setting.
        """
        if self._plausible >= _ENOUGH or len(boxes_xyxy) == 0:
            return
        extents = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        solid = extents.all(axis=1)  # rows without a box are padded with zeros
        if not solid.all():
            boxes_xyxy, extents = boxes_xyxy[solid], extents[solid]
        if len(boxes_xyxy) == 0:
            return
        wrong = self._wrong(boxes_xyxy, extents)
        if wrong is not None:
            raise InferenceError(f"{wrong.reason}; {self._next_step(wrong.unit)}")

    def _wrong(self, boxes: Floats, extents: Floats) -> _Wrong | None:
        size = "x".join(map(str, self._size_wh))
        low, high = float(boxes.min()), float(boxes.max())
        tiny = float(np.abs(extents).max())
        if (low >= _UNIT_LOW and high <= _UNIT_HIGH and tiny <= _UNIT_HIGH) or (
            tiny < 1 and min(self._size_wh) >= _LARGE_INPUT
        ):
            return _Wrong(
                f"the network's boxes have coordinates of {low:.4g} to {high:.4g} and sizes of up to "
                f"{tiny:.4g} in pixels of its input of {size}, which fits no pixel: they look like shares",
                unit=True,
            )
        shares = boxes / self._sides
        far = np.abs(shares).max(axis=1) > _MOST_SIDES
        if far.mean() >= _MOST:
            if "share" in self._units().values():
                value = float(shares.flat[np.abs(shares).argmax()])
                return _Wrong(
                    f"the network's boxes have coordinates of up to {value:.4g} as a share of its input, far "
                    "outside of it: they look like pixels",
                    unit=True,
                )
            value = float(boxes.flat[np.abs(boxes).argmax()])
            return _Wrong(
                f"the network's boxes have coordinates of up to {value:.4g} in pixels of its input of "
                f"{size}, far outside of it: they look like another unit or format",
                unit=False,
            )
        turned = (extents < -_TURNED * self._sides[:2]).any(axis=1)
        if turned.mean() >= 0.5:
            worst = boxes[int(turned.argmax())].tolist()
            return _Wrong(
                f"the network's boxes end before they begin, such as left, top, right, bottom "
                f"{', '.join(f'{value:.4g}' for value in worst)}: they look like another format",
                unit=False,
            )
        outside = ((shares[:, 2:] < -_OUTSIDE) | (shares[:, :2] > 1 + _OUTSIDE)).any(axis=1)
        if outside.all():
            return _Wrong(
                f"the network's boxes lie outside of its input of {size}, at {low:.4g} to {high:.4g} pixels: "
                "they look like another unit or format",
                unit=False,
            )
        self._plausible += int(((extents > 1).all(axis=1) & ~turned & ~far & ~outside).sum())
        return None

    def _units(self) -> dict[str, Any]:
        return {name: value for name, value in self._settings.items() if name.endswith("_unit")}

    def _next_step(self, unit: bool) -> str:
        units = self._units()
        if unit and units:
            name, value = next(iter(units.items()))
            other = {"pixels": "share", "share": "pixels"}.get(value, "pixels or share")
            return (
                f"the decoder's {name} is '{value}'; set it to {other} (--decoder-setting {name}={other}), "
                "for a bundle when it is converted"
            )
        of_format = [name for name in self._settings if name.endswith(("_unit", "_format", "_order"))]
        names = of_format or list(self._settings)
        return (
            f"check the settings of decoder '{self._decoder}': {', '.join(names) or 'it has none'}"
            + (" (--decoder-setting NAME=VALUE)" if names else "")
            + "; or choose a decoder with the right box_unit and box_format, such as boxes-scores"
        )
