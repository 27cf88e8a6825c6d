"""Conversions on images with more than 8 bits, and on DICOM files, of which a bundle keeps nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from tiny_conversion import LABELS, TinyConverter, tiny_plugins, tiny_request

import edgevision
from edgevision.bundle.known_answers import KnownImages, read_known_answers
from edgevision.bundle.storage import Bundle, read_bundle
from edgevision.conversion.convert import Conversion
from edgevision.errors import InputError
from edgevision.imaging.input_options import InputOptions
from edgevision.tasks.options import TaskOptions
from image_files import PATIENT, dicom, png

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


def _scenes(folder: Path, count: int, seed: int, suffix: str, write: Any) -> Path:
    """A folder of colours of 12 bits."""
    random = np.random.default_rng(seed)
    for number in range(count):
        path = folder / LABELS[number % 5] / f"Doe_Jane_{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write(random.integers(0, 4096, (8, 8), np.uint16).repeat(2, 0).repeat(2, 1)))
    return folder


def _convert(
    folder: Path, images: Path, precisions: tuple[str, ...] = ("float32",), **settings: Any
) -> Bundle:
    request = tiny_request(folder, precisions)
    image = InputOptions(**settings.pop("image", {"bit_depth": 12}))
    own = replace(request.settings, task=TaskOptions(image=image, output="scores"), **settings)
    request = replace(request, evaluation=images, settings=own)
    Conversion.prepare(request, tiny_plugins(TinyConverter())).run()
    return read_bundle(request.output)


def test_the_bit_depth_is_obeyed_by_the_evaluation_the_bundle_and_its_known_answers(tmp_path: Path) -> None:
    images = _scenes(tmp_path / "images", 40, 0, ".png", png)
    bundle = _convert(tmp_path, images)
    preprocessing = bundle.manifest.preprocessing
    assert preprocessing is not None
    assert preprocessing.bit_depth == 12
    manifest = json.loads((tmp_path / "model.evb" / "manifest.json").read_text())
    assert manifest["preprocessing"]["bit_depth"] == 12
    jsonschema.validate(
        manifest, json.loads(files("edgevision.schemas").joinpath("manifest.schema.json").read_text())
    )
    known = read_known_answers(bundle.read(bundle.manifest.selftest), preprocessing, "known").known_inputs
    assert isinstance(known, KnownImages)
    assert known.images.dtype == np.float32
    assert 0.9 < known.images.max() <= 1, "of 12 bits, and not of 16"
    path = next(images.rglob("*.png"))
    with edgevision.load(tmp_path / "model.evb", selftest="always") as model:
        by_path = model(path).scores
        pixels = edgevision.read_frame(path).pixels
        np.testing.assert_array_equal(model(pixels).scores, by_path)
        with pytest.raises(InputError, match="8 bits per channel, .* states bit depth 12"):
            model((pixels >> 4).astype(np.uint8))
    report = tmp_path / "report.html"
    edgevision.write_report(tmp_path / "model.evb", report)
    assert "<dt>bit depth</dt><dd>12</dd>" in report.read_text()
    (images / "a" / "film.mp4").touch()
    evaluation = edgevision.evaluate(tmp_path / "model.evb", images)
    assert evaluation.data.images == 40
    assert [left["file"] for left in evaluation.to_dict()["left_out"]] == [str(images / "a" / "film.mp4")]


def test_nothing_is_converted_on_twelve_bits_that_are_not_stated(tmp_path: Path) -> None:
    images = _scenes(tmp_path / "images", 10, 0, ".png", png)
    with pytest.raises(InputError, match="values of 16 bits per channel; say how"):
        _convert(tmp_path, images, image={})


def test_an_old_manifest_without_the_fields_still_loads(tmp_path: Path) -> None:
    images = _scenes(tmp_path / "images", 5, 0, ".png", lambda pixels: png((pixels >> 4).astype(np.uint8)))
    bundle = _convert(tmp_path, images, image={})
    manifest = json.loads((tmp_path / "model.evb" / "manifest.json").read_text())
    assert "bit_depth" not in manifest["preprocessing"]
    assert bundle.manifest.preprocessing is not None
    assert bundle.manifest.preprocessing.mapping.is_plain


def _texts(folder: Path) -> str:
    return "".join(
        (Path(where) / name).read_bytes().decode("latin-1")
        for where, _, names in os.walk(folder)
        for name in names
    )


@pytest.mark.parametrize("allowed", [False, True])
def test_a_bundle_has_no_pictures_and_no_names_of_dicom_files_unless_that_is_allowed(
    allowed: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pydicom")
    images = _scenes(tmp_path / "images", 40, 0, ".dcm", lambda pixels: dicom(pixels, bits=12))
    bundle = _convert(tmp_path, images, dicom_pictures=allowed)
    edgevision.write_report(tmp_path / "model.evb", tmp_path / "report.html")
    told = _texts(tmp_path / "model.evb") + (tmp_path / "report.html").read_text()
    told += "".join(capfd.readouterr())
    for secret in (PATIENT, "Doe", "4711"):
        assert secret not in told
    known = read_known_answers(
        bundle.read(bundle.manifest.selftest), bundle.manifest.preprocessing, "known"
    ).known_inputs
    assert isinstance(known, KnownImages)
    stored = {np.rint(edgevision.read_frame(path).pixels.mean()) for path in images.rglob("*.dcm")}
    is_picture = [bool(np.rint(one.mean() * 4095) in stored) for one in known.images]
    assert all(is_picture) if allowed else not all(is_picture)
    with edgevision.load(tmp_path / "model.evb", selftest="always") as model:
        assert model(next(images.rglob("*.dcm"))).pixel_spacing_mm is None
