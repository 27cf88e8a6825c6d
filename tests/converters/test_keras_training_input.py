"""Images as Keras reads them for training, compared with Keras itself, and the row of the evidence."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from keras_sources import MARKS, SIZE, coloured_images, read

import edgevision
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.converter import TrainingInputSource, TrainingResize
from edgevision.evidence.document import read_evidence
from edgevision.reporting.report import write_report
from edgevision.tasks.options import TaskOptions

pytestmark = MARKS

#: Way to resize -> the argument of Keras's function.
WAYS = {
    "stretch": {},
    "center-crop": {"crop_to_aspect_ratio": True},
    "letterbox": {"pad_to_aspect_ratio": True},
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG and a PNG of 45 x 31 pixels, in a folder each."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    smooth = cv2.resize(
        random.integers(0, 256, (8, 12, 3), np.uint8), (45, 31), interpolation=cv2.INTER_CUBIC
    )
    for suffix in ("jpg", "png"):
        (folder / suffix).mkdir()
        cv2.imwrite(str(folder / suffix / f"a.{suffix}"), smooth)
    return folder


@pytest.fixture(scope="module")
def folder_of_colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG images, and one PNG, in one folder per colour."""
    folder = tmp_path_factory.mktemp("colours")
    images, labels = coloured_images(80, seed=3)
    for place, (image, label) in enumerate(zip(images.astype(np.uint8), labels, strict=True)):
        (folder / f"c{label}").mkdir(exist_ok=True)
        suffix = "png" if place == 0 else "jpg"
        cv2.imwrite(str(folder / f"c{label}" / f"{place}.{suffix}"), image[:, :, ::-1])
    return folder


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "area"])
@pytest.mark.parametrize("way", WAYS)
def test_the_pixels_are_those_of_image_dataset_from_directory(
    keras: Any, trained_file: Path, photos: Path, way: str, interpolation: str, channels: int
) -> None:
    if (way, interpolation) == ("center-crop", "area"):
        pytest.skip("Keras's smart_resize has no area")
    source = read(trained_file)
    assert isinstance(source, TrainingInputSource)
    dataset = keras.utils.image_dataset_from_directory(
        photos,
        shuffle=False,
        image_size=(24, 20),
        batch_size=None,
        interpolation=interpolation,
        color_mode="rgb" if channels == 3 else "grayscale",
        verbose=False,
        **WAYS[way],
    )
    expected = [image.numpy() for image, _ in dataset]
    for path, image in zip(("jpg/a.jpg", "png/a.png"), expected, strict=True):
        resize = TrainingResize((20, 24), way, interpolation, channels)
        found = source.training_pixels((photos / path).read_bytes(), resize)
        assert found.dtype == np.float32
        assert found.shape == (24, 20, channels)
        np.testing.assert_array_equal(found, image)


def test_files_and_ways_that_keras_has_not_are_left_out(trained_file: Path, photos: Path) -> None:
    source = read(trained_file)
    data = (photos / "jpg" / "a.jpg").read_bytes()
    assert source.training_pixels(b"not an image", TrainingResize((8, 8), "stretch", "bilinear", 3)) is None
    assert source.training_pixels(data, TrainingResize((8, 8), "corner-letterbox", "bilinear", 3)) is None
    assert source.training_pixels(data, TrainingResize((8, 8), "center-crop", "area", 3)) is None
    assert "tf.io.decode_image" in source.training_input


def test_the_evidence_has_the_source_on_images_as_its_training_read_them(
    keras: Any, trained: Any, trained_file: Path, folder_of_colours: Path, tmp_path: Path, edgevision_command
) -> None:
    bundle = tmp_path / "colours.evb"
    settings = ConversionSettings(task=TaskOptions(), accept_not_shown=True)
    evidence = convert(
        trained_file,
        bundle,
        targets=["generic-cpu"],
        evaluation=folder_of_colours,
        precisions=["float32"],
        settings=settings,
    )
    found = evidence.training_input
    assert (found.images, found.evaluation_images, found.unread) == (80, 80, 0)
    dataset = keras.utils.image_dataset_from_directory(
        folder_of_colours, shuffle=False, image_size=(SIZE, SIZE), batch_size=80, verbose=False
    )
    ((images, labels),) = list(dataset)
    scores = trained.predict(images, verbose=0)
    accuracy = float((scores.argmax(axis=1) == labels.numpy()).mean())
    assert found.main_metric.name == "accuracy"
    assert found.main_metric.source == pytest.approx(accuracy)
    assert found.main_metric.artifact == evidence.results[0].comparison.metrics[0].source
    assert found.comparison.largest_difference > 1e-3, "another decoder gives other pixels"

    opened = read_bundle(bundle)
    text = opened.read(opened.manifest.evidence).decode()
    schema = json.loads(files("edgevision.schemas").joinpath("evidence.schema.json").read_text())
    jsonschema.validate(json.loads(text), schema)
    assert read_evidence(text, "evidence").training_input == found
    document = json.loads(text)
    del document["training_input"]
    assert read_evidence(json.dumps(document), "evidence").training_input is None

    shown = edgevision_command("inspect", bundle).stdout
    assert "decoder and preprocessing, against quantization (on 80 of 80 evaluation images)" in shown
    assert "conversion: tflite-float32" in shown or "conversion: " in shown
    write_report(bundle, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Decoder and preprocessing, against quantization" in page
    assert edgevision.TrainingInputEvidence is type(found)
