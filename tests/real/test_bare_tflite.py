"""TFLite files with metadata, as people have them: they name what is in photos, with no option given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevision.errors import ArtifactError
from edgevision.imaging.decode import read_image
from edgevision.loading.load import load

SEEN = {
    "burger.jpg": {"cheeseburger"},
    "cat.bmp": {"Egyptian cat", "tabby", "tiger cat"},
    "parrot.jpg": {"macaw"},
    "owl.jpg": {"great grey owl", "ruffed grouse", "partridge"},
}


@pytest.mark.parametrize("backend", ["tflite", "openvino"])
@pytest.mark.parametrize(
    "model", ["mobilenet_v1_0.25_224_metadata.tflite", "mobilenet_v1_0.25_224_quant_metadata.tflite"]
)
def test_the_animals_and_the_burger_are_named(shared: Path, model: str, backend: str) -> None:
    with load(shared / "models" / model, backend=backend) as classifier:
        for name, expected in SEEN.items():
            assert classifier(shared / "images" / name).top()[0].label in expected


def test_the_command_line_names_them_too(shared: Path, edgevision_command) -> None:
    model = shared / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite"
    done = edgevision_command("predict", model, shared / "images" / "burger.jpg", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["classes"][0]["label"] == "cheeseburger"


def test_a_detector_with_metadata_finds_the_cats_and_the_dog(shared: Path) -> None:
    with load(shared / "models" / "coco_ssd_mobilenet_v1_quant_metadata.tflite") as detector:
        found = detector(shared / "images" / "cats_and_dogs.jpg")
    labels = [one.label for one in found if one.score > 0.4]
    assert labels.count("cat") >= 2
    assert "dog" in labels
    sitting = next(one for one in found if one.label == "cat" and one.box[0] > 800)
    left, top, right, bottom = sitting.box
    assert (left, top, right, bottom) == pytest.approx((871, 403, 1077, 600), abs=15)


def test_openvino_says_which_operator_it_lacks(shared: Path) -> None:
    with pytest.raises(ArtifactError, match="TFLite_Detection_PostProcess"):
        load(shared / "models" / "coco_ssd_mobilenet_v1_quant_metadata.tflite", backend="openvino")


def test_annotated_images_are_saved_beside_the_input_never_over_it(
    shared: Path, edgevision_command, tmp_path: Path
) -> None:
    model = shared / "models" / "coco_ssd_mobilenet_v1_quant_metadata.tflite"
    image = shared / "images" / "cats_and_dogs.jpg"
    done = edgevision_command("predict", model, image, "--save", "seen", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["objects"][0]["label"] == "cat"
    (saved,) = (tmp_path / "seen").iterdir()
    before, after = read_image(image), read_image(saved)
    assert before.shape == after.shape
    assert (before != after).any(axis=2).mean() > 0.005
