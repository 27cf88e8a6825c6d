"""Every task on every backend: the artifact gives the results of the Keras model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.evidence.records import Evidence
from edgevision.loading.load import load
from edgevision.tasks.description import read_generation
from edgevision.tasks.options import TaskOptions

pytestmark = pytest.mark.convert

EXAMPLES = Path(__file__).parents[1] / "examples"
BACKENDS = ("tflite", "openvino", "onnx")

#: Task -> trained weights of an example, and the options that cannot be inferred from them.
MODELS = {
    "classify": (EXAMPLES / "cifar10" / "cifar10.keras", TaskOptions()),
    "detect": (
        EXAMPLES / "blood_cells" / "blood_cells.keras",
        TaskOptions(decoder_settings={"size_unit": "root-share"}, thresholds={"score_threshold": 0.05}),
    ),
    "image-to-image": (EXAMPLES / "cifar10" / "denoiser.keras", TaskOptions(output_range=(0.0, 1.0))),
    "diffusion": (
        EXAMPLES / "digits" / "generator.keras",
        TaskOptions(generation=read_generation(EXAMPLES / "digits" / "generator.task.json")),
    ),
}


def _scenes() -> ImageSet:
    """Blobs of color: not photos, but with enough contrast for every network."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :128, :1][:2]
    scenes = []
    for _ in range(24):
        centers, radii = rng.uniform(10, 90, (6, 2)), rng.uniform(6, 30, 6)
        colors = rng.uniform(-120, 120, (6, 3))
        scene = np.full((96, 128, 3), 128.0) + rng.normal(0, 6, (96, 128, 3))
        for (cy, cx), radius, color in zip(centers, radii, colors, strict=True):
            scene = scene + color * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / radius**2)
        scenes.append(scene.clip(0, 255).astype(np.uint8))
    return ImageSet.from_arrays(scenes)


@pytest.fixture(scope="module", params=MODELS)
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Evidence, Path]:
    """The evidence of one task's model, at float32 on every backend, and its bundle."""
    source, options = MODELS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "detect":
        labels = folder / "labels.txt"
        labels.write_text("RBC\nWBC\nPlatelets\n")
        options = TaskOptions(
            labels=labels, decoder_settings=options.decoder_settings, thresholds=options.thresholds
        )
    bundle = folder / f"{request.param}.evb"
    evidence = convert(
        source,
        bundle,
        targets=["generic-cpu", "intel-cpu", "onnx-cpu"],
        precisions=["float32"],
        evaluation=None if options.generation else _scenes(),
        settings=ConversionSettings(task=options, evaluation_samples=24),
    )
    return evidence, bundle


@pytest.mark.parametrize("backend", BACKENDS)
def test_float32_gives_the_results_of_keras(converted: tuple[Evidence, Path], backend: str) -> None:
    evidence, bundle = converted
    (result,) = [one for one in evidence.results if one.backend == backend]
    assert result.precision == "float32"
    assert result.comparison.images == 24
    assert result.comparison.agreement >= 0.999
    assert result.comparison.mean_difference < 1e-3
    load(bundle, backend=backend, selftest="always").close()
