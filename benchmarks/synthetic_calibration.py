"""The cost of calibration without images: int8 artifacts calibrated on real, synthetic and random images.

    python synthetic_calibration.py MODEL --calibration train.zip --evaluation test.zip --input-range 0..255

Each artifact is evaluated as by `edgevision convert`: agreement with the Keras model, and accuracy.
`beyond` is the share of activations outside the calibrated ranges, in the layer with the largest share.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import numpy as np

from edgevision.cli.options.image import value_range
from edgevision.cli.output.tables import echo_table, percent
from edgevision.cli.output.terminal import without_noise
from edgevision.conversion.convert import ConversionSettings, Images, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.evidence.requirements import Budget
from edgevision.imaging.input_options import InputOptions
from edgevision.tasks.options import TaskOptions

TARGETS = ("generic-cpu", "intel-cpu", "onnx-cpu")
HEADER = (
    "calibration",
    "images",
    "artifact",
    "agreement",
    "accuracy",
    "source accuracy",
    "beyond",
    "seconds",
)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--calibration", type=click.Path(path_type=Path), required=True)
@click.option("--evaluation", type=click.Path(path_type=Path), required=True)
@click.option("--input-range", metavar="LOW..HIGH", callback=value_range)
@click.option("--evaluation-samples", type=int, help="Default: all.")
def main(
    model: Path,
    calibration: Path,
    evaluation: Path,
    input_range: tuple[float, float] | None,
    evaluation_samples: int | None,
) -> None:
    """Convert MODEL with each calibration set, and compare the artifacts."""
    real = ImageSet.open(calibration)
    noise = np.random.default_rng(0).integers(0, 256, (128, *next(iter(real)).shape), np.uint8)
    sets: tuple[tuple[str, int, Images], ...] = (
        ("real", 500, real),
        ("real", 128, real),
        ("synthetic", 128, "synthetic"),
        ("random noise", 128, ImageSet.from_arrays(noise, name="random noise")),
    )
    rows = []
    for name, count, images in sets:
        settings = ConversionSettings(
            task=TaskOptions(image=InputOptions(value_range=input_range)),
            budget=Budget(min_agreement=0.0),
            calibration_samples=count,
            evaluation_samples=evaluation_samples,
        )
        rows.extend([name, str(count), *row] for row in _measured(model, evaluation, images, settings))
    echo_table(HEADER, rows)


def _measured(
    model: Path, evaluation: Path, calibration: Images, settings: ConversionSettings
) -> list[list[str]]:
    """One row per artifact; the seconds are those of all three together."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, without_noise():
        evidence = convert(
            model,
            Path(folder) / "model.evb",
            targets=TARGETS,
            precisions=["int8"],
            evaluation=evaluation,
            calibration=calibration,
            settings=settings,
        )
    seconds = time.monotonic() - started
    coverage = evidence.calibration_coverage
    beyond = percent(coverage.worst[0].clipped) if coverage is not None else "-"
    rows = []
    for result in evidence.results:
        comparison = result.comparison
        accuracy = [percent(v) for metric in comparison.metrics[:1] for v in (metric.artifact, metric.source)]
        rows.append([result.artifact, percent(comparison.agreement), *accuracy, beyond, f"{seconds:.0f}"])
    return rows


if __name__ == "__main__":
    main()
