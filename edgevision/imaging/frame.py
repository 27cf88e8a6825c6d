"""One decoded image: its pixels as they are stored, and what its file says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: From stored values to shares of white, float32 0…1: a file's own window.
FileWindow = Callable[[NDArray[Any]], NDArray[np.float32]]

_UINT8 = np.dtype(np.uint8)


# Not frozen: the checks of a frozen class would cost more than the rest of this module, for each frame.
@dataclass(eq=False, slots=True)
class Frame:
    """One decoded image, in any form that a model accepts.

    Attributes:
        pixels: (h, w, 3) in the order of `color`, or (h, w) for grey: uint8, or the stored values of an image
            with more than 8 bits, in their own dtype; for DICOM after the modality LUT.
        color: ``rgb``, ``bgr`` or ``gray``.
        name: of the file, for errors.
        inverted: True where the lowest value is white, as in DICOM's MONOCHROME1.
        bits: bits per channel that the file says it uses; `None` if it does not say.
        window: the file's own window (DICOM's VOI LUT); `None` if it has none.
        pixel_spacing_mm: distance of the centres of two rows, then of two columns, in mm; `None` if unknown.
        private: True for DICOM, which may be of patients: pictures of it do not go into bundles unasked.
        levels: (black, white): the values of black and white, where they are known already; pixels are then
            float32, and no statement of the preprocessing is applied.
    """

    pixels: NDArray[Any]
    color: str = "rgb"
    name: str = "image"
    inverted: bool = False
    bits: int | None = None
    window: FileWindow | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    levels: tuple[float, float] | None = None
    private: bool = False

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory of the pixels, in bytes."""
        return self.pixels.nbytes

    @property
    def is_plain(self) -> bool:
        """True for 8 bits per channel whose values mean what they mean in a photo: 0 is black, 255 white."""
        return (
            self.pixels.dtype == _UINT8
            and (self.bits is None or self.bits == 8)
            and not self.inverted
            and self.window is None
        )
