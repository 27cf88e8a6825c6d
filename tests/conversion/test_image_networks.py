"""An image-to-image model: converted, verified, and run on three runtimes."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from edgevision.bundle.manifest import to_json
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.errors import InputError, OptionError
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from edgevision.imaging.decode import read_image
from edgevision.loading.load import load
from edgevision.tasks.options import TaskOptions

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 with numpy 2 warns of its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that blurs, photos, and the same photos blurred."""
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    target = tmp_path_factory.mktemp("generation")
    image = keras.Input((32, 32, 3), name="photo")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    blur = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name="blurred")
    model = keras.Model(image, blur(scaled))
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[:, :, range(3), range(3)] = 1 / 9
    blur.set_weights([kernel])
    model.save(target / "blur.keras")
    rng = np.random.default_rng(0)
    for part in ("photos", "blurred", "calibration"):
        (target / part).mkdir()
    for number in range(12):
        pixels = cv2.resize(
            rng.integers(0, 256, (8, 8, 3), np.uint8), (40, 36), interpolation=cv2.INTER_CUBIC
        )
        cv2.imwrite(str(target / "photos" / f"{number}.png"), pixels)
        cv2.imwrite(str(target / "blurred" / f"{number}.png"), cv2.blur(pixels, (3, 3)))
        cv2.imwrite(str(target / "calibration" / f"{number}.png"), pixels[::-1])
    return target


@pytest.fixture(scope="module")
def evidence(folder: Path) -> Evidence:
    return convert(
        folder / "blur.keras",
        folder / "blur.evb",
        targets=["raspberry-pi-5", "intel-cpu", "onnx-cpu"],
        precisions=["float32", "int8"],
        calibration=folder / "calibration",
        evaluation=folder / "photos",
        settings=ConversionSettings(
            task=TaskOptions(output_range=(0.0, 1.0), truth=folder / "blurred"), accept_not_shown=True
        ),
    )


def test_float32_gives_the_same_image_and_int8_a_similar_one(evidence: Evidence) -> None:
    assert len(evidence.results) == 6
    for result in evidence.results:
        is_float = result.artifact.endswith("float32")
        assert result.status == ("passed" if is_float else "not shown"), "on 12 images"
        assert result.comparison.likeness.get("PSNR, dB", math.inf) >= (60 if is_float else 35)


def test_source_and_artifacts_are_measured_against_ground_truth(evidence: Evidence) -> None:
    for result in evidence.results:
        metric = result.comparison.metric("PSNR")
        assert metric.unit == "dB"
        assert metric.source > 20
        assert metric.drop < 1.0


def test_its_documents_match_their_published_schemas(evidence: Evidence, folder: Path) -> None:
    manifest = read_bundle(folder / "blur.evb").manifest
    for name, text in (("manifest", to_json(manifest)), ("evidence", evidence_json(evidence))):
        schema = json.loads(files("edgevision.schemas").joinpath(f"{name}.schema.json").read_text())
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("backend", ["tflite", "openvino", "onnx"])
def test_every_runtime_takes_an_image_of_any_size(evidence: Evidence, folder: Path, backend: str) -> None:
    assert evidence.results
    photo = np.random.default_rng(1).integers(0, 256, (50, 75, 3), np.uint8)
    with load(folder / "blur.evb", backend=backend, precision="float32", selftest="always") as model:
        output = model(photo)[0]
    assert output.shape == photo.shape
    np.testing.assert_allclose(output[4:-4, 4:-4], cv2.blur(photo, (3, 3))[4:-4, 4:-4], atol=25)


def test_the_command_writes_images_and_a_contact_sheet(
    evidence: Evidence, folder: Path, edgevision_command, tmp_path: Path
) -> None:
    assert evidence.results
    words = (
        "generate",
        folder / "blur.evb",
        "--input",
        folder / "photos",
        "-o",
        "made",
        "--grid",
        "sheet.png",
    )
    done = edgevision_command(*words, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 12
    assert rows[0]["backend"] == "tflite"
    assert read_image(tmp_path / rows[0]["image"]).shape == (36, 40, 3)
    assert read_image(tmp_path / "sheet.png").shape == (3 * 37 - 1, 4 * 41 - 1, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("generate", "blur.evb", "-o", "made"), "generates an image from an image; pass --input IMAGE"),
        (("generate", "blur.evb", "--input", "photos", "--seed", "3", "-o", "made"), "--seed"),
        (("generate", "blur.evb", "--input", "photos", "--seed", "0", "-o", "made"), "--seed"),
        (("generate", "blur.evb", "--input", "photos", "--grid", "sheet.gif", "-o", "made"), "sheet.gif"),
        (("predict", "blur.evb", "photos"), "this model generates images; run edgevision generate"),
    ],
)
def test_options_of_other_tasks_are_refused(
    evidence: Evidence, folder: Path, edgevision_command, words, message
) -> None:
    assert evidence.results
    done = edgevision_command(*words, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr


def _convert(folder: Path, **options) -> None:
    convert(
        folder / "blur.keras",
        folder / "other.evb",
        targets=["generic-cpu"],
        precisions=["float32"],
        evaluation=folder / "photos",
        settings=ConversionSettings(task=TaskOptions(**options)),
    )


def test_the_output_range_is_required_and_never_guessed(folder: Path) -> None:
    with pytest.raises(OptionError, match=r"pass --output-range 0\.\.1"):
        _convert(folder)


def test_every_image_needs_ground_truth(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((36, 40, 3), np.uint8))
    with pytest.raises(InputError, match="has no image '1.png'"):
        _convert(folder, output_range=(0.0, 1.0), truth=tmp_path)
