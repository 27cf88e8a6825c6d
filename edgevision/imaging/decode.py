"""Images from files, bytes, arrays and PIL as (h, w, 3) uint8 pixels: one photo, one answer."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.imaging.headers import FORMATS, ImageHeader, read_header

Pixels = NDArray[np.uint8]


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


#: One image in any form that `as_pixels` accepts.
ImageLike = NDArray[Any] | str | os.PathLike[str] | bytes | bytearray | memoryview | PILImage

#: Channel orders of an array.
COLORS = ("rgb", "bgr", "gray")
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MAX_PIXELS = 100_000_000
MAX_PIXELS_VARIABLE = "EDGEVISION_MAX_PIXELS"


def decode_image(data: bytes, name: str) -> Pixels:
    """Decode a JPEG, PNG, BMP or WebP file.

    Alpha is dropped, not blended; 16 bits per channel become their upper 8; grey and palette become
    RGB: all as ``tf.io.decode_image(…, channels=3)`` does. Unlike there, the EXIF orientation is
    applied, so that the network sees the picture as a person does. An animation gives its first frame.

    A JPEG that is damaged before its end may decode to wrong pixels: the format has no checksum.

    Args:
        data: the content of the file.
        name: of the file, for errors.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.

    Raises:
        InputError: unsupported format, damaged or truncated file, or more pixels than
            ``EDGEVISION_MAX_PIXELS`` allows (100 million unless set).
        OptionError: ``EDGEVISION_MAX_PIXELS`` is not a whole number above 0.
    """
    header = _checked_header(data, name)
    try:
        image = _decode(data)
    except cv2.error as error:
        raise InputError(f"{_undecodable(header, name)} ({error.err})") from error
    if image is None:
        raise InputError(_undecodable(header, name))
    return image


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Read and decode an image file; see `decode_image`.

    Raises:
        InputError: the file cannot be read, or as `decode_image`.
    """
    return decode_image(read_bytes(Path(path)), str(path))


def as_image(value: ImageLike, color: str = "rgb") -> Pixels:
    """Any image as (h, w, 3) uint8 RGB.

    Args:
        value: as in `as_pixels`.
        color: as in `as_pixels`.

    Returns:
        (h, w, 3) uint8 RGB: `value` itself, not a copy, where it is such an array.

    Raises:
        InputError, OptionError: as `as_pixels`.
    """
    pixels, order = as_pixels(value, color)
    if order == "rgb":
        return pixels
    code = cv2.COLOR_BGR2RGB if order == "bgr" else cv2.COLOR_GRAY2RGB
    converted: Pixels = cv2.cvtColor(pixels, code)
    return converted


def as_pixels(value: ImageLike, color: str = "rgb") -> tuple[Pixels, str]:
    """Any image as uint8 pixels, with their channel order; arrays are not copied.

    A file gives the same pixels by its path, as bytes and opened with PIL: the EXIF orientation is
    applied, alpha is dropped, and 16 bits become their upper 8. A PIL image keeps the orientation
    that its file states until it is removed: after turning an image yourself, pass it through
    ``PIL.ImageOps.exif_transpose`` first, or it is turned twice. Orientation that only XMP metadata
    states is not applied.

    Args:
        value: a path; the bytes of an encoded file; a PIL image with 8 or 16 bits per channel; or a
            uint8 array (h, w, 3), or (h, w) or (h, w, 1) for grey. An array with alpha is refused:
            how to blend it is the caller's choice.
        color: channel order of a (h, w, 3) array: ``rgb`` or ``bgr``; ``gray`` accepts arrays of one
            channel only.

    Returns:
        The pixels, and their channel order: (h, w, 3) with ``rgb`` or ``bgr``, or (h, w) with ``gray``.

    Raises:
        InputError: not an image, or one of an unsupported shape, dtype or mode; says what to do.
        OptionError: `color` is not one of `COLORS`.
    """
    if color not in COLORS:
        raise OptionError(f"color: expected one of {', '.join(COLORS)}, got {color!r}")
    if isinstance(value, np.ndarray):
        return _array_pixels(value, color)
    if isinstance(value, (str, os.PathLike)):
        return read_image(value), "rgb"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return decode_image(bytes(value), "image"), "rgb"
    pil = sys.modules.get("PIL.Image")  # whoever has a PIL image has imported it
    if pil is not None and isinstance(value, pil.Image):
        return _pil_pixels(value), "rgb"
    raise InputError(
        f"image: expected a (h, w, 3) uint8 array, a path, the bytes of a file or a PIL image, "
        f"got {type(value).__name__}; for a tensor of another library, pass numpy.asarray(…)"
    )


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files among `paths` and in the folders among them.

    A file that is named is included whatever its suffix. In folders and their subfolders, files with a
    suffix of JPEG, PNG, BMP and WebP are included in sorted order; hidden files and folders are not.

    Raises:
        InputError: a path does not exist or cannot be listed, or no image was found.
    """
    places = [Path(path) for path in paths]
    images = [image for place in places for image in _images_at(place)]
    if not images:
        where = ", ".join(map(str, places)) or "no path"
        raise InputError(f"{where}: no images found; expected files with {', '.join(sorted(SUFFIXES))}")
    return images


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:  # a buffer would be filled once and thrown away
            return file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from error


def _checked_header(data: bytes, name: str) -> ImageHeader:
    try:
        header = read_header(data)
    except ValueError as error:
        raise InputError(f"{name}: damaged or cut short: {error}") from error
    if header is None:
        what = "an empty file" if not data else f"a file that starts with {data[:8]!r}"
        raise InputError(f"{name}: unsupported image format: expected {', '.join(FORMATS)}, got {what}")
    _check_size(header.size_wh, name)
    return header


def _check_size(size_wh: tuple[int, int], name: str) -> None:
    width, height = size_wh
    limit = _max_pixels()
    if width * height > limit:
        raise InputError(
            f"{name}: has {width} x {height} pixels, more than the limit of {limit}; "
            f"to accept it, set {MAX_PIXELS_VARIABLE} to {width * height}"
        )


def _max_pixels() -> int:
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"{MAX_PIXELS_VARIABLE}: expected a whole number above 0, got '{text}'")
    return int(text)


def _decode(data: bytes) -> Pixels | None:
    encoded = np.frombuffer(data, np.uint8)
    if hasattr(cv2, "IMREAD_COLOR_RGB"):  # OpenCV 4.10.1: saves a pass over the pixels
        decoded: Pixels | None = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
        return decoded
    bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)


def _undecodable(header: ImageHeader, name: str) -> str:
    width, height = header.size_wh
    return (
        f"{name}: damaged or cut short: its header says {header.format}, {width} x {height}, "
        f"but it cannot be decoded"
    )


def _array_pixels(array: NDArray[Any], color: str) -> tuple[Pixels, str]:
    if array.dtype != np.uint8:
        raise InputError(
            f"image: expected uint8 pixels in 0…255, got {array.dtype.name}; {_dtype_step(array)}"
        )
    if array.size == 0:
        raise InputError(f"image: expected at least one pixel, got shape {array.shape}")
    if array.ndim == 2:
        return array, "gray"
    if array.ndim == 3 and array.shape[2] == 1:
        return array[:, :, 0], "gray"
    if array.ndim == 3 and array.shape[2] == 3 and color != "gray":
        return array, color
    expected = "(h, w) or (h, w, 1)" if color == "gray" else "(h, w, 3), (h, w) or (h, w, 1)"
    raise InputError(f"image: expected shape {expected}, got {array.shape}; {_shape_step(array, color)}")


def _dtype_step(array: NDArray[Any]) -> str:
    if array.dtype.kind == "f":
        return "for values in 0…1 pass (image * 255).round().astype('uint8')"
    if array.dtype.kind == "b":
        return "for a mask pass image.astype('uint8') * 255"
    if array.dtype.itemsize == 2:
        return "for 16 bits per channel pass (image >> 8).astype('uint8')"
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


def _pil_pixels(image: Any) -> Pixels:
    name = getattr(image, "filename", "") or "image"
    _check_size(image.size, name)
    if 0 in image.size:
        raise InputError(f"{name}: expected at least one pixel, got size {image.size}")
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        # PIL would clip these to 255 silently.
        raise InputError(
            f"{name}: PIL mode '{image.mode}' has 32 bits per channel; scale it to 0…255 and convert it to L"
        )
    try:
        image.load()
        pixels = _pil_rgb(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name}: PIL cannot decode it: {error}") from error
    turn = _TURNS.get(_exif_orientation(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _pil_rgb(image: Any) -> Pixels:
    """The pixels of a PIL image, (h, w, 3), as `decode_image` has them of a file with this mode."""
    mode = image.mode
    if mode == "CMYK":
        return _cmyk_to_rgb(np.asarray(image, np.uint16))
    if mode.startswith("I"):  # I;16, or I: a PNG of 16 bits in older Pillows
        upper: Pixels = (np.asarray(image) >> 8).astype(np.uint8)
        return upper[:, :, np.newaxis].repeat(3, axis=2)
    # One alpha per palette entry: PIL warns if a conversion loses it.
    if isinstance(image.info.get("transparency"), bytes):
        return np.ascontiguousarray(np.asarray(image.convert("RGBA"))[:, :, :3])
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


def _cmyk_to_rgb(cmyk: NDArray[np.uint16]) -> Pixels:
    """(h, w, 4) as (h, w, 3): with OpenCV's rounding, which is up to 2 levels from PIL's."""
    ink, light = cmyk[:, :, :3], 255 - cmyk[:, :, 3:]
    return np.asarray(light - (ink * light >> 8), np.uint8)


#: The EXIF tag of the orientation.
_ORIENTATION = 0x0112
_EXIF_PREFIX = b"Exif\0\0"
#: The most that one segment of a JPEG file holds.
_MOST_BYTES_OF_SEGMENT = 65533
#: The signature and the first chunk of a PNG file.
_PNG_HEADER_BYTES = 33
#: EXIF orientation -> upright pixels; 1 is upright already, and any other number means nothing.
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


def _exif_orientation(image: Any) -> int:
    """The EXIF orientation that a PIL image still carries; 1 where it has none.

    The decoder of files is asked, because PIL reads more of XMP and of a damaged EXIF block than it does.
    Only an orientation that the caller has changed since is taken from PIL.
    """
    block = image.info.get("exif")
    if not isinstance(block, bytes):
        return 1
    png = image.format == "PNG"
    try:
        now = image.getexif()
        stated = type(now)()
        stated.load(block)
        changed = _ORIENTATION in stated and now.get(_ORIENTATION) != stated[_ORIENTATION]
        return int(now.get(_ORIENTATION, 1)) if changed else _orientation_in_a_file(block, png)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return _orientation_in_a_file(block, png)


def _orientation_in_a_file(block: bytes, png: bool) -> int:
    """The orientation that the decoder of files reads from an EXIF block: by turning two by three pixels."""
    tiff = block.removeprefix(_EXIF_PREFIX)
    corners = np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3)[:, :, np.newaxis].repeat(3, axis=2)
    turned = _decode(_png_with_exif(corners, tiff) if png else _jpeg_with_exif(corners, tiff))
    for orientation, turn in _TURNS.items():
        if turned is not None and np.array_equal(np.rint(turned / 40), turn(corners) // 40):
            return orientation
    return 1


def _jpeg_with_exif(pixels: Pixels, tiff: bytes) -> bytes:
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    content = (_EXIF_PREFIX + tiff)[:_MOST_BYTES_OF_SEGMENT]
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def _png_with_exif(pixels: Pixels, tiff: bytes) -> bytes:
    png = cv2.imencode(".png", pixels)[1].tobytes()
    if tiff[:2] not in (b"II", b"MM"):  # libpng would only warn about it on stderr
        return png
    chunk = b"eXIf" + tiff
    chunk = struct.pack(">I", len(tiff)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:_PNG_HEADER_BYTES] + chunk + png[_PNG_HEADER_BYTES:]


def _images_at(path: Path) -> Iterator[Path]:
    if path.is_dir():
        return _images_below(path, frozenset())
    if not path.exists():
        raise InputError(f"{path}: does not exist; expected an image or a folder of images")
    return iter((path,))


def _images_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:  # a link to a folder that contains it
        return
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        # The listing's answer costs nothing; for a link only `Path` copes with a missing target or a loop.
        if path.is_dir() if entry.is_symlink() else entry.is_dir():
            yield from _images_below(path, above | {real})
        elif path.suffix.lower() in SUFFIXES:
            yield path
