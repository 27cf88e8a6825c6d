"""DICOM files, read by pydicom (extra ``dicom``): pixels and their spacing, and nothing else of the file.

Only the tags below are parsed, and no value of any of them gets into a message: warnings and errors of
pydicom quote what they found, which may be a patient's name.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, install_command
from edgevision.imaging.frame import FileWindow, Frame
from edgevision.imaging.levels import linear_window

SizeCheck = Callable[[tuple[int, int], str], None]

_TAGS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelSpacing"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *(
        f"{color}PaletteColorLookupTable{part}"
        for color in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
)
#: The whole file is compressed: how much it unpacks to is not known beforehand.
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 4096
#: The start of a JPEG 2000 codestream, and the place of its width and height.
_JPEG_2000, _SIZE_IN_JPEG_2000 = b"\xff\x4f\xff\x51", 8
_MOST_FRAMES = 100_000

#: Silencing warnings is global: one file at a time.
_lock = threading.Lock()


def dicom_frames(data: bytes, name: str) -> int:
    """The number of frames in a DICOM file.

    Raises:
        InputError: pydicom is not installed, or the file is damaged or has no image.
    """
    with _private(name):
        return _frame_count(_read(data, name), name)


def decode_dicom(data: bytes, name: str, index: int, check_size: SizeCheck) -> Frame:
    """One frame: its values after the modality LUT, with the window of the file, if it has one.

    Args:
        data: the file.
        name: of the file, for errors.
        index: of the frame, from 0.
        check_size: called with the size before anything is decoded; raises if it is too large.

    Raises:
        InputError: pydicom or a decoder is missing, or the file is damaged, or of a form that is not
            supported.
    """
    with _private(name):
        dataset = _read(data, name)
        _frame_count(dataset, name)
        check_size((int(dataset.Columns), int(dataset.Rows)), name)
        _check_codestream(dataset, name, index, check_size)
        return _frame(dataset, name, index)


@contextmanager
def _private(name: str) -> Iterator[None]:
    """Neither warnings nor errors of pydicom come out: they quote values of the file."""
    logger = logging.getLogger("pydicom")
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        was_disabled, logger.disabled = logger.disabled, True
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # of any kind: pydicom and its decoders have no base class
            kind = type(error).__name__
            raise InputError(f"{name}: damaged or cut short: not a valid DICOM image ({kind})") from None
        finally:
            logger.disabled = was_disabled


def _read(data: bytes, name: str) -> Any:
    try:
        import pydicom
    except ImportError:
        raise InputError(
            f"{name}: DICOM files need pydicom; run: {install_command('dicom')}; "
            f"or convert it to a 16-bit PNG"
        ) from None
    if _DEFLATED in data[:_META_BYTES]:
        raise InputError(
            f"{name}: deflated DICOM files are not supported; unpack it: dcmconv +te IN.dcm OUT.dcm"
        )
    return pydicom.dcmread(io.BytesIO(data), specific_tags=list(_TAGS))


def _frame_count(dataset: Any, name: str) -> int:
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(f"{name}: is a DICOM file without an image, such as a report; expected pixel data")
    count = int(dataset.get("NumberOfFrames") or 1)
    if not 1 <= count <= _MOST_FRAMES:
        raise InputError(f"{name}: its header says {count} frames; expected 1 to {_MOST_FRAMES}")
    return count


def _check_codestream(dataset: Any, name: str, index: int, check_size: SizeCheck) -> None:
    """Check the size that a JPEG 2000 image itself states: its decoder goes by that."""
    if "PixelData" not in dataset or not dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    from pydicom.encaps import get_frame

    encoded = get_frame(dataset.PixelData, index, number_of_frames=_frame_count(dataset, name))
    start = encoded.find(_JPEG_2000)
    if start >= 0:
        width, height = struct.unpack_from(">II", encoded, start + _SIZE_IN_JPEG_2000)
        check_size((width, height), name)


def _frame(dataset: Any, name: str, index: int) -> Frame:
    stored = _stored(dataset, name, index)
    groups = _groups(dataset, index)
    spacing = _spacing(groups)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return Frame(stored, "rgb", name, pixel_spacing_mm=spacing, private=True)
    values = _modality(stored, dataset, groups)
    bits = int(dataset.BitsStored) if values is stored else None  # rescaled, they may be more
    if bits == 8 and values.dtype == np.uint16 and values.max() <= 255:
        values = values.astype(np.uint8)
    inverted, window = photometric == "MONOCHROME1", _window(groups)
    return Frame(values, "gray", name, inverted, bits, window, spacing, private=True)


def _stored(dataset: Any, name: str, index: int) -> NDArray[Any]:
    """(h, w), or (h, w, 3) RGB."""
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        pixels: NDArray[Any] = pixel_array(dataset, index=index)
    except (RuntimeError, NotImplementedError):
        raise InputError(
            f"{name}: its compression, {syntax.name}, cannot be decoded here; unpack it first: "
            f"gdcmconv --raw IN.dcm OUT.dcm, or dcmdjpeg IN.dcm OUT.dcm"
        ) from None
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)[:, :, :3]
    return np.ascontiguousarray(pixels)


def _groups(dataset: Any, index: int) -> list[Any]:
    """The places of a frame's attributes: the file, then what its frames share, then the frame's own."""
    groups = [dataset]
    for keyword, place in (
        ("SharedFunctionalGroupsSequence", 0),
        ("PerFrameFunctionalGroupsSequence", index),
    ):
        items = dataset.get(keyword) or []
        if len(items) > place:
            groups += [inner for element in items[place] if element.VR == "SQ" for inner in element.value[:1]]
    return groups


def _last(groups: list[Any], keyword: str) -> Any:
    """The value nearest to the frame; `None` if there is none."""
    found = [group.get(keyword) for group in groups]
    return next((value for value in reversed(found) if value not in (None, "")), None)


def _spacing(groups: list[Any]) -> tuple[float, float] | None:
    value = _last(groups, "PixelSpacing")
    if value is None or len(value) != 2:
        return None
    row, column = (float(part) for part in value)
    return (row, column) if row > 0 and column > 0 else None


def _modality(stored: NDArray[Any], dataset: Any, groups: list[Any]) -> NDArray[Any]:
    tables = _last(groups, "ModalityLUTSequence")
    if tables:
        table, first, _ = _table(dataset, tables[0])
        return table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]
    slope, intercept = (_last(groups, f"Rescale{word}") for word in ("Slope", "Intercept"))
    slope, intercept = float(1 if slope is None else slope), float(0 if intercept is None else intercept)
    if (slope, intercept) == (1.0, 0.0):
        return stored
    rescaled = stored * slope + intercept
    whole = slope.is_integer() and intercept.is_integer() and stored.dtype.kind in "iu"
    return rescaled.astype(np.int32 if whole else np.float32)


def _window(groups: list[Any]) -> FileWindow | None:
    """The first of the file's windows; a table goes before a function, as in pydicom."""
    tables = _last(groups, "VOILUTSequence")
    if tables:
        return _table_window(groups[0], tables[0])
    centre, width = (_first(_last(groups, f"Window{word}")) for word in ("Center", "Width"))
    if centre is None or width is None or width <= 0:
        return None
    function = str(_last(groups, "VOILUTFunction") or "LINEAR")
    return _FUNCTIONS[function](centre, width)


def _first(value: Any) -> float | None:
    if value is None:
        return None
    return float(value if isinstance(value, (int, float, str)) else value[0])


def _table(dataset: Any, item: Any) -> tuple[NDArray[np.uint16], int, int]:
    """A table of an item: its entries, the value that the first of them is for, and the bits of an entry."""
    size, first, bits = (int(part) for part in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, f"{order}u2")
    return np.asarray(data, np.uint16)[: size or 65536], first, bits


def _table_window(dataset: Any, item: Any) -> FileWindow:
    table, first, bits = _table(dataset, item)
    shares = (table / (2**bits - 1)).astype(np.float32)

    def window(values: NDArray[Any]) -> NDArray[np.float32]:
        places = np.clip(np.rint(values).astype(np.int64) - first, 0, len(shares) - 1)
        return np.asarray(shares[places])

    return window


def _linear(centre: float, width: float) -> FileWindow:
    low, high = linear_window(centre, width)
    return _ramp(low, high)


def _linear_exact(centre: float, width: float) -> FileWindow:
    return _ramp(centre - width / 2, centre + width / 2)


def _ramp(low: float, high: float) -> FileWindow:
    def window(values: NDArray[Any]) -> NDArray[np.float32]:
        if low >= high:  # a width of 1: black and white alone
            return (values > low).astype(np.float32)
        return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)

    return window


def _sigmoid(centre: float, width: float) -> FileWindow:
    def window(values: NDArray[Any]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            shares = 1 / (1 + np.exp(-4 * (values.astype(np.float64) - centre) / width))
        return shares.astype(np.float32)

    return window


_FUNCTIONS: dict[str, Callable[[float, float], FileWindow]] = {
    "LINEAR": _linear,
    "LINEAR_EXACT": _linear_exact,
    "SIGMOID": _sigmoid,
}
