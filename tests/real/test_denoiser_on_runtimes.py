"""A denoiser that was trained on CIFAR-10: it takes out the noise on three runtimes, in int8 as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.evidence.records import Evidence
from edgevision.metrics.image_similarity import psnr_db
from edgevision.tasks.options import TaskOptions

pytestmark = pytest.mark.convert
EXAMPLE = Path(__file__).parents[2] / "examples" / "cifar10"


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy and clean test images, and noisy training images, as the example lays them out."""
    target = tmp_path_factory.mktemp("denoise")
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from denoise import lay_out; lay_out(*map(Path, sys.argv[2:]), limit=200)"
    )
    data = shared / "data"
    arguments = [EXAMPLE, data / "cifar10-train.zip", data / "cifar10-test.zip", target]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    return target


@pytest.fixture(scope="module")
def evidence(folder: Path) -> Evidence:
    return convert(
        EXAMPLE / "denoiser.keras",
        folder / "denoiser.evb",
        targets=["raspberry-pi-5", "intel-cpu", "onnx-cpu"],
        precisions=["int8", "float32"],
        calibration=folder / "training",
        evaluation=folder / "noisy",
        settings=ConversionSettings(task=TaskOptions(output_range=(0.0, 1.0), truth=folder / "clean")),
    )


def test_every_artifact_is_two_decibels_and_more_above_the_noisy_image(
    evidence: Evidence, folder: Path
) -> None:
    pairs = zip(ImageSet.open(folder / "noisy"), ImageSet.open(folder / "clean"), strict=True)
    noisy_db = float(np.mean([psnr_db(noisy, clean) for noisy, clean in pairs]))
    assert len(evidence.results) == 6
    for result in evidence.results:
        metric = result.comparison.metric("PSNR")
        assert metric.source >= noisy_db + 2
        assert metric.artifact >= noisy_db + 2, result.artifact
        assert metric.drop < 0.6
