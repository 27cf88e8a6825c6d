"""Files of more than 8 bits, made for tests: PNG, TIFF, DICOM."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np

#: A name and a number that nothing may repeat.
PATIENT, PATIENT_ID = "Doe^Jane^Secret", "4711-Secret"


def png(pixels: Any) -> bytes:
    """A PNG file of the values in `pixels`: uint8 or uint16, grey or RGB."""
    done, content = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[:, :, ::-1])
    assert done
    return bytes(content)


def tiff(pixels: Any, big_endian: bool = False, big: bool = False, **tags: int) -> bytes:
    """An uncompressed TIFF file: grey or RGB(A) of any dtype, with other tags by number (``t262=0``)."""
    order = ">" if big_endian else "<"
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    return tiff_of(
        [(data, {
            256: pixels.shape[1], 257: pixels.shape[0], 258: (8 * pixels.dtype.itemsize,) * samples, 259: 1,
            262: 1 if samples == 1 else 2, 277: samples, 278: pixels.shape[0], 284: 1,
            339: ({"u": 1, "i": 2, "f": 3}[pixels.dtype.kind],) * samples,
            **({338: 2} if samples == 4 else {}),
            **{int(name[1:]): value for name, value in tags.items()},
        })],
        order,
        big,
    )  # fmt: skip


def tiff_of(pages: list[tuple[bytes, dict[int, Any]]], order: str = "<", big: bool = False) -> bytes:
    """A TIFF file of pages: their data, and the values of their tags."""
    size, count_code, offset_code, offset_type = (8, "Q", "Q", 16) if big else (4, "H", "I", 4)
    content = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    content += struct.pack(order + "HH", 8, 0) if big else b""
    link = len(content)
    content += struct.pack(order + offset_code, 0)
    for data, tags in pages:
        at = len(content)
        content += data + b"\0" * (len(data) % 2)
        fields = {**tags, 273: (at, offset_type), 279: (len(data), offset_type)}
        entries = b""
        for tag, value in sorted(fields.items()):
            kind = 3
            if isinstance(value, tuple) and tag in (273, 279):
                value, kind = value
            values = value if isinstance(value, tuple) else (value,)
            packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else offset_code}", *values)
            if len(packed) > size:
                place = struct.pack(order + offset_code, len(content))
                content += packed + b"\0" * (len(packed) % 2)
                packed = place
            entries += struct.pack(order + "HH" + offset_code, tag, kind, len(values)) + packed.ljust(
                size, b"\0"
            )
        start = len(content)
        content = content[:link] + struct.pack(order + offset_code, start) + content[link + size :]
        content += struct.pack(order + count_code, len(fields)) + entries
        link = len(content)
        content += struct.pack(order + offset_code, 0)
    return content


def dicom(pixels: Any, bits: int | None = None, **values: Any) -> bytes:
    """A DICOM file of pixels (h, w), (n, h, w) or (h, w, 3), with other attributes by keyword."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and "NumberOfFrames" not in values
    dataset = pydicom.Dataset()
    dataset.PatientName, dataset.PatientID = PATIENT, PATIENT_ID
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(pixels)
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def ramp(bits: int, shape: tuple[int, ...] = (6, 8)) -> Any:
    """uint16 values from black to white of a depth, all different."""
    return np.linspace(0, 2**bits - 1, int(np.prod(shape))).round().astype(np.uint16).reshape(shape)
