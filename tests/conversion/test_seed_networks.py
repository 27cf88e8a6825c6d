"""Models that generate images from a vector or noise: converted, verified on seeds, run on three runtimes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgevision.bundle.manifest import to_json
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError, SourceError
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from edgevision.loading.load import load
from edgevision.tasks.description import GenerateTask, task_to_dict
from edgevision.tasks.generation_settings import Condition, DiffusionSettings, LatentSettings, NoiseSchedule
from edgevision.tasks.options import TaskOptions

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 with numpy 2 warns of its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

BACKENDS = ("tflite", "openvino", "onnx")

LATENT = GenerateTask(
    "latent", "image", (-1.0, 1.0), "rgb", LatentSettings("vector", condition=Condition("kind", "one-hot", 3))
)
DIFFUSION = GenerateTask(
    "diffusion",
    "clean",
    (-1.0, 1.0),
    "gray",
    DiffusionSettings(
        "noisy",
        "time",
        "fraction",
        "x0",
        NoiseSchedule("cosine", steps=100, offset=0.008),
        condition=Condition("kind", "one-hot", 3, null_class=3),
        steps=6,
        guidance=1.5,
    ),
)
TASKS = {"latent": LATENT, "diffusion": DIFFUSION}


def _decoder(keras: Any) -> Any:
    """A vector and a class in, an image out."""
    vector, kind = keras.Input((8,), name="vector"), keras.Input((3,), name="kind")
    x = keras.layers.Concatenate()([vector, kind])
    x = keras.layers.Dense(4 * 4 * 8, activation="relu")(x)
    x = keras.layers.Reshape((4, 4, 8))(x)
    x = keras.layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="tanh", name="image")(x)
    return keras.Model([vector, kind], x)


def _denoiser(keras: Any) -> Any:
    """A noisy image, its noise level and a class in, an image without noise out."""
    noisy, time = keras.Input((12, 12, 1), name="noisy"), keras.Input((1,), name="time")
    kind = keras.Input((4,), name="kind")
    condition = keras.layers.Dense(8, activation="relu")(keras.layers.Concatenate()([time, kind]))
    condition = keras.layers.Reshape((1, 1, 8))(condition)
    x = keras.layers.Conv2D(8, 3, padding="same")(noisy)
    x = keras.layers.ReLU()(keras.layers.Add()([x, condition]))
    x = keras.layers.Conv2D(1, 3, padding="same", activation="tanh", name="clean")(x)
    return keras.Model([noisy, time, kind], x)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks, and their task files."""
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    keras.utils.set_random_seed(3)
    target = tmp_path_factory.mktemp("seeds")
    _decoder(keras).save(target / "latent.keras")
    _denoiser(keras).save(target / "diffusion.keras")
    for name, task in TASKS.items():
        (target / f"{name}.task.json").write_text(json.dumps(task_to_dict(task)))
    return target


@pytest.fixture(scope="module", params=TASKS)
def converted(request: pytest.FixtureRequest, folder: Path) -> tuple[Evidence, Path]:
    """The evidence and the bundle of one of them, in float32 and int8 for every runtime."""
    bundle = folder / f"{request.param}.evb"
    evidence = convert(
        folder / f"{request.param}.keras",
        bundle,
        targets=["raspberry-pi-5", "intel-cpu", "onnx-cpu"],
        precisions=["float32", "int8"],
        settings=ConversionSettings(
            task=TaskOptions(generation=TASKS[request.param]),
            evaluation_samples=6,
            calibration_samples=48,
            accept_not_shown=True,
        ),
    )
    return evidence, bundle


def test_float32_gives_the_same_images_and_int8_similar_ones(converted: tuple[Evidence, Path]) -> None:
    evidence, _ = converted
    assert len(evidence.results) == 6
    for result in evidence.results:
        is_float = result.artifact.endswith("float32")
        assert result.status == ("passed" if is_float else "not shown")
        assert result.comparison.images == 6
        assert result.comparison.likeness.get("PSNR, dB", math.inf) >= (60 if is_float else 20), (
            result.artifact
        )
        assert is_float or result.comparison.largest_difference > 0, "int8 is not the source itself"


def test_the_evidence_names_the_seeds(converted: tuple[Evidence, Path]) -> None:
    evidence, _ = converted
    assert evidence.evaluation.name == "seeds 0 to 5"
    assert evidence.calibration is not None
    assert evidence.calibration.name.startswith("seeds 1000000 to ")


def test_its_documents_match_their_published_schemas(converted: tuple[Evidence, Path]) -> None:
    evidence, bundle = converted
    manifest = read_bundle(bundle).manifest
    assert manifest.preprocessing is None
    for name, text in (("manifest", to_json(manifest)), ("evidence", evidence_json(evidence))):
        schema = json.loads(files("edgevision.schemas").joinpath(f"{name}.schema.json").read_text())
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_same_seed_gives_the_same_image_on_every_runtime(
    converted: tuple[Evidence, Path], precision: str
) -> None:
    _, bundle = converted
    images_of_backends = []
    for backend in BACKENDS:
        with load(bundle, backend=backend, precision=precision, selftest="always") as model:
            images = model.sample(2, seed=5, condition=[0, 2]).images.astype(int)
            alone = model.sample(1, seed=6, condition=2).images.astype(int)
        assert np.abs(images[1] - alone[0]).max() <= 1, "an image depends on the others of its batch"
        images_of_backends.append(images)
    for other in images_of_backends[1:]:
        assert np.abs(images_of_backends[0] - other).mean() <= (0.5 if precision == "float32" else 16)


def test_the_known_answers_are_calls_of_the_network(converted: tuple[Evidence, Path]) -> None:
    _, bundle = converted
    with np.load(bundle / "selftest.npz") as arrays:
        inputs = {name for name in arrays.files if name.startswith("inputs/")}
        rows = {len(arrays[name]) for name in inputs}
    assert "inputs/kind" in inputs
    (count,) = rows
    assert 4 <= count <= 16


def test_the_command_converts_it_and_generates(folder: Path, edgevision_command: Any) -> None:
    labels = folder / "kinds.txt"
    labels.write_text("round\nflat\ntall\n")
    words = ["--task", folder / "diffusion.task.json", "--labels", labels, "--evaluation-samples", "2"]
    words += ["--target", "intel-cpu", "--precision", "float32", "-o", "model.evb"]
    done = edgevision_command("convert", folder / "diffusion.keras", *words)
    assert done.returncode == 0, done.stderr
    assert "measured on 2 images of seeds 0 to 1" in done.stdout
    words = ["--condition", "flat", "--seed", "1", "-o", "out", "--json"]
    generated = edgevision_command("generate", "model.evb", *words)
    assert generated.returncode == 0, generated.stderr
    assert json.loads(generated.stdout)["class_ids"] == [1]


@pytest.mark.parametrize("name", ["evaluation", "calibration"])
def test_images_are_refused_where_seeds_are_used(folder: Path, tmp_path: Path, name: str) -> None:
    sets: dict[str, Any] = {name: folder}
    with pytest.raises(OptionError, match=f"--{name} .*evaluated on seeds; remove it"):
        convert(
            folder / "latent.keras",
            tmp_path / "model.evb",
            targets=["intel-cpu"],
            settings=ConversionSettings(task=TaskOptions(generation=LATENT)),
            **sets,
        )


def test_a_task_whose_tensors_the_network_lacks_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    wrong = replace(LATENT, settings=LatentSettings("noise"))
    with pytest.raises(OptionError, match="the network has no input 'noise'; it has: 'vector', 'kind'"):
        convert(
            folder / "latent.keras",
            tmp_path / "model.evb",
            targets=["intel-cpu"],
            precisions=["float32"],
            settings=ConversionSettings(task=TaskOptions(generation=wrong)),
        )
    assert not (tmp_path / "model.evb").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "expected JSON like a manifest's task"),
        ("[]", "expected a JSON object"),
        ('{"name": "classify", "output": "a", "score_kind": "softmax"}', "expected a task 'generate'"),
        ('{"name": "generate", "kind": "latent"}', "field 'output' is missing"),
    ],
)
def test_a_task_file_of_another_kind_is_refused(
    folder: Path, tmp_path: Path, edgevision_command: Any, text: str, message: str
) -> None:
    (tmp_path / "task.json").write_text(text)
    done = edgevision_command(
        "convert", folder / "latent.keras", "--target", "intel-cpu", "--task", "task.json", "-o", "model.evb"
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_model_that_takes_no_image_needs_a_task_file(folder: Path, tmp_path: Path) -> None:
    images = np.zeros((2, 12, 12, 3), np.uint8)
    with pytest.raises(SourceError, match=r"has 3 inputs \(noisy, time, kind\); expected one.*--task FILE"):
        convert(
            folder / "diffusion.keras",
            tmp_path / "model.evb",
            targets=["intel-cpu"],
            precisions=["float32"],
            evaluation=ImageSet.from_arrays(images),
        )


def test_without_images_or_seeds_there_is_nothing_to_evaluate_on(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="pass --evaluation FOLDER"):
        convert(
            folder / "latent.keras", tmp_path / "model.evb", targets=["intel-cpu"], precisions=["float32"]
        )
