"""YUV frames as cameras deliver them (picamera2, V4L2), with padded rows, as RGB pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.system.arguments import one_of
from edgevision.system.numeric import is_memory_mapped, is_whole, plain_fields
from edgevision.system.shown import shown
from edgevision.tensors import is_size_wh

Pixels = NDArray[np.uint8]


class _Layout(NamedTuple):
    """Where a format has its chroma, and OpenCV's conversion of it from limited-range BT.601.

    Attributes:
        code: of OpenCV.
        planes: 3: luma, then two chroma planes; 2: luma, then both chroma values in turn; 1: all in turn.
        u_first: False where V comes before U.
        luma: place of the first luma value where all are in turn.
    """

    code: int
    planes: int
    u_first: bool = True
    luma: int = 0


_LAYOUTS = {
    "yuv420": _Layout(cv2.COLOR_YUV2RGB_I420, 3),
    "yvu420": _Layout(cv2.COLOR_YUV2RGB_YV12, 3, u_first=False),
    "nv12": _Layout(cv2.COLOR_YUV2RGB_NV12, 2),
    "nv21": _Layout(cv2.COLOR_YUV2RGB_NV21, 2, u_first=False),
    "yuyv": _Layout(cv2.COLOR_YUV2RGB_YUY2, 1),
    "yvyu": _Layout(cv2.COLOR_YUV2RGB_YVYU, 1, u_first=False),
    "uyvy": _Layout(cv2.COLOR_YUV2RGB_UYVY, 1, luma=1),
}
#: Formats, by their usual names: ``yuv420`` is I420, ``yvu420`` is YV12.
YUV_FORMATS = tuple(_LAYOUTS)
_FULL = "-full"
#: What the parameter `color` of a model accepts for YUV arrays: limited range, or full range.
YUV_COLORS = (*YUV_FORMATS, *(name + _FULL for name in YUV_FORMATS))
YUV_RANGES = ("limited", "full")
#: Matrix -> the weights of red and blue in the luma.
_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
YUV_MATRICES = tuple(_WEIGHTS)


@dataclass(frozen=True, eq=False)
class YuvFrame:
    """A YUV frame with what its array does not say; any model accepts it as an image.

    Attributes:
        data: uint8: the buffer of the camera, (n,) or bytes; or an array of rows as picamera2 gives them:
            (height * 3 / 2, stride) for 4:2:0, (height, stride) or (height, width, 2) for 4:2:2. Rows may be
            longer than the width; a buffer may be longer than the frame.
        format: ``yuv420`` (I420), ``yvu420`` (YV12), ``nv12``, ``nv21``, ``yuyv``, ``yvyu`` or ``uyvy``.
        size_wh: width and height of the image, in pixels; by default all of the rows of an array.
        stride: bytes from one row of luma (4:2:2: of all) to the next; by default the length of the array's
            rows, for a buffer those of `size_wh` without padding.
        range: ``limited`` (luma 16…235), as most video is, or ``full`` (0…255), as JPEG and picamera2's
            preview and still configurations (colour space Sycc) are.
        matrix: ``bt601``, or ``bt709`` as HD video.

    Raises:
        OptionError: a field has an invalid value; names the field.
        InputError: `data` is not uint8, or too short for the size and stride; says what is expected.

    Example::

        rows = np.zeros((360, 384), np.uint8)  # as picam2.capture_array("lores"): 320 wide, padded
        frame = edgevision.YuvFrame(rows, "yuv420", size_wh=(320, 240), range="full")
        print(frame.to_rgb().shape)  # (240, 320, 3); a model takes the frame itself
    """

    data: NDArray[Any] | bytes
    format: str
    size_wh: tuple[int, int] | None = None
    stride: int | None = None
    range: str = "limited"
    matrix: str = "bt601"

    def __post_init__(self) -> None:
        plain_fields(self, "size_wh", "stride")
        for name, allowed in (("format", YUV_FORMATS), ("range", YUV_RANGES), ("matrix", YUV_MATRICES)):
            one_of(getattr(self, name), allowed, name)
        if self.size_wh is not None and not is_size_wh(self.size_wh):
            raise OptionError(f"size_wh: expected (width, height) in pixels, got {shown(self.size_wh)}")
        if self.stride is not None and not is_whole(self.stride, 1):
            raise OptionError(f"stride: expected a number of bytes, got {shown(self.stride)}")
        self._geometry()

    def to_rgb(self) -> Pixels:
        """The frame as (h, w, 3) uint8 RGB; chroma is repeated, as OpenCV does."""
        buffer, (width, height), stride = self._geometry()
        layout = _LAYOUTS[self.format]
        luma, chroma = _planes(buffer, layout, width, height, stride)
        if self.range == "limited" and self.matrix == "bt601":
            return _by_opencv(luma, chroma, layout, buffer, width, height, stride)
        u, v = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST) for plane in chroma)
        rgb: Pixels = cv2.transform(cv2.merge([luma, u, v]), _matrix(self.matrix, self.range))
        return rgb

    def _geometry(self) -> tuple[Pixels, tuple[int, int], int]:
        """(the buffer, flat; width and height; stride), checked against each other."""
        array = np.frombuffer(self.data, np.uint8) if isinstance(self.data, (bytes, bytearray)) else self.data
        if is_memory_mapped(array):
            raise InputError(f"{self.format} frame: an array in a mapped file; pass numpy.array(data)")
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
            got = getattr(array, "dtype", type(array).__name__)
            raise InputError(f"{self.format} frame: expected a uint8 array or bytes, got {got}")
        packed = _LAYOUTS[self.format].planes == 1
        if array.ndim == 3 and array.shape[2] == (2 if packed else 1):
            array = array.reshape(array.shape[0], -1)
        if array.ndim not in (1, 2):
            rows = "(height, width, 2)" if packed else "(height * 3 / 2, width)"
            raise InputError(f"{self.format} frame: expected shape {rows}, got {array.shape}")
        size_wh, stride = self.size_wh or self._whole(array, packed), self.stride
        per_row = size_wh[0] * 2 if packed else size_wh[0]
        if stride is None:
            stride = array.shape[1] if array.ndim == 2 else per_row
        width, height = size_wh
        if width % 2 or (height % 2 and not packed):
            raise InputError(
                f"{self.format} frame: expected an even width and height, got {width} x {height}"
            )
        needed = stride * height if packed else stride * height * 3 // 2
        if stride < per_row or stride % 2 or array.size < needed - (stride - per_row):
            raise InputError(
                f"{self.format} frame: {width} x {height} pixels need {needed} bytes in rows of {stride} "
                f"(at least "
                f"{per_row}), got {array.size} of shape {array.shape}; pass size_wh and stride of the camera"
            )
        if array.ndim == 2 and self.size_wh is not None and array.size != needed:
            raise InputError(
                f"{self.format} frame: {width} x {height} pixels are {needed} bytes in rows of {stride}, "
                f"got shape "
                f"{array.shape}; pass the size of the stream that it comes from"
            )
        return np.ascontiguousarray(array).reshape(-1), (width, height), stride

    def _whole(self, array: Pixels, packed: bool) -> tuple[int, int]:
        if array.ndim == 1:
            raise InputError(
                f"{self.format} frame: a buffer does not say its size; pass size_wh=(width, height)"
            )
        rows, columns = array.shape
        if packed:
            columns //= 2
        elif rows % 3:
            raise InputError(
                f"{self.format} frame: expected shape (height * 3 / 2, width), got {array.shape}: "
                f"its height is no multiple of 3"
            )
        else:
            rows = rows // 3 * 2
        return columns, rows


def yuv_array(array: NDArray[Any], color: str) -> Pixels:
    """An array in one of `YUV_COLORS` as (h, w, 3) uint8 RGB.

    Raises:
        InputError: its shape or dtype is not that of such a frame.
    """
    name = color.removesuffix(_FULL)
    return YuvFrame(array, name, range="full" if name != color else "limited").to_rgb()


def _planes(
    buffer: Pixels, layout: _Layout, width: int, height: int, stride: int
) -> tuple[Pixels, tuple[Pixels, Pixels]]:
    """Luma (h, w), and U and V at half the width, and for 4:2:0 half the height: without padding."""
    if layout.planes == 1:
        pairs = _rows(buffer, 0, height, stride, 2 * width)
        luma, chroma = pairs[:, layout.luma :: 2], pairs[:, 1 - layout.luma :: 2]
        first, second = chroma[:, 0::2], chroma[:, 1::2]
    else:
        luma = _rows(buffer, 0, height, stride, width)
        start = stride * height
        if layout.planes == 2:
            pairs = _rows(buffer, start, height // 2, stride, width)
            first, second = pairs[:, 0::2], pairs[:, 1::2]
        else:
            half = stride // 2
            first = _rows(buffer, start, height // 2, half, width // 2)
            second = _rows(buffer, start + half * (height // 2), height // 2, half, width // 2)
    u, v = (first, second) if layout.u_first else (second, first)
    return np.ascontiguousarray(luma), (np.ascontiguousarray(u), np.ascontiguousarray(v))


def _rows(buffer: Pixels, start: int, rows: int, stride: int, length: int) -> Pixels:
    """(rows, length), without the padding; the last row may lack it."""
    return np.lib.stride_tricks.as_strided(
        buffer[start : start + (rows - 1) * stride + length], (rows, length), (stride, 1), writeable=False
    )


def _by_opencv(
    luma: Pixels,
    chroma: tuple[Pixels, Pixels],
    layout: _Layout,
    buffer: Pixels,
    width: int,
    height: int,
    stride: int,
) -> Pixels:
    if layout.planes == 1:
        pairs = _rows(buffer, 0, height, stride, 2 * width)
        packed = np.ascontiguousarray(pairs).reshape(height, width, 2)
        rgb: Pixels = cv2.cvtColor(packed, layout.code)
        return rgb
    if stride == width:
        rows = buffer[: width * height * 3 // 2].reshape(height * 3 // 2, width)
        unpadded: Pixels = cv2.cvtColor(rows, layout.code)
        return unpadded
    pairs = np.stack(chroma, axis=-1)
    planar: Pixels = cv2.cvtColorTwoPlane(luma, pairs, cv2.COLOR_YUV2RGB_NV12)
    return planar


def _matrix(matrix: str, value_range: str) -> NDArray[np.float64]:
    """(3, 4): from (Y, U, V, 1) to RGB in 0…255."""
    red, blue = _WEIGHTS[matrix]
    green = 1 - red - blue
    luma, chroma, black = (255 / 219, 255 / 224, 16) if value_range == "limited" else (1.0, 1.0, 0)
    to_rgb = np.array(
        [
            [luma, 0, 2 * (1 - red) * chroma],
            [luma, -2 * (1 - blue) * blue / green * chroma, -2 * (1 - red) * red / green * chroma],
            [luma, 2 * (1 - blue) * chroma, 0],
        ]
    )
    offset = -to_rgb @ np.array([black, 128, 128])
    return np.hstack([to_rgb, offset[:, np.newaxis]])
