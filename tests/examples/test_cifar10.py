"""The CIFAR-10 example, step by step as in its README, on small generated images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet

pytestmark = pytest.mark.convert  # the program imports matplotlib and scikit-learn, which only `dev` installs

EXAMPLE = Path(__file__).parents[2] / "examples" / "cifar10"
#: Class -> its colour, BGR: classes that a network learns in a few steps.
COLOURS = {"blue": (200, 60, 60), "green": (60, 200, 60), "red": (60, 60, 200)}


def write_images(folder: Path, per_class: int, seed: int, size: int = 32) -> Path:
    random = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            noise = random.normal(0, 40, (size, size, 3))
            image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            assert cv2.imwrite(str(folder / name / f"{number:03}.png"), image)
    return folder


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def run(folder: Path, *arguments: str | Path, code: str | None = None) -> subprocess.CompletedProcess[str]:
    program = ["-c", code] if code else [str(EXAMPLE / "cifar10.py")]
    return subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLE)} if code else None,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def succeeded(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with train/, test.zip and the model trained on them, and the output of the training."""
    folder = tmp_path_factory.mktemp("cifar10")
    write_images(folder / "train", per_class=120, seed=0)
    zipped(write_images(folder / "test", per_class=60, seed=1))
    options = ["--epochs", "3", "--batch-size", "16", "--confusion", "trained.png"]
    result = run(folder, "train", "--data", "train", "--test-data", "test.zip", *options)
    return folder, succeeded(result)


@pytest.fixture
def report() -> Iterator[ModuleType]:
    """The example's module `report`; its modules are removed afterwards, for those of other examples."""
    before = set(sys.modules)
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield import_module("report")
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in set(sys.modules) - before:
            if str(EXAMPLE) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def test_training_writes_an_accurate_model_and_draws_its_confusion_matrix(
    trained: tuple[Path, str],
) -> None:
    folder, output = trained
    assert "keras float32, 180 images" in output
    assert accuracy(output) > 0.9
    assert all(name in output for name in (*COLOURS, "precision", "recall", "f1-score"))
    assert cv2.imread(str(folder / "trained.png")).std() > 5


def test_the_saved_model_contains_neither_augmentation_nor_optimizer(trained: tuple[Path, str]) -> None:
    with zipfile.ZipFile(trained[0] / "cifar10.keras") as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    layers = [layer["class_name"] for layer in config["config"]["layers"]]
    assert layers[:2] == ["InputLayer", "Rescaling"]
    assert [name for name in layers if name.startswith("Random")] == []
    assert b"optimizer" not in weights
    assert len(weights) < 3_000_000


def test_the_network_is_the_convolutions_32_64_128_and_the_dense_layers_128_and_classes(
    trained: tuple[Path, str],
) -> None:
    with zipfile.ZipFile(trained[0] / "cifar10.keras") as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    sizes = {"Conv2D": "filters", "Dense": "units", "MaxPooling2D": "pool_size"}
    network = [
        (layer["class_name"], layer["config"][sizes[layer["class_name"]]])
        for layer in layers
        if layer["class_name"] in sizes
    ]
    pool = ("MaxPooling2D", [2, 2])
    convolutions = [("Conv2D", 32), pool, ("Conv2D", 64), pool, ("Conv2D", 128), pool]
    assert network == [*convolutions, ("Dense", 128), ("Dense", len(COLOURS))]


def test_conversion_evaluates_every_artifact_beside_the_model(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    options = ["--data", "train", "--test-data", "test.zip", "--confusion", "converted.png"]
    output = succeeded(run(folder, "convert", "cifar10.keras", *options))
    assert (folder / "cifar10.evb" / "manifest.json").is_file()
    table = output[output.rindex("keras float32") :].splitlines()
    assert table[0].split("  ")[-1].strip() == "onnx int8"
    assert all(name in table[0] for name in ("tflite int8", "openvino int8", "onnx int8"))
    rows = {line[:16].strip(): line[16:].split() for line in table[1:] if line}
    assert len(rows["accuracy"]) == 4
    assert all(float(drop) <= 2 for drop in rows["drop (pp)"])
    assert "--force" in run(folder, "convert", "cifar10.keras", *options).stderr
    drawn, single = (cv2.imread(str(folder / name)) for name in ("converted.png", "trained.png"))
    assert drawn.shape[1] == 4 * single.shape[1]


def test_a_limited_evaluation_is_repeatable(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    arguments = ["evaluate", "cifar10.keras", "--test-data", "test.zip", "--limit", "15"]
    first, second = (succeeded(run(folder, *arguments)) for _ in range(2))
    assert "keras float32, 15 images" in first
    assert first == second


def test_without_data_the_images_come_from_the_loader_of_keras(tmp_path: Path) -> None:
    # Keras's loader downloads, so it is replaced by one with the same shapes and dtypes.
    code = """
import keras, numpy, runpy, sys
def load_data():
    labels = numpy.arange(40, dtype=numpy.uint8).reshape(-1, 1) % 10
    pixels = numpy.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), numpy.uint8)
    return (pixels, labels), (pixels[:20], labels[:20])
keras.datasets.cifar10.load_data = load_data
sys.argv[0] = "cifar10.py"
runpy.run_module("cifar10", run_name="__main__", alter_sys=True)
"""
    output = succeeded(run(tmp_path, "train", "--epochs", "1", "--no-augment", code=code))
    assert "keras float32, 20 images" in output
    assert "automobile" in output
    assert (tmp_path / "cifar10.keras").is_file()


@pytest.mark.parametrize(
    ("size", "per_class", "expected"),
    [(16, 1, "expected 32 x 32 pixels, got 16 x 16"), (32, 0, "no images found")],
    ids=["images of another size", "no images"],
)
def test_unsuitable_images_are_refused_without_a_traceback(
    tmp_path: Path, size: int, per_class: int, expected: str
) -> None:
    data = write_images(tmp_path / "data", per_class, seed=0, size=size)
    result = run(tmp_path, "train", "--data", data, "--test-data", data)
    assert result.returncode == 1
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_the_table_has_f1_accuracy_drop_and_agreement_in_percent(report: ModuleType) -> None:
    labels = [0, 0, 0, 1, 1]
    images = ImageSet.from_arrays(np.zeros((5, 32, 32, 3), np.uint8), labels, ["cat", "dog"])
    keras = report.Predictions("keras float32", np.array([0, 0, 0, 1, 0]))
    tflite = report.Predictions("tflite int8", np.array([0, 0, 1, 1, 1]))
    onnx = report.Predictions("onnx int8", np.array([1, 0, 0, 0, 0]))
    table = [line.split() for line in report.side_by_side([keras, tflite, onnx], images).splitlines()]
    # F1 = 2 tp / (2 tp + fp + fn), by hand.
    assert table[1] == ["F1", "cat", f"{600 / 7:.2f}", "80.00", f"{400 / 7:.2f}"]
    assert table[2] == ["F1", "dog", f"{200 / 3:.2f}", "80.00", "0.00"]
    assert table[3] == ["accuracy", "80.00", "80.00", "40.00"]
    assert table[4] == ["drop", "(pp)", "0.00", "0.00", "40.00"]
    assert table[5] == ["agreement", "100.00", "60.00", "60.00"]


def accuracy(output: str) -> float:
    """The accuracy in the last report that was printed."""
    return float(output[output.rindex("accuracy") :].split()[1])
