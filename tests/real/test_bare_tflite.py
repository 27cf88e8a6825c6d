"""TFLite files with metadata, as people have them: they name what is in photos, with no option given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevision.runtime import load

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
