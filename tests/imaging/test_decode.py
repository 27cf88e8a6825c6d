"""Images are read as a person sees them, or refused with the reason and the next step."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import as_image, as_pixels, decode_image, find_images, read_image

# Red, green, blue and grey quarters: any mistake in order or orientation shows.
QUARTERS = np.zeros((40, 60, 3), np.uint8)
QUARTERS[:20, :30] = (250, 10, 10)
QUARTERS[:20, 30:] = (10, 250, 10)
QUARTERS[20:, :30] = (10, 10, 250)
QUARTERS[20:, 30:] = (120, 120, 120)


def encoded(image: Any, format_: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(buffer, format_, **options)
    return buffer.getvalue()


def rotated_by_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"format_": "PNG"}, 0),
        ({"format_": "BMP"}, 0),
        ({"format_": "WEBP", "lossless": True}, 0),
        ({"format_": "JPEG", "quality": 95}, 12),
    ],
)
def test_every_format_decodes_to_rgb(options: dict[str, Any], tolerance: int) -> None:
    image = decode_image(encoded(QUARTERS, **options), "quarters")
    assert image.shape == (40, 60, 3)
    assert image.dtype == np.uint8
    centres = np.s_[10::20, 15::30]
    assert np.abs(image[centres].astype(int) - QUARTERS[centres]).max() <= tolerance


def test_an_opencv_without_the_rgb_flag_gives_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(cv2, "IMREAD_COLOR_RGB", raising=False)
    assert np.array_equal(decode_image(encoded(QUARTERS), "quarters"), QUARTERS)


def test_grey_and_palette_become_rgb() -> None:
    grey = Image.fromarray(QUARTERS).convert("L")
    expected = np.repeat(np.asarray(grey)[:, :, np.newaxis], 3, axis=2)
    assert np.array_equal(decode_image(encoded(grey), "grey"), expected)
    assert np.array_equal(decode_image(encoded(Image.fromarray(QUARTERS).quantize(4)), "palette"), QUARTERS)


def test_alpha_is_dropped_and_not_blended() -> None:
    see_through = np.dstack([QUARTERS, np.full((40, 60), 50, np.uint8)])
    assert np.array_equal(decode_image(encoded(see_through), "alpha"), QUARTERS)
    assert np.array_equal(
        decode_image(encoded(see_through, "WEBP", lossless=True, exact=True), "a"), QUARTERS
    )


def test_sixteen_bits_a_channel_become_their_upper_eight() -> None:
    deep = np.arange(0, 65536, 17, dtype=np.uint16).reshape(16, -1)
    image = decode_image(encoded(deep), "deep")
    assert np.array_equal(image[:, :, 0], deep >> 8)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_an_exif_orientation_turns_the_picture_upright(format_: str) -> None:
    lying = encoded(np.rot90(QUARTERS), format_, exif=rotated_by_exif(6))
    image = decode_image(lying, "photo")
    assert image.shape == (40, 60, 3)
    assert np.abs(image[10, 15].astype(int) - QUARTERS[10, 15]).max() < 16


def test_a_path_that_is_not_ascii_is_read(tmp_path: Path) -> None:
    path = tmp_path / "größe ☃ 写真.png"
    path.write_bytes(encoded(QUARTERS))
    assert np.array_equal(read_image(path), QUARTERS)
    assert np.array_equal(read_image(str(path)), QUARTERS)


def png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(
        InputError, match=r"bomb.png: has 30000 x 30000 .* EDGEVISION_MAX_PIXELS to 900000000"
    ):
        decode_image(png_bomb(30000, 30000), "bomb.png")


def test_the_limit_of_pixels_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", "2399")
    with pytest.raises(InputError, match="limit of 2399"):
        decode_image(encoded(QUARTERS), "quarters")
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", "2400")
    assert decode_image(encoded(QUARTERS), "quarters").shape == (40, 60, 3)


@pytest.mark.parametrize("limit", ["many", "-5", "0", "1.5"])
def test_a_limit_that_is_no_number_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", limit)
    with pytest.raises(OptionError, match="EDGEVISION_MAX_PIXELS"):
        decode_image(encoded(QUARTERS), "quarters")


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_refused_with_its_name(format_: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = encoded(noise, format_)
    with pytest.raises(InputError, match=r"^holiday\.jpg: damaged or cut short"):
        decode_image(data[: int(len(data) * part)], "holiday.jpg")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"expected JPEG, PNG, BMP, WebP, got an empty file"),
        (b"this is a text file", r"expected JPEG, PNG, BMP, WebP, got a file that starts with b'this is '"),
    ],
)
def test_what_is_no_image_is_refused_with_the_formats_that_are_known(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_image(data, "notes.jpg")


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jpg: cannot be read: No such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_image("nul\0byte.jpg")


def test_an_rgb_array_is_not_copied() -> None:
    assert as_image(QUARTERS) is QUARTERS
    pixels, color = as_pixels(QUARTERS[:, :, ::-1], "bgr")
    assert color == "bgr"
    assert np.shares_memory(pixels, QUARTERS)


def test_bgr_grey_paths_and_pil_images_become_rgb(tmp_path: Path) -> None:
    path = tmp_path / "quarters.png"
    path.write_bytes(encoded(QUARTERS))
    grey = QUARTERS[:, :, 0]
    assert np.array_equal(as_image(QUARTERS[:, :, ::-1], "bgr"), QUARTERS)
    assert np.array_equal(as_image(np.ascontiguousarray(QUARTERS[:, :, ::-1]), "bgr"), QUARTERS)
    assert np.array_equal(as_image(grey), np.dstack([grey] * 3))
    assert np.array_equal(as_image(grey[:, :, np.newaxis], "gray"), np.dstack([grey] * 3))
    assert np.array_equal(as_image(path), QUARTERS)
    assert np.array_equal(as_image(str(path)), QUARTERS)
    assert np.array_equal(as_image(Image.fromarray(QUARTERS)), QUARTERS)
    assert np.array_equal(as_image(Image.fromarray(grey)), np.dstack([grey] * 3))


@pytest.mark.parametrize(
    ("value", "color", "message"),
    [
        (QUARTERS / 255, "rgb", r"expected uint8 .* float64; for numbers in 0…1 pass \(image \* 255\)"),
        (QUARTERS.astype(np.uint16), "rgb", r"uint16; for 16 bits"),
        (QUARTERS > 5, "rgb", r"bool; for a mask"),
        (QUARTERS[:0], "rgb", "at least one pixel"),
        (np.zeros((4, 4, 4), np.uint8), "rgb", r"\(4, 4, 4\); to drop its alpha pass image\[:, :, :3\]"),
        (np.zeros((3, 4, 4), np.uint8), "rgb", r"transpose\(1, 2, 0\)"),
        (QUARTERS[np.newaxis], "rgb", r"one by one, or as a list"),
        (np.zeros(4, np.uint8), "rgb", r"expected shape .* got \(4,\)"),
        (np.zeros((4, 4, 2), np.uint8), "rgb", r"channels last"),
        (QUARTERS, "gray", r"say color='rgb' or color='bgr'"),
        (None, "rgb", r"expected a \(h, w, 3\) uint8 array, a path or a PIL image, got NoneType"),
        ([[1, 2], [3, 4]], "rgb", "got list"),
        (Image.fromarray(np.zeros((4, 4), np.uint16)), "rgb", "mode 'I;16' has more than 8 bits"),
    ],
)
def test_what_is_no_image_says_what_to_do(value: Any, color: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_image(value, color)


def test_an_unknown_colour_is_refused() -> None:
    with pytest.raises(OptionError, match="color: expected one of rgb, bgr, gray, got 'RGB'"):
        as_image(QUARTERS, "RGB")


def test_a_pil_image_that_is_cut_short_is_refused() -> None:
    data = encoded(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    with (
        Image.open(io.BytesIO(data[: len(data) // 2])) as image,
        pytest.raises(InputError, match="PIL cannot decode"),
    ):
        as_image(image)


def test_images_are_found_in_folders_in_sorted_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpeg", "a.jpg", "c/d/e.webp", "notes.txt", ".hidden.png", ".cache/x.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert found == ["a.jpg", "b/1.jpeg", "b/2.PNG", "c/d/e.webp"]


def test_named_files_stay_in_the_order_given_whatever_their_suffix(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("z.jpg", "a.dat")]
    for path in paths:
        path.touch()
    assert find_images(map(str, paths)) == paths


def test_linked_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").touch()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert find_images([tmp_path / "set"]) == [tmp_path / "set" / "linked" / "1.png"]


def test_a_link_to_itself_is_found_and_told_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    (found,) = find_images([tmp_path])
    with pytest.raises(InputError, match="cannot be read"):
        read_image(found)


def test_no_images_and_no_such_path_are_errors(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no images found; expected files with .bmp, .jpeg, .jpg, .png, .webp"
    ):
        find_images([tmp_path])
    with pytest.raises(InputError, match="no images found"):
        find_images([])
    with pytest.raises(InputError, match="does not exist"):
        find_images([tmp_path / "gone"])


def test_reading_a_description_needs_no_opencv() -> None:
    code = "import sys, edgevision, edgevision.imaging.preprocess; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_photos_of_every_kind_are_read(shared: Path) -> None:
    for path in find_images([shared / "images"]):
        image = read_image(path)
        assert image.ndim == 3
        assert image.std() > 10
