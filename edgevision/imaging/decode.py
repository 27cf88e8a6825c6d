"""Images from files, bytes, arrays, PIL and cameras as frames or 8-bit pixels: one photo, one answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError, install_command
from edgevision.imaging.codecs import Pixels, decode_8bit, decode_as_stored, decode_deep
from edgevision.imaging.frame import Frame
from edgevision.imaging.headers import (
    FORMATS,
    ImageHeader,
    format_of,
    gif_without_transparency,
    read_header,
    webp_exif,
)
from edgevision.imaging.levels import ValueMapping, plain_pixels
from edgevision.imaging.pixels import as_rgb
from edgevision.imaging.yuv import YUV_COLORS, YuvFrame, yuv_array
from edgevision.system.arguments import (
    MOST_ITEMS,
    address_instead,
    one_of,
    path_text,
    sequence,
    whole_number,
)
from edgevision.system.numeric import is_memory_mapped, read_mapped
from edgevision.system.reading import MOST_IMAGE_BYTES, read_file
from edgevision.system.shown import shown
from edgevision.tensors import MAX_SIDE


class PILImage(Protocol):
    """The part of ``PIL.Image.Image`` that is used here: PIL is imported by the caller alone."""

    @property
    def mode(self) -> str:
        """Such as ``RGB``."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    def getexif(self) -> Any:
        """EXIF tag -> value."""
        ...

    def convert(self, mode: str, /) -> Any:
        """The image in another mode."""
        ...


#: One image in any form that `as_frame` accepts.
ImageLike = (
    NDArray[Any] | str | os.PathLike[str] | bytes | bytearray | memoryview | PILImage | Frame | YuvFrame
)

#: Channel orders of an array with one value per channel; `YUV_COLORS` are accepted too.
COLORS = ("rgb", "bgr", "gray")
#: Forms of one image that can be iterated over.
_ONE_IMAGE = (str, bytes, bytearray, memoryview)
MAX_PIXELS = 100_000_000
MAX_PIXELS_VARIABLE = "EDGEVISION_MAX_PIXELS"
#: Linux' own limit: an error that repeats a longer one would be as long.
_LONGEST_PATH = 4096
_PLAIN = ValueMapping()


def decode_frame(data: bytes, name: str, index: int | None = None) -> Frame:
    """Decode an image file: JPEG, PNG, BMP, WebP, GIF, TIFF, HEIC or DICOM.

    Alpha is dropped, not blended, and a palette becomes RGB, as ``tf.io.decode_image(…, channels=3)`` does.
    Unlike there, the orientation that EXIF or TIFF states is applied, so that the network sees the picture
    as a person does. An animation (GIF, WebP) gives its first frame.

    A JPEG that is damaged before its end may decode to wrong pixels: the format has no checksum.

    Args:
        data: the content of the file.
        name: of the file, for errors.
        index: of the frame of a DICOM file or the page of a TIFF file, from 0; `None` for a file with one.

    Returns:
        The frame. Images with 8 bits are (h, w, 3) uint8 RGB, but for TIFF and DICOM in grey; others keep the
        values that the file stores.

    Raises:
        InputError: unsupported format, damaged or truncated file, several frames without an `index`, more
            pixels than ``EDGEVISION_MAX_PIXELS`` allows (100 million unless set), or a missing extra.
        OptionError: ``EDGEVISION_MAX_PIXELS`` is not a whole number above 0.
    """
    name_of_format = format_of(data)
    if name_of_format in _IN_FRAMES:
        count = frame_count(data, name)
        if index is None and count > 1:
            raise InputError(
                f"{name}: has {count} frames; pass them one by one: for frame in edgevision.read_frames(path)"
            )
        if not 0 <= (index or 0) < count:
            raise InputError(f"{name}: has {count} frames; there is no frame {index}")
        return _decode_one_of(name_of_format, data, name, index or 0)
    if index:
        raise InputError(f"{name}: has one frame; there is no frame {index}")
    if name_of_format == "HEIC":
        return Frame(_decode_heic(data, name), "rgb", name)
    header = _checked_header(data, name)
    try:
        decoded = (_decode_8bit(data, header), "rgb") if header.bits == 8 else decode_deep(data)
    except cv2.error as error:
        raise InputError(f"{_undecodable(header, name)} ({error.err})") from error
    if decoded is None or decoded[0] is None:
        raise InputError(_undecodable(header, name))
    return Frame(decoded[0], decoded[1], name)


def frame_count(data: bytes, name: str) -> int:
    """The number of frames of a DICOM file or pages of a TIFF file; 1 for every other format.

    Raises:
        InputError: the file is damaged, or needs an extra that is not installed.
    """
    name_of_format = format_of(data)
    if name_of_format == "DICOM":
        from edgevision.imaging.dicom import dicom_frames

        return dicom_frames(data, name)
    if name_of_format == "TIFF":
        return len(_tiff_pages(data, name))
    return 1


def decode_image(data: bytes, name: str) -> Pixels:
    """Decode an image file with 8 bits per channel; see `decode_frame`.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.

    Raises:
        InputError: as `decode_frame`, or more than 8 bits per channel.
        OptionError: as `decode_frame`.
    """
    return _rgb(decode_frame(data, name))


def read_frame(path: str | os.PathLike[str], index: int | None = None) -> Frame:
    """Read and decode an image file; see `decode_frame`.

    Raises:
        InputError: the file cannot be read, or as `decode_frame`.
        OptionError: `index` is not a whole number of 0 or more.
    """
    name = _path_name(path)
    number = None if index is None else whole_number(index, "index", least=0)
    return decode_frame(read_bytes(Path(name)), name, number)


def read_frames(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """The frames of a DICOM file, the pages of a TIFF file, or the one image of another, one after the other.

    Each is what a model accepts as an image: ``for frame in read_frames(path): result = model(frame)``.

    Raises:
        InputError: the file cannot be read, or as `decode_frame`.
    """
    name = _path_name(path)
    data = read_bytes(Path(name))
    count = frame_count(data, name)
    for index in range(count):
        yield decode_frame(data, name if count == 1 else f"{name}#{index}", index)


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Read and decode an image file with 8 bits per channel; see `decode_image`.

    Raises:
        InputError: the file cannot be read, or as `decode_image`.
    """
    return _rgb(read_frame(path))


def as_image(value: ImageLike, color: str = "rgb") -> Pixels:
    """Any image with 8 bits per channel as (h, w, 3) uint8 RGB.

    Args:
        value: as in `as_frame`.
        color: as in `as_frame`.

    Returns:
        (h, w, 3) uint8 RGB: `value` itself, not a copy, where it is such an array.

    Raises:
        InputError, OptionError: as `as_frame`; or more than 8 bits per channel.
    """
    return _rgb(as_frame(value, color))


def as_frame(value: ImageLike, color: str = "rgb") -> Frame:
    """Any image as a frame; arrays are not copied.

    A file gives the same pixels by its path, as bytes and opened with PIL: the orientation that it states is
    applied, alpha is dropped, and no bits are cut. A PIL image keeps the orientation that its file states
    until it is removed: after turning an image yourself, pass it through ``PIL.ImageOps.exif_transpose``
    first, or it is turned twice. Orientation that only XMP metadata states is not applied.

    Args:
        value: a path; the bytes of an encoded file; a PIL image; a frame; or an array (h, w, 3), or (h, w) or
            (h, w, 1) for grey: uint8, or with more bits the values as the sensor gives them (uint16, int16,
            int32, float32 …), which the preprocessing must map. An array with alpha is refused: how to blend
            it is the caller's choice.
        color: channel order of a (h, w, 3) array: ``rgb`` or ``bgr``; ``gray`` accepts arrays of one channel
            only. Or the format of a YUV array of uint8 without padded rows, such as ``nv12`` or ``yuyv``
            (limited range; ``nv12-full`` for full range); for padded rows pass a `YuvFrame`.

    Returns:
        The frame: (h, w, 3) with ``rgb`` or ``bgr``, or (h, w) with ``gray``.

    Raises:
        InputError: not an image, or one of an unsupported shape, dtype or mode; says what to do.
        OptionError: `color` is not one of `COLORS` and `YUV_COLORS`.
    """
    if not isinstance(color, str) or color not in COLORS:
        one_of(color, COLORS + YUV_COLORS, "color")
        if isinstance(value, np.ndarray):
            return Frame(yuv_array(value, color), "rgb")
    if isinstance(value, np.ndarray):
        return _array_frame(value, color)
    if isinstance(value, Frame):
        return _checked_frame(value)
    if isinstance(value, YuvFrame):
        return Frame(value.to_rgb(), "rgb")
    if isinstance(value, (str, os.PathLike)):
        return read_frame(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return decode_frame(bytes(value), "image")
    pil = sys.modules.get("PIL.Image")  # whoever has a PIL image has imported it
    if pil is not None and isinstance(value, pil.Image):
        from edgevision.imaging.pil import pil_frame

        return pil_frame(value, check_size)
    raise InputError(
        f"image: expected a (h, w, 3) array, a path, the bytes of a file, a PIL image or a YuvFrame, "
        f"got {type(value).__name__}; for a tensor of another library, pass numpy.asarray(…)"
    )


def as_batch(images: Any) -> Sequence[Any] | NDArray[Any]:
    """Several images as a sequence; each of them is an `ImageLike`, which is not checked here.

    Args:
        images: a list or tuple; an array (n, h, w, 3), or (n, h, w) for grey; or another iterable that has
            an order.

    Raises:
        InputError: one image, which would be taken apart into its rows or letters; or something without
            an order.
    """
    if isinstance(images, (list, tuple)):
        return images
    if isinstance(images, np.ndarray):
        # (h, w, 3) is one frame; nobody has grey images that are three pixels wide.
        grey = images.ndim == 3 and images.shape[2] not in (1, 3, 4)
        if images.ndim == 4 or grey or (images.ndim == 1 and images.dtype.kind in "OU"):
            if len(images) > MOST_ITEMS:
                raise InputError(f"images: expected {MOST_ITEMS} at most in one call, got {len(images)}")
            return images
        got = f"an array of shape {images.shape}"
    elif isinstance(images, Iterable) and not isinstance(images, (*_ONE_IMAGE, Mapping, Set)):
        try:
            return sequence(images, "images", "images")
        except OptionError as error:
            raise InputError(str(error)) from error
    else:
        got = type(images).__name__
    raise InputError(
        f"images: expected a list of images or an array (n, h, w, 3), got {got}; for one image pass [image]"
    )


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return read_file(path, MOST_IMAGE_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _path_name(path: object) -> str:
    name = path_text(path)
    if not name or len(name) > _LONGEST_PATH:
        raise InputError(f"image: expected a path, got {shown(path)}; pass the bytes of a file as bytes")
    if (address := address_instead(name)) and not os.path.lexists(name):
        raise InputError(f"image: {address}")
    return name


def _rgb(frame: Frame) -> Pixels:
    return as_rgb(plain_pixels(frame, _PLAIN), frame.color)


#: Formats whose files have frames or pages.
_IN_FRAMES = ("TIFF", "DICOM")


def _decode_one_of(format_name: str | None, data: bytes, name: str, index: int) -> Frame:
    if format_name == "DICOM":
        from edgevision.imaging.dicom import decode_dicom

        return decode_dicom(data, name, index, check_size)
    from edgevision.imaging.tiff import decode_page

    page = _tiff_pages(data, name)[index]
    check_size(page.size_wh, name)
    try:
        decoded = decode_page(data, page)
    except ValueError as error:
        raise InputError(f"{name}: TIFF: {error}; convert it: magick IN.tif OUT.png") from error
    except cv2.error as error:
        raise InputError(f"{_undecodable(ImageHeader('TIFF', page.size_wh), name)} ({error.err})") from error
    if decoded is None:
        raise InputError(_undecodable(ImageHeader("TIFF", page.size_wh), name))
    pixels, color, inverted = decoded
    return Frame(pixels, color, name, inverted, page.bits if 8 < page.bits < 16 else None)


def _tiff_pages(data: bytes, name: str) -> Sequence[Any]:
    from edgevision.imaging.tiff import tiff_pages

    try:
        return tiff_pages(data)
    except ValueError as error:
        raise InputError(f"{name}: damaged or cut short: {error}") from error


def _decode_heic(data: bytes, name: str) -> Pixels:
    from edgevision.imaging.heic import decode_heic

    try:
        return decode_heic(data, lambda size_wh: check_size(size_wh, name))
    except ImportError:
        raise InputError(
            f"{name}: HEIC pictures need pi-heif; run: {install_command('heic')}; "
            f"or convert it: heif-convert IN.heic OUT.jpg"
        ) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name}: damaged or not supported: {error}; convert it to JPEG") from error


def _checked_header(data: bytes, name: str) -> ImageHeader:
    try:
        header = read_header(data)
    except ValueError as error:
        raise InputError(f"{name}: damaged or cut short: {error}") from error
    if header is None:
        what = "an empty file" if not data else f"a file that starts with {shown(data[:8])}"
        raise InputError(f"{name}: unsupported image format: expected {', '.join(FORMATS)}, got {what}")
    if header.bits not in (8, 16) or (header.format == "JPEG" and header.bits != 8):
        raise InputError(
            f"{name}: {header.format} with {header.bits} bits per channel is not supported; use PNG"
        )
    check_size(header.size_wh, name)
    return header


def check_size(size_wh: tuple[int, int], name: str) -> None:
    """Refuse an image that is larger than images may be.

    Raises:
        InputError: it is.
    """
    width, height = size_wh
    limit = max_pixels()
    if max(width, height) > MAX_SIDE:
        raise InputError(f"{name}: has {width} x {height} pixels; expected {MAX_SIDE} at most on each side")
    if width * height > limit:
        raise InputError(
            f"{name}: has {width} x {height} pixels, more than the limit of {limit}; "
            f"to accept it, set {MAX_PIXELS_VARIABLE} to {width * height}"
        )


def max_pixels() -> int:
    """The most pixels of one image: ``EDGEVISION_MAX_PIXELS``, or 100 million.

    Raises:
        OptionError: the variable is not a whole number above 0.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"{MAX_PIXELS_VARIABLE}: expected a whole number above 0, got '{text}'")
    return int(text)


def _decode_8bit(data: bytes, header: ImageHeader) -> Pixels | None:
    if header.format == "GIF":
        return decode_8bit(gif_without_transparency(data))
    exif = webp_exif(data) if header.format == "WebP" else None
    if exif is None:
        return decode_8bit(data)
    # OpenCV applies the orientation of WebP since 4.11 only.
    from edgevision.imaging.orientation import orientation_in_a_file, upright

    pixels = decode_as_stored(data)
    return None if pixels is None else upright(pixels, orientation_in_a_file(exif, png=False))


def _undecodable(header: ImageHeader, name: str) -> str:
    width, height = header.size_wh
    if header.format == "GIF" and not cv2.haveImageWriter(".gif"):
        return (
            f"{name}: OpenCV {cv2.__version__} does not read GIF; run: pip install -U "
            f"opencv-python-headless; "
            f"or convert it: magick IN.gif OUT.png"
        )
    return (
        f"{name}: damaged or cut short: its header says {header.format}, {width} x {height}, "
        f"but it cannot be decoded"
    )


def _array_frame(array: NDArray[Any], color: str) -> Frame:
    if array.dtype != np.uint8 and array.dtype not in _DEEP_DTYPES:
        raise InputError(
            f"image: expected uint8 pixels in 0…255, or values with more bits, got {array.dtype.name}; "
            f"{_dtype_step(array)}"
        )
    if array.size == 0:
        raise InputError(f"image: expected at least one pixel, got shape {array.shape}")
    if array.base is not None and is_memory_mapped(array):
        array = _copied(array)
    shape = array.shape
    # Frames of cameras are far below both, and wait for no more than three comparisons.
    if len(shape) > 1 and (shape[0] > MAX_SIDE or shape[1] > MAX_SIDE or array.size > MAX_PIXELS):
        check_size((shape[1], shape[0]), "image")
    if array.ndim == 2:
        return Frame(array, "gray")
    if array.ndim == 3 and array.shape[2] == 1:
        return Frame(array[:, :, 0], "gray")
    if array.ndim == 3 and array.shape[2] == 3 and color != "gray":
        return Frame(array, color)
    expected = "(h, w) or (h, w, 1)" if color == "gray" else "(h, w, 3), (h, w) or (h, w, 1)"
    raise InputError(f"image: expected shape {expected}, got {array.shape}; {_shape_step(array, color)}")


def _copied(array: NDArray[Any]) -> NDArray[Any]:
    """An array in a mapped file as a copy: if the file shrank during a call, the process would die."""
    copy: NDArray[Any] | None = read_mapped(array)
    if copy is None:
        raise InputError("image: an array in a mapped file that is now shorter than the image, or gone")
    return copy


def _checked_frame(frame: Frame) -> Frame:
    pixels = frame.pixels
    if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3) or pixels.size == 0:
        got = getattr(pixels, "shape", type(pixels).__name__)
        raise InputError(f"frame: expected pixels (h, w, 3) or (h, w), got {got}; see edgevision.read_frame")
    if frame.color not in COLORS or (pixels.ndim == 2) != (frame.color == "gray"):
        raise InputError(f"frame: color '{frame.color}' does not match pixels of shape {pixels.shape}")
    return frame


#: Dtypes of arrays with more than 8 bits, in the byte order of the machine.
_DEEP_DTYPES = tuple(map(np.dtype, ("uint16", "int16", "uint32", "int32", "float32", "float64", "float16")))


def _dtype_step(array: NDArray[Any]) -> str:
    if array.dtype.kind == "b":
        return "for a mask pass image.astype('uint8') * 255"
    if array.dtype.newbyteorder("=") in _DEEP_DTYPES:
        return "for the byte order of this machine pass image.astype(image.dtype.newbyteorder('='))"
    return "for values in 0…255 pass image.astype('uint8')"


def _shape_step(array: NDArray[Any], color: str) -> str:
    if array.ndim == 4:
        return "for a batch pass the images one by one, or as a list"
    if array.ndim == 3 and array.shape[2] == 3 and color == "gray":
        return "for a colour image pass color='rgb' or color='bgr'"
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return "with channels first, pass image.transpose(1, 2, 0)"
    if array.ndim == 3 and array.shape[2] == 4:
        return "to drop its alpha pass image[:, :, :3]"
    if array.ndim == 1:
        return "for the bytes of an encoded file pass image.tobytes()"
    return "pass one image with its channels last"
