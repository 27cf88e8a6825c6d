"""A bundle keeps a few small pictures of the images on which its artifacts differ from the source."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

import edgevision
from edgevision.bundle.manifest import to_json
from edgevision.bundle.pictures import MOST_BYTES, Picture, read_pictures
from edgevision.bundle.storage import read_bundle
from edgevision.datasets.image_sets import ImageSet
from edgevision.evidence.records import Evidence
from edgevision.imaging.decode import decode_image
from edgevision.metrics.comparison import changes_of
from edgevision.tasks.description import read_generation

pytestmark = pytest.mark.convert
EXAMPLES = Path(__file__).parents[2] / "examples"


def _pictures(bundle: Path) -> tuple[Picture, ...]:
    read = read_bundle(bundle)
    assert read.manifest.pictures is not None
    return read_pictures(read.read(read.manifest.pictures), "pictures.zip")


def _changed(evidence: Evidence) -> set[str]:
    return {row.image for one in evidence.results for row in changes_of(one.comparison.details)}


def _photos(folder: Path, count: int, shape: tuple[int, int, int]) -> Path:
    random = np.random.default_rng(0)
    folder.mkdir()
    for place in range(count):
        photo = cv2.GaussianBlur(random.integers(0, 256, shape, np.uint8), (0, 0), shape[0] / 12)
        photo = cv2.normalize(photo, None, 0, 255, cv2.NORM_MINMAX)
        cv2.imwrite(str(folder / f"{place}.png"), photo)
    return folder


@pytest.fixture(scope="module")
def flipped(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Path]:
    """A classifier whose int8 predicts other classes for some digits, because it was calibrated on noise."""
    folder = tmp_path_factory.mktemp("flipped")
    noise = np.random.default_rng(0).integers(0, 160, (40, 32, 32, 3), np.uint8)
    evidence = edgevision.convert(
        quickstart / "quickstart" / "digits.keras",
        folder / "digits.evb",
        targets=["generic-cpu"],
        precisions=["int8"],
        evaluation=quickstart / "quickstart" / "evaluation",
        calibration=ImageSet.from_arrays(noise),
        settings=edgevision.ConversionSettings(budget=edgevision.Budget(min_agreement=0.0)),
    )
    return evidence, folder / "digits.evb"


def test_flipped_decisions_have_pictures(flipped: tuple[Evidence, Path], quickstart: Path) -> None:
    evidence, bundle = flipped
    pictures = _pictures(bundle)
    assert len(pictures) == min(200, len(_changed(evidence))) >= 2
    assert {one.image for one in pictures} <= _changed(evidence)
    assert pictures[0].image == evidence.results[0].comparison.details.flips[0].image, "the worst first"
    assert {one.shows for one in pictures} == {"input"}
    folder = quickstart / "quickstart" / "evaluation"
    for one in pictures[:3]:
        original = decode_image((folder / one.image).read_bytes(), one.image)
        np.testing.assert_array_equal(
            decode_image(one.content, one.image), original, "small images are stored without loss"
        )


def test_the_manifest_lists_the_pictures_and_matches_its_schema(flipped: tuple[Evidence, Path]) -> None:
    manifest = read_bundle(flipped[1]).manifest
    document = json.loads(to_json(manifest))
    assert document["pictures"]["path"] == "pictures.zip"
    schema = json.loads(files("edgevision.schemas").joinpath("manifest.schema.json").read_text())
    jsonschema.validate(document, schema)
    del document["pictures"]
    jsonschema.validate(document, schema)


def test_pictures_can_be_left_out(quickstart: Path, tmp_path: Path) -> None:
    edgevision.convert(
        quickstart / "quickstart" / "digits.keras",
        tmp_path / "digits.evb",
        targets=["generic-cpu"],
        precisions=["float32"],
        evaluation=quickstart / "quickstart" / "evaluation",
        settings=edgevision.ConversionSettings(pictures=False),
    )
    assert read_bundle(tmp_path / "digits.evb").manifest.pictures is None
    assert not (tmp_path / "digits.evb" / "pictures.zip").exists()
    assert "pictures" not in json.loads((tmp_path / "digits.evb" / "manifest.json").read_text())


def test_different_detections_are_drawn_for_each_model(tmp_path: Path) -> None:
    labels, voc = tmp_path / "labels.txt", tmp_path / "voc"
    labels.write_text("RBC\nWBC\nPlatelets\n")
    photos = _photos(tmp_path / "photos", 4, (480, 640, 3))
    voc.mkdir()
    for photo in photos.iterdir():
        (voc / f"{photo.stem}.xml").write_text("<annotation></annotation>")
    evidence = edgevision.convert(
        EXAMPLES / "blood_cells" / "blood_cells.keras",
        tmp_path / "cells.evb",
        targets=["generic-cpu"],
        precisions=["int8-dynamic"],
        evaluation=photos,
        settings=edgevision.ConversionSettings(
            task=edgevision.TaskOptions(
                labels=labels,
                annotations=voc,
                decoder_settings={"size_unit": "root-share"},
                thresholds={"score_threshold": 0.05},
            ),
            budget=edgevision.Budget(min_agreement=0.0),
        ),
    )
    pictures = _pictures(tmp_path / "cells.evb")
    shown = _changed(evidence)
    assert shown
    assert {one.image for one in pictures} == shown
    first = [one for one in pictures if one.image == pictures[0].image]
    assert [one.shows for one in first] == ["truth", "source", "tflite-int8-dynamic"]
    drawn = [decode_image(one.content, one.image).astype(int) for one in first]
    assert {one.shape for one in drawn} == {(300, 400, 3)}
    assert np.abs(drawn[0] - drawn[1]).max() > 100, "there is no ground truth, and the source has detections"
    assert sum(len(one.content) for one in pictures) <= MOST_BYTES


def test_generated_images_are_kept_beside_their_inputs(tmp_path: Path) -> None:
    noisy, clean = (_photos(tmp_path / name, 3, (48, 64, 3)) for name in ("noisy", "clean"))
    evidence = edgevision.convert(
        EXAMPLES / "cifar10" / "denoiser.keras",
        tmp_path / "denoiser.evb",
        targets=["generic-cpu"],
        precisions=["int8-dynamic"],
        evaluation=noisy,
        settings=edgevision.ConversionSettings(
            task=edgevision.TaskOptions(output_range=(0.0, 1.0), truth=clean),
            budget=edgevision.Budget(min_agreement=0.0),
        ),
    )
    pictures = _pictures(tmp_path / "denoiser.evb")
    first = [one for one in pictures if one.image == pictures[0].image]
    assert [one.shows for one in first] == ["input", "truth", "source", "tflite-int8-dynamic"]
    assert pictures[0].image == evidence.results[0].comparison.details.changes[0].image, (
        "the worst comes first"
    )


def test_images_generated_from_seeds_are_kept_for_each_model(tmp_path: Path) -> None:
    digits = EXAMPLES / "digits"
    edgevision.convert(
        digits / "generator.keras",
        tmp_path / "generator.evb",
        targets=["generic-cpu"],
        precisions=["int8-dynamic"],
        settings=edgevision.ConversionSettings(
            task=edgevision.TaskOptions(
                generation=read_generation(digits / "generator.task.json"), labels=digits / "labels.txt"
            ),
            budget=edgevision.Budget(min_agreement=0.0),
            evaluation_samples=3,
        ),
    )
    pictures = _pictures(tmp_path / "generator.evb")
    assert {one.shows for one in pictures} == {"source", "tflite-int8-dynamic"}
    assert {one.image for one in pictures} <= {"seed 0", "seed 1", "seed 2"}
