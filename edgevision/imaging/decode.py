"""Images from files, bytes, arrays and PIL: checked, and as (h, w, 3) uint8 pixels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.imaging.headers import FORMATS, ImageHeader, read_header

Pixels = NDArray[np.uint8]

#: Colours that an array handed in may have.
COLORS = ("rgb", "bgr", "gray")
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MAX_PIXELS = 100_000_000
MAX_PIXELS_VARIABLE = "EDGEVISION_MAX_PIXELS"


def decode_image(data: bytes, name: str) -> Pixels:
    """Decode a JPEG, PNG, BMP or WebP file.

    Alpha is dropped, not blended; 16 bits a channel become their upper 8; grey and palette become
    RGB: all as ``tf.io.decode_image(…, channels=3)`` has it. Other than there, an EXIF
    orientation is applied, so that the network sees the picture as a person does. Of an animation,
    the first frame.

    A damaged JPEG whose end is there decodes to other pixels: the format has no checksum.

    Args:
        data: the content of the file.
        name: of the file, for errors.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.

    Raises:
        InputError: of another format, damaged, cut short, or of more pixels than
            ``EDGEVISION_MAX_PIXELS`` allows (100 million unless set).
        OptionError: ``EDGEVISION_MAX_PIXELS`` is no number above 0.
    """
    header = _checked_header(data, name)
    try:
        image = _decode(data)
    except cv2.error as error:
        raise InputError(f"{_undecodable(header, name)} ({error.err})") from error
    if image is None:
        raise InputError(_undecodable(header, name))
    return image


def read_image(path: str | Path) -> Pixels:
    """Read and decode an image file; see `decode_image`.

    Raises:
        InputError: the file cannot be read, or as `decode_image`.
    """
    return decode_image(read_bytes(Path(path)), str(path))


def as_image(value: Any, color: str = "rgb") -> Pixels:
    """Anything that is an image, as (h, w, 3) uint8 RGB.

    Args:
        value: as in `as_pixels`.
        color: as in `as_pixels`.

    Returns:
        (h, w, 3) uint8 RGB: `value` itself, not a copy, if that is what it is.

    Raises:
        InputError, OptionError: as `as_pixels`.
    """
    pixels, found = as_pixels(value, color)
    if found == "rgb":
        return pixels
    code = cv2.COLOR_BGR2RGB if found == "bgr" else cv2.COLOR_GRAY2RGB
    converted: Pixels = cv2.cvtColor(pixels, code)
    return converted


def as_pixels(value: Any, color: str = "rgb") -> tuple[Pixels, str]:
    """Anything that is an image, as uint8 pixels with the colour that they have; arrays are not copied.

    Args:
        value: a path; a PIL image (taken as it lies: PIL applies no EXIF orientation on its own); or
            a uint8 array of (h, w, 3), or (h, w) or (h, w, 1) for grey. An array with alpha is
            refused: how it is blended is the caller's choice.
        color: of a (h, w, 3) array: ``rgb`` or ``bgr``; ``gray`` takes arrays of one channel only.

    Returns:
        The pixels, and their colour: (h, w, 3) with ``rgb`` or ``bgr``, or (h, w) with ``gray``.

    Raises:
        InputError: no image, or one of the wrong shape or dtype; says what to do.
        OptionError: `color` is not one of `COLORS`.
    """
    if color not in COLORS:
        raise OptionError(f"color: expected one of {', '.join(COLORS)}, got {color!r}")
    if isinstance(value, np.ndarray):
        return _array_pixels(value, color)
    if isinstance(value, (str, Path)):
        return read_image(value), "rgb"
    if callable(getattr(value, "convert", None)):
        return _pil_pixels(value), "rgb"
    raise InputError(
        f"image: expected a (h, w, 3) uint8 array, a path or a PIL image, got {type(value).__name__}; "
        "for a tensor of another library, pass numpy.asarray(…)"
    )


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """The image files among `paths` and below the folders among them.

    A file that is named is taken whatever its suffix. In folders, and their folders, files with a
    suffix of JPEG, PNG, BMP and WebP are taken in sorted order; hidden files and folders are not.

    Raises:
        InputError: a path does not exist or cannot be listed, or there is no image at all.
    """
    places = [Path(path) for path in paths]
    found = [image for place in places for image in _images_at(place)]
    if not found:
        where = ", ".join(map(str, places)) or "no path"
        raise InputError(f"{where}: no images found; expected files with {', '.join(sorted(SUFFIXES))}")
    return found


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
        raise InputError(f"{name}: no image that is known: expected {', '.join(FORMATS)}, got {what}")
    width, height = header.size_wh
    limit = _max_pixels()
    if width * height > limit:
        raise InputError(
            f"{name}: has {width} x {height} pixels, more than the limit of {limit}; "
            f"set {MAX_PIXELS_VARIABLE} to {width * height} if it is meant"
        )
    return header


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
    said = f"{header.format}, {width} x {height}"
    return f"{name}: damaged or cut short: its header says {said}, and it cannot be decoded"


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
        return "for numbers in 0…1 pass (image * 255).round().astype('uint8')"
    if array.dtype.kind == "b":
        return "for a mask pass image.astype('uint8') * 255"
    return "for 16 bits a channel pass (image >> 8).astype('uint8')"


def _shape_step(array: NDArray[Any], color: str) -> str:
    if array.ndim == 4:
        return "for a batch pass the images one by one, or as a list"
    if array.ndim == 3 and array.shape[2] == 3 and color == "gray":
        return "for colour say color='rgb' or color='bgr'"
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return "with channels first, pass image.transpose(1, 2, 0)"
    if array.ndim == 3 and array.shape[2] == 4:
        return "to drop its alpha pass image[:, :, :3]"
    return "pass one image with its channels last"


def _pil_pixels(image: Any) -> Pixels:
    mode = str(getattr(image, "mode", ""))
    if mode.startswith(("I", "F")):
        # PIL would clip these to 255 without a word.
        raise InputError(f"image: PIL mode '{mode}' has more than 8 bits a channel; convert it to RGB first")
    try:
        array = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        name = getattr(image, "filename", "") or "image"
        raise InputError(f"{name}: PIL cannot decode it: {error}") from error
    return _array_pixels(array, "rgb")[0]


def _images_at(path: Path) -> Iterator[Path]:
    if path.is_dir():
        return _images_below(path, frozenset())
    if not path.exists():
        raise InputError(f"{path}: does not exist; expected an image or a folder of images")
    return iter((path,))


def _images_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:  # a link to a folder that it lies in
        return
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        # What the listing says costs nothing; of a link only `Path` takes one that leads nowhere, or round.
        if path.is_dir() if entry.is_symlink() else entry.is_dir():
            yield from _images_below(path, above | {real})
        elif path.suffix.lower() in SUFFIXES:
            yield path
