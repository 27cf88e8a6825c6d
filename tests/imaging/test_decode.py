"""Images are read as a person sees them, by whichever way, or refused with the reason and the next step."""

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
from PIL import Image, ImageOps

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import as_batch, as_frame, as_image, decode_image, read_image
from edgevision.imaging.find import find_images
from edgevision.imaging.write import write_image

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


def test_the_limit_of_pixels_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", "2399")
    with pytest.raises(InputError, match="limit of 2399"):
        decode_image(encoded(QUARTERS), "quarters")
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", "2400")
    assert decode_image(encoded(QUARTERS), "quarters").shape == (40, 60, 3)


@pytest.mark.parametrize("limit", ["many", "-5", "0", "1.5"])
def test_an_invalid_limit_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
        (b"", r"expected JPEG, PNG, BMP, WebP, TIFF, GIF, HEIC, DICOM, got an empty file"),
        (b"this is a text file", r"HEIC, DICOM, got a file that starts with b'this is '"),
    ],
)
def test_other_files_are_refused_with_the_supported_formats(data: bytes, message: str) -> None:
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
    frame = as_frame(QUARTERS[:, :, ::-1], "bgr")
    assert frame.color == "bgr"
    assert np.shares_memory(frame.pixels, QUARTERS)


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


def saved(name: str, **options: Any) -> bytes:
    """The quarters in a file of the mode and format that `name` says, such as ``RGBA PNG``."""
    mode, format_ = name.split()
    quarters = np.dstack([QUARTERS, np.arange(2400, dtype=np.uint8).reshape(40, 60)])
    picture = Image.fromarray(quarters if mode in ("RGBA", "LA") else QUARTERS).convert(mode)
    return encoded(picture, format_, **options)


def orientation_tag(order: str, kind: int, value: bytes, after: bytes = b"") -> bytes:
    """A JPEG whose EXIF block has only an orientation, of an EXIF type that should not occur there."""
    mark, sign = (b"II*\0", "<") if order == "little" else (b"MM\0*", ">")
    entry = struct.pack(f"{sign}HHI", 0x0112, kind, 1) + value
    block = mark + struct.pack(f"{sign}IH", 8, 1) + entry + after
    return saved("RGB JPEG", exif=b"Exif\0\0" + block)


#: Readers of EXIF differ on each of these.
UNUSUAL_ORIENTATIONS = {
    "big-endian LONG": orientation_tag("big", 4, struct.pack(">I", 6), bytes(4)),
    "little-endian LONG": orientation_tag("little", 4, struct.pack("<I", 6), bytes(4)),
    "FLOAT": orientation_tag("little", 11, struct.pack("<f", 6.0), bytes(4)),
    "RATIONAL": orientation_tag("little", 5, struct.pack("<I", 26), bytes(4) + struct.pack("<II", 6, 1)),
    "UNDEFINED": orientation_tag("little", 7, struct.pack("<I", 6), bytes(4)),
    "unknown type": orientation_tag("little", 77, struct.pack("<I", 6), bytes(4)),
    "block cut short": orientation_tag("little", 3, struct.pack("<H", 6)),
}

FILES = {
    **{f"JPEG of orientation {n}": saved("RGB JPEG", exif=rotated_by_exif(n)) for n in range(1, 9)},
    **{
        f"{f} of orientation {n}": saved(f"RGB {f}", exif=rotated_by_exif(n))
        for f in ("PNG", "WEBP")
        for n in (3, 6)
    },
    **{
        name: saved(name)
        for name in (
            *("L JPEG", "CMYK JPEG", "1 PNG", "L PNG", "LA PNG", "P PNG", "RGB PNG", "RGBA PNG"),
            *("1 BMP", "L BMP", "P BMP", "RGB BMP", "RGBA BMP", "RGB WEBP", "RGBA WEBP"),
        )
    },
    "progressive JPEG": saved("RGB JPEG", progressive=True, subsampling=2),
    "palette PNG with a transparent colour": saved("P PNG", transparency=1),
    "palette PNG with transparency per colour": saved("P PNG", transparency=bytes(range(256))),
    "RGB PNG with a transparent colour": saved("RGB PNG", transparency=(250, 10, 10)),
    **{f"{mode} TIFF": saved(f"{mode} TIFF") for mode in ("1", "L", "P", "RGB")},
    **{f"TIFF of orientation {n}": saved("RGB TIFF", tiffinfo={0x0112: n}) for n in range(1, 9)},
    "lossless WebP with alpha": saved("RGBA WEBP", lossless=True),
    "WebP animation": encoded(
        Image.fromarray(QUARTERS), "WEBP", save_all=True, append_images=[Image.fromarray(QUARTERS[::-1])]
    ),
    "JPEG whose XMP alone states an orientation": saved(
        "RGB JPEG", xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    ),
    "JPEG with a damaged EXIF block": saved("RGB JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"),
    **{f"JPEG with an orientation of {kind}": data for kind, data in UNUSUAL_ORIENTATIONS.items()},
    "PNG with a large EXIF block": saved("RGB PNG", exif=rotated_by_exif(6).tobytes() + bytes(70_000)),
    "JPEG of orientation 0": saved("RGB JPEG", exif=rotated_by_exif(0)),
}


GIFS = {
    "GIF": saved("P GIF"),
    **{f"GIF with transparent colour {n}": saved("P GIF", transparency=n) for n in range(4)},
    "GIF animation": encoded(
        Image.fromarray(QUARTERS), "GIF", save_all=True, append_images=[Image.fromarray(QUARTERS[::-1])]
    ),
}
if cv2.haveImageWriter(".gif"):  # from OpenCV 4.12
    FILES |= GIFS


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_file_gives_the_same_pixels_by_path_bytes_pil_and_array(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.bin"
    path.write_bytes(data)
    expected = as_image(path)
    with Image.open(path) as opened, Image.open(io.BytesIO(data)) as unread:
        forms = {
            "str": str(path),
            "bytes": data,
            "bytearray": bytearray(data),
            "memoryview": memoryview(data),
            "PIL, of a file": opened,
            "PIL, of bytes": unread,
            "PIL, copied": opened.copy(),
            "array": expected,
            "BGR array": np.ascontiguousarray(expected[:, :, ::-1]),
        }
        for form, value in forms.items():
            pixels = as_image(value, "bgr" if form == "BGR array" else "rgb")
            assert pixels.dtype == np.uint8
            np.testing.assert_array_equal(pixels, expected, err_msg=form)


def test_an_orientation_that_was_applied_or_removed_is_not_applied_again() -> None:
    photo = Image.open(io.BytesIO(encoded(QUARTERS, "PNG", exif=rotated_by_exif(6))))
    upright = as_image(photo)
    np.testing.assert_array_equal(as_image(ImageOps.exif_transpose(photo)), upright)
    np.testing.assert_array_equal(as_image(photo.convert("RGBA")), upright)
    del photo.getexif()[0x0112]
    np.testing.assert_array_equal(as_image(photo), QUARTERS)


@pytest.mark.parametrize("mode", ["PA", "HSV", "YCbCr", "RGBX", "RGBa"])
def test_a_pil_mode_that_no_file_has_becomes_rgb(mode: str) -> None:
    assert as_image(Image.new(mode, (6, 4))).shape == (4, 6, 3)


def test_a_pil_mode_that_cannot_become_rgb_is_refused() -> None:
    with pytest.raises(InputError, match="PIL cannot decode it"):
        as_image(Image.new("La", (6, 4)))


def test_the_limit_of_pixels_applies_to_pil_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", "2399")
    with pytest.raises(InputError, match=r"has 60 x 40 pixels, more than the limit of 2399"):
        as_image(Image.fromarray(QUARTERS))


def test_arrays_may_be_read_only_strided_or_memory_mapped(tmp_path: Path) -> None:
    locked = QUARTERS.copy()
    locked.flags.writeable = False
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=QUARTERS.shape)
    mapped[:] = QUARTERS
    for value in (locked, np.asfortranarray(QUARTERS), QUARTERS[::-1][::-1]):
        assert as_image(value) is value
        np.testing.assert_array_equal(as_image(value), QUARTERS)
    for value in (mapped, np.asarray(mapped), mapped[:]):
        image = as_image(value)  # a copy: the file may shrink
        assert not np.shares_memory(image, mapped)
        np.testing.assert_array_equal(image, QUARTERS)


def test_an_array_in_a_file_that_has_shrunk_is_refused_and_does_not_kill_the_process(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=(64, 64, 3))
    with (tmp_path / "pixels").open("r+b") as file:
        file.truncate(100)
    for value in (mapped, np.asarray(mapped), mapped[:8, :8]):
        with pytest.raises(InputError, match="a mapped file that is now shorter than the image"):
            as_image(value)


class FileEntry:
    """As ``os.DirEntry``: a path that is neither a str nor a Path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


def test_any_path_object_is_read(tmp_path: Path) -> None:
    path = tmp_path / "quarters.png"
    write_image(str(path), QUARTERS)
    assert np.array_equal(as_image(FileEntry(path)), QUARTERS)
    assert find_images([FileEntry(path)]) == [path]


def test_pil_is_not_imported_for_callers_who_do_not_use_it(tmp_path: Path) -> None:
    path = tmp_path / "quarters.png"
    path.write_bytes(encoded(QUARTERS))
    code = (
        "import sys, numpy\n"
        "from edgevision.errors import InputError\n"
        "from edgevision.imaging.decode import as_image\n"
        f"as_image({str(path)!r}), as_image(open({str(path)!r}, 'rb').read())\n"
        "as_image(numpy.zeros((2, 2), 'uint8'))\n"
        "try: as_image(object())\n"
        "except InputError: sys.exit('PIL' in sys.modules)\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "color", "message"),
    [
        (QUARTERS / 255, "rgb", r"values of 64 bits .* for values in 0…1 pass \(image \* 255\)"),
        (QUARTERS.astype(np.uint16), "rgb", r"values of 16 bits per channel; say how .* --bit-depth 12"),
        (QUARTERS.astype(">u2"), "rgb", r"uint16; for the byte order of this machine"),
        (QUARTERS.astype(np.int64), "rgb", r"int64; for values in 0…255 pass image\.astype"),
        (QUARTERS > 5, "rgb", r"bool; for a mask"),
        (QUARTERS[:0], "rgb", "at least one pixel"),
        (np.zeros((4, 4, 4), np.uint8), "rgb", r"\(4, 4, 4\); to drop its alpha pass image\[:, :, :3\]"),
        (np.zeros((3, 4, 4), np.uint8), "rgb", r"transpose\(1, 2, 0\)"),
        (QUARTERS[np.newaxis], "rgb", r"one by one, or as a list"),
        (np.zeros(4, np.uint8), "rgb", r"expected shape .* got \(4,\)"),
        (np.zeros((4, 4, 2), np.uint8), "rgb", r"channels last"),
        (QUARTERS, "gray", r"pass color='rgb' or color='bgr'"),
        (
            None,
            "rgb",
            r"expected a \(h, w, 3\) array, a path, .* a PIL image or a YuvFrame, got NoneType",
        ),
        (cv2.imencode(".png", QUARTERS)[1], "rgb", r"encoded file pass image\.tobytes\(\)"),
        ([[1, 2], [3, 4]], "rgb", "got list"),
        (Image.new("I", (4, 4)), "rgb", "signed values of 32 bits per channel; say how"),
        (Image.new("F", (4, 4)), "rgb", "floating-point values of 32 bits per channel; say how"),
    ],
)
def test_an_invalid_image_is_refused_with_the_next_step(value: Any, color: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_image(value, color)


def test_an_unknown_colour_is_refused() -> None:
    with pytest.raises(OptionError, match="color: expected one of rgb, bgr, gray, yuv420, .*, got 'RGB'"):
        as_image(QUARTERS, "RGB")


def test_a_pil_image_that_is_cut_short_is_refused() -> None:
    data = encoded(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    with (
        Image.open(io.BytesIO(data[: len(data) // 2])) as image,
        pytest.raises(InputError, match="PIL cannot decode"),
    ):
        as_image(image)


def test_reading_a_description_needs_no_opencv() -> None:
    code = "import sys, edgevision, edgevision.imaging.preprocess; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_photos_of_every_kind_are_read(shared: Path) -> None:
    for path in find_images([shared / "images"]):
        image = read_image(path)
        assert image.ndim == 3
        assert image.std() > 10


def test_an_orientation_that_the_caller_has_changed_counts() -> None:
    with Image.open(io.BytesIO(saved("RGB PNG", exif=rotated_by_exif(6)))) as opened:
        assert as_image(opened).shape == (60, 40, 3)
        opened.getexif()[0x0112] = 1
        assert as_image(opened).shape == (40, 60, 3)


def test_a_pil_image_without_pixels_is_refused_as_an_array_is() -> None:
    for empty in (Image.new("RGB", (0, 5)), np.zeros((5, 0, 3), np.uint8)):
        with pytest.raises(InputError, match="expected at least one pixel"):
            as_image(empty)


@pytest.mark.parametrize(
    "several",
    [[QUARTERS], (QUARTERS,), QUARTERS[np.newaxis], QUARTERS[np.newaxis, :, :, 0], np.array(["a.png"])],
)
def test_a_batch_is_a_sequence_of_images(several: Any) -> None:
    assert as_batch(several) is several
    assert list(as_batch(iter([QUARTERS, QUARTERS]))) == [QUARTERS, QUARTERS]


@pytest.mark.parametrize(
    "one",
    [
        QUARTERS,
        QUARTERS[:, :, :1],
        QUARTERS[:, :, 0],
        np.array(5),
        "a.png",
        Path("a.png"),
        b"a",
        Image.new("RGB", (2, 2)),
        {"a": QUARTERS},
        {"a.png"},
        None,
        5,
    ],
    ids=lambda one: type(one).__name__,
)
def test_one_image_is_not_taken_apart_as_a_batch(one: Any) -> None:
    with pytest.raises(
        InputError, match=r"images: expected a list of images .* for one image pass \[image\]"
    ):
        as_batch(one)


def test_without_gif_in_opencv_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.haveImageWriter", lambda name: False)
    monkeypatch.setattr("edgevision.imaging.decode.decode_8bit", lambda data: None)
    with pytest.raises(InputError, match=r"does not read GIF; run: pip install -U .*; or convert it: magick"):
        decode_image(GIFS["GIF"], "a.gif")
