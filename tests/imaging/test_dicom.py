"""DICOM: values, window and spacing as the standard says; and nothing else of the file, by no way."""

from __future__ import annotations

import io
import logging
import struct
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.imaging.decode import as_frame, as_image, decode_frame, frame_count, read_frames
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.tensors import TensorSpec
from image_files import PATIENT, PATIENT_ID, dicom, ramp

pydicom = pytest.importorskip("pydicom")

HU = (ramp(12).astype(np.int32) - 1024).astype(np.int16)


def shares(image: Any, **fields: Any) -> Any:
    """The image as the network sees it, 0 for black and 1 for white: (h, w)."""
    frame = as_frame(image)
    how = Preprocessing(frame.size_wh, (0.0, 1.0), color="gray", **fields)
    shape = (1, *how.image_shape)
    out = np.zeros(shape, np.float32)
    Preprocessor(how, TensorSpec("x", shape, "float32")).put(frame, out[0])
    return out[0, :, :, 0]


def with_groups(content: bytes, shared: dict[str, Any], frames: list[dict[str, Any]]) -> bytes:
    """The file with functional groups: sequence keyword -> attributes of its item."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    for keyword, groups in (
        ("SharedFunctionalGroupsSequence", [shared]),
        ("PerFrameFunctionalGroupsSequence", frames),
    ):
        items = []
        for group in groups:
            item = pydicom.Dataset()
            for sequence, attributes in group.items():
                inner = pydicom.Dataset()
                inner.update(attributes)
                setattr(item, sequence, [inner])
            items.append(item)
        setattr(dataset, keyword, items)
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset)
    return file.getvalue()


def test_rescaled_values_are_what_a_window_counts_in() -> None:
    stored = ramp(12)
    file = dicom(stored, bits=12, RescaleSlope=1, RescaleIntercept=-1024)
    frame = as_frame(file)
    np.testing.assert_array_equal(frame.pixels, stored.astype(int) - 1024)
    expected = np.clip((HU - 39.5) / 399 + 0.5, 0, 1)
    np.testing.assert_allclose(shares(file, window=(40, 400)), expected, atol=1e-6)
    np.testing.assert_allclose(shares(HU, window=(40, 400)), expected, atol=1e-6)
    wider = dicom(ramp(10), bits=10, RescaleSlope=4, RescaleIntercept=0)
    np.testing.assert_allclose(shares(wider, bit_depth=12), ramp(10) * 4 / 4095, atol=1e-6)
    half = dicom(stored, bits=12, RescaleSlope=0.5, RescaleIntercept=0)
    np.testing.assert_allclose(as_frame(half).pixels, stored / 2)


def test_signed_values_are_signed() -> None:
    np.testing.assert_array_equal(as_frame(dicom(HU, bits=13)).pixels, HU)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"WindowCenter": 500, "WindowWidth": 401}, lambda p: np.clip((p - 499.5) / 400 + 0.5, 0, 1)),
        ({"WindowCenter": [500, 9], "WindowWidth": [401, 9]}, lambda p: np.clip((p - 299.5) / 400, 0, 1)),
        ({"WindowCenter": 500, "WindowWidth": 1}, lambda p: p > 499.5),
        (
            {"WindowCenter": 500, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"},
            lambda p: np.clip((p - 500) / 400 + 0.5, 0, 1),
        ),
        (
            {"WindowCenter": 500, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
            lambda p: 1 / (1 + np.exp(-4 * (p - 500) / 400)),
        ),
    ],
)
def test_the_files_own_window_is_applied_where_that_is_stated(
    attributes: dict[str, Any], expected: Any
) -> None:
    pixels = ramp(12)
    file = dicom(pixels, bits=12, **attributes)
    by_hand = expected(pixels.astype(np.float64))
    np.testing.assert_allclose(shares(file, window="file"), by_hand, atol=1e-6)
    inverted = dicom(pixels, bits=12, PhotometricInterpretation="MONOCHROME1", **attributes)
    np.testing.assert_allclose(shares(inverted, window="file"), 1 - by_hand, atol=1e-6)
    np.testing.assert_allclose(shares(file, bit_depth=12), pixels / 4095, atol=1e-6)


def test_a_table_of_the_file_is_its_window() -> None:
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [256, 100, 8])
    table.add_new("LUTData", "OW", np.arange(255, -1, -1).astype("<u2").tobytes())
    file = dicom(ramp(10), bits=10, VOILUTSequence=[table])
    expected = (255 - np.clip(ramp(10).astype(int) - 100, 0, 255)) / 255
    np.testing.assert_allclose(shares(file, window="file"), expected, atol=1e-6)


def test_a_table_of_the_modality_is_applied_first() -> None:
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [1024, 0, 16])
    table.add_new("LUTData", "OW", (np.arange(1024) * 3).astype("<u2").tobytes())
    table.ModalityLUTType = "OD"
    file = dicom(ramp(10), bits=10, ModalityLUTSequence=[table])
    np.testing.assert_array_equal(as_frame(file).pixels, ramp(10) * 3)


def test_a_window_is_missing_where_the_file_has_none() -> None:
    with pytest.raises(InputError, match="has no window of its own"):
        shares(dicom(ramp(12), bits=12), window="file")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_monochrome1_is_inverted(dtype: Any) -> None:
    pixels = ramp(8).astype(dtype)
    file = dicom(pixels, bits=8, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(as_image(file)[:, :, 0], 255 - pixels)
    np.testing.assert_allclose(shares(file, bit_depth=8), 1 - pixels / 255, atol=1e-6)
    deep = dicom(ramp(12), bits=12, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(shares(deep, bit_depth=12), 1 - ramp(12) / 4095, atol=1e-6)


def test_eight_bits_with_a_window_that_changes_them_are_refused_unless_it_is_stated() -> None:
    pixels = ramp(8).astype(np.uint8)
    assert np.array_equal(as_image(dicom(pixels, WindowCenter=128, WindowWidth=256))[:, :, 0], pixels)
    changed = dicom(pixels, WindowCenter=50, WindowWidth=40)
    with pytest.raises(InputError, match="has a window of its own, .* pass --window file .* --bit-depth 8"):
        as_image(changed)
    np.testing.assert_allclose(shares(changed, bit_depth=8), pixels / 255, atol=1e-6)


def test_a_mask_of_one_bit_is_not_taken_for_a_black_picture() -> None:
    file = dicom(ramp(8).astype(np.uint8) // 128, bits=1)
    with pytest.raises(InputError, match="values of 1 bits per channel"):
        as_image(file)
    assert set(np.unique(shares(file, pixel_range=(0, 1)))) == {0, 1}


def test_fewer_bits_than_stated_are_refused() -> None:
    with pytest.raises(InputError, match="has 10 bits per channel, .* states bit depth 12"):
        shares(dicom(ramp(10), bits=10), bit_depth=12)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colours_become_rgb(photometric: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    stored = rgb
    if photometric == "YBR_FULL":
        red, green, blue = (rgb[:, :, channel].astype(float) for channel in range(3))
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        channels = [luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128]
        stored = np.stack(channels, axis=2).round().clip(0, 255).astype(np.uint8)
    file = dicom(stored, PhotometricInterpretation=photometric)
    assert np.abs(as_image(file).astype(int) - rgb).max() <= (0 if photometric == "RGB" else 2)


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless"])
def test_compressed_files_give_the_same_values(syntax: str) -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(ramp(12, (32, 40)), bits=12)))
    dataset.compress(getattr(pydicom.uid, syntax))
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset)
    np.testing.assert_array_equal(as_frame(file.getvalue()).pixels, ramp(12, (32, 40)))


def test_frames_are_read_one_by_one_with_their_own_rescale_window_and_spacing(tmp_path: Path) -> None:
    stored = np.stack([ramp(12), ramp(12)[::-1]])
    path = tmp_path / "enhanced.dcm"
    content = with_groups(
        dicom(stored, bits=12),
        {"PixelMeasuresSequence": {"PixelSpacing": [0.5, 0.25]}},
        [
            {
                "PixelValueTransformationSequence": {"RescaleSlope": slope, "RescaleIntercept": 0},
                "FrameVOILUTSequence": {"WindowCenter": centre, "WindowWidth": 401},
            }
            for slope, centre in ((1, 500), (2, 900))
        ],
    )
    path.write_bytes(content)
    assert frame_count(content, "e") == 2
    with pytest.raises(InputError, match=r"has 2 frames; pass them one by one: .*read_frames"):
        as_frame(path)
    frames = list(read_frames(path))
    assert [frame.name for frame in frames] == [f"{path}#0", f"{path}#1"]
    assert {frame.pixel_spacing_mm for frame in frames} == {(0.5, 0.25)}
    for frame, pixels, slope, centre in zip(frames, stored, (1, 2), (500, 900), strict=True):
        values = pixels.astype(float) * slope
        np.testing.assert_array_equal(frame.pixels, values)
        expected = np.clip((values - centre + 0.5) / 400 + 0.5, 0, 1)
        np.testing.assert_allclose(shares(frame, window="file"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({"PixelSpacing": [0.7, 0.6]}, (0.7, 0.6)),
        ({"ImagerPixelSpacing": [0.2, 0.2]}, None),  # of the detector, not of what it shows
        ({"PixelSpacing": [0, 0]}, None),
        ({}, None),
    ],
)
def test_the_spacing_of_pixels_is_kept(attributes: dict[str, Any], spacing: Any) -> None:
    assert as_frame(dicom(ramp(12), bits=12, **attributes)).pixel_spacing_mm == spacing


def test_a_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    file = dicom(ramp(12), bits=12, Rows=60000, Columns=60000)
    with pytest.raises(InputError, match="60000 x 60000 pixels, more than the limit"):
        as_frame(file)
    with pytest.raises(InputError, match="2000000 frames"):
        as_frame(dicom(ramp(12), bits=12, NumberOfFrames=2_000_000))


def test_a_bomb_within_a_compressed_frame_is_refused_by_its_own_header() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(ramp(12, (32, 40)), bits=12)))
    dataset.compress(pydicom.uid.JPEG2000Lossless)
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset)
    size = struct.pack(">II", 40, 32)
    bomb = file.getvalue().replace(size, struct.pack(">II", 60000, 60000), 1)
    assert bomb != file.getvalue()
    with pytest.raises(InputError, match="60000 x 60000 pixels, more than the limit"):
        as_frame(bomb)


def _broken() -> dict[str, bytes]:
    whole = dicom(ramp(12), bits=12)
    without = pydicom.dcmread(io.BytesIO(whole))
    del without.PixelData
    file = io.BytesIO()
    pydicom.dcmwrite(file, without)
    return {
        "cut short": whole[:-20],
        "cut in its header": whole[:300],
        "without an image": file.getvalue(),
        "unknown colours": whole.replace(b"MONOCHROME2 ", b"Doe^Jane    "),
        "seven bits allocated": whole.replace(b"\x28\0\0\x01US\2\0\x10\0", b"\x28\0\0\x01US\2\0\7\0"),
    }


@pytest.mark.parametrize("case", _broken())
def test_nothing_of_a_patient_is_in_errors_warnings_or_logs(
    case: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("pydicom").setLevel(logging.DEBUG)
    logging.getLogger("pydicom").propagate = True
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        with pytest.raises(InputError) as refused:
            as_frame(_broken()[case])
    told = "".join(traceback.format_exception(refused.value)) + caplog.text + "".join(capfd.readouterr())
    told += "".join(str(one.message) for one in caught)
    for secret in (PATIENT, "Doe", PATIENT_ID):
        assert secret not in told


def test_an_odd_value_of_another_tag_warns_nobody(caplog: pytest.LogCaptureFixture) -> None:
    content = dicom(ramp(12), bits=12, PatientBirthDate="18000101")
    content = content.replace(b"18000101", b"Doe-Jane")
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        as_frame(content)
    assert not caught
    assert not [record for record in caplog.records if record.name == "pydicom"]


def test_a_compression_that_cannot_be_decoded_is_told_with_the_way_out() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(ramp(12), bits=12)))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xc3" + bytes(60)])
    dataset["PixelData"].VR = "OB"
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset)
    with pytest.raises(InputError, match="JPEG Lossless.* cannot be decoded here; unpack it first: gdcmconv"):
        as_frame(file.getvalue())


def test_without_pydicom_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(InputError, match=r'DICOM files need pydicom; run: pip install "edgevision\[dicom\]"'):
        decode_frame(bytes(128) + b"DICM" + bytes(100), "scan.dcm")
