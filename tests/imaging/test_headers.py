"""The size in a header is that of the decoded image, and no header takes long to read."""

from __future__ import annotations

import io
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgevision.imaging.headers import ImageHeader, read_header

RNG = np.random.default_rng(0)


def encoded(format_: str, size_wh: tuple[int, int] = (37, 23), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    noise = RNG.integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("JPEG", encoded("JPEG")),
        ("JPEG", encoded("JPEG", progressive=True)),
        ("JPEG", encoded("JPEG", mode="L")),
        ("JPEG", encoded("JPEG", exif=b"Exif\0\0" + bytes(5000))),
        ("PNG", encoded("PNG")),
        ("PNG", encoded("PNG", mode="1")),
        ("BMP", encoded("BMP")),
        ("WebP", encoded("WEBP")),
        ("WebP", encoded("WEBP", lossless=True)),
        ("WebP", encoded("WEBP", mode="RGBA")),
        ("WebP", encoded("WEBP", exif=b"Exif\0\0" + bytes(50))),
    ],
)
def test_a_header_has_format_and_size(name: str, data: bytes) -> None:
    assert read_header(data) == ImageHeader(name, (37, 23))


@pytest.mark.parametrize("size_wh", [(1, 1), (255, 257), (16383, 1), (1, 5000)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "WEBP"])
def test_sizes_of_more_than_a_byte_are_read_in_the_right_order(name: str, size_wh: tuple[int, int]) -> None:
    header = read_header(encoded(name, size_wh))
    assert header is not None
    assert header.size_wh == size_wh


def test_the_size_of_a_jpeg_is_not_that_of_its_thumbnail() -> None:
    thumbnail = encoded("JPEG", (8, 8))
    header = read_header(encoded("JPEG", exif=b"Exif\0\0" + thumbnail))
    assert header is not None
    assert header.size_wh == (37, 23)


def test_a_bmp_of_os2_and_one_from_top_to_bottom_are_read() -> None:
    os2 = b"BM" + bytes(12) + struct.pack("<IHH", 12, 40, 30)
    downward = b"BM" + bytes(12) + struct.pack("<Iii", 40, 40, -30)
    assert read_header(os2) == read_header(downward) == ImageHeader("BMP", (40, 30))


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"RIFF\0\0\0\0WAVEfmt ", bytes(100)])
def test_other_formats_are_distinguished_from_damage(data: bytes) -> None:
    assert read_header(data) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded("JPEG")[:20], "states no size"),
        (b"\xff\xd8\xff\xda\0\x08", "states no size"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 20_000, "segments"),
        (encoded("PNG")[:20], "ends within"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT" + bytes(20), "not IHDR"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20), "0 x 0"),
        (b"BM" + bytes(12), "ends within"),
        (b"RIFF\0\0\0\0WEBPVP9 " + bytes(20), "VP9"),
    ],
)
def test_a_damaged_header_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_header(data)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x00", b"\x00", b"\xff\xd0", b"\xff\xff\x00"])
def test_a_long_file_of_nothing_is_refused_at_once(filler: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(ValueError, match="its header"):
        read_header(b"\xff\xd8\xff" + filler * 5_000_000)
    assert time.perf_counter() - started < 5


@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\0\0\0\0WEBP"]),
    st.binary(max_size=200),
)
def test_whatever_follows_a_signature_the_answer_is_a_size_or_a_reason(start: bytes, rest: bytes) -> None:
    try:
        header = read_header(start + rest)
    except ValueError:
        return
    assert header is not None
    assert min(header.size_wh) > 0
