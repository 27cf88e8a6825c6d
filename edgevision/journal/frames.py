"""Frames as a journal keeps them: their digest, and their pixels without any loss."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import JournalError
from edgevision.imaging.decode import MAX_PIXELS
from edgevision.imaging.frame import Frame
from edgevision.imaging.headers import read_header
from edgevision.journal.chain import canonical
from edgevision.system.array_files import read_npy

#: zlib's fastest: others take several times as long for a few percent.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_WITHOUT_PIXELS = ("bits", "inverted", "levels", "pixel_spacing_mm", "private")


def copy_of(frame: Frame) -> Frame:
    """The frame with pixels of its own: a camera overwrites its memory."""
    return replace(frame, pixels=np.array(frame.pixels, order="C"))


def facts_of(frame: Frame) -> dict[str, Any]:
    """Size, form and digest of a frame, as JSON values.

    ``sha256`` is that of the canonical JSON of colour, dtype and shape, a line feed, and the pixels row by
    row, little-endian: equal for equal pixels in the same channel order, wherever they come from.
    """
    pixels = _little_endian(frame.pixels)
    form = {"color": frame.color, "dtype": pixels.dtype.name, "shape": list(pixels.shape)}
    digest = hashlib.sha256(f"{canonical(form)}\n".encode())
    digest.update(pixels.data)
    facts: dict[str, Any] = {**form, "sha256": digest.hexdigest()}
    plain = Frame(frame.pixels)
    for name in _WITHOUT_PIXELS:
        value = getattr(frame, name)
        if value != getattr(plain, name):
            facts[name] = list(value) if isinstance(value, tuple) else value
    return facts


def packed(frame: Frame) -> tuple[str, bytes]:
    """A name of the form, ``png`` or ``npy``, and the content of such a file with exactly these pixels."""
    pixels = frame.pixels
    if pixels.dtype in (np.uint8, np.uint16) and pixels.ndim in (2, 3):
        ordered = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if frame.color == "rgb" else pixels
        encoded, content = cv2.imencode(".png", ordered, _PNG)
        if encoded:
            return "png", content.tobytes()
    file = io.BytesIO()
    np.save(file, _little_endian(pixels), allow_pickle=False)
    return "npy", file.getvalue()


def unpacked(content: bytes, facts: Mapping[str, Any], where: str) -> Frame:
    """The frame with these facts.

    Args:
        content: as `packed` made it.
        facts: as `facts_of` gave them, with the form as ``kept.form``.
        where: for errors.

    Raises:
        JournalError: the content is something else; the digest of its pixels is checked.
    """
    try:
        form, color = facts["kept"]["form"], facts["color"]
        pixels = _png(content, facts) if form == "png" else read_npy(content)
        others = {name: facts[name] for name in _WITHOUT_PIXELS if name in facts}
        for name in ("levels", "pixel_spacing_mm"):
            if name in others:
                first, second = others[name]
                others[name] = (float(first), float(second))
        frame = Frame(pixels, color, where, **others)
        found = facts_of(frame)["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError, cv2.error) as error:
        raise JournalError(f"{where}: its frame cannot be read (altered or damaged?)") from error
    if found != facts["sha256"]:
        raise JournalError(f"{where}: its frame has other pixels than those that were recorded")
    return frame


def _png(content: bytes, facts: Mapping[str, Any]) -> NDArray[Any]:
    header = read_header(content)
    height, width = facts["shape"][:2]
    if header is None or header.size_wh != (width, height) or width * height > MAX_PIXELS:
        raise ValueError("not a PNG of this size")
    pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("not a valid PNG")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if facts["color"] == "rgb" else pixels


def _little_endian(pixels: NDArray[Any]) -> NDArray[Any]:
    pixels = np.ascontiguousarray(pixels)
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
