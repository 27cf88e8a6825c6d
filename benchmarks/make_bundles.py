"""Converts the two networks that the benchmarks need as bundles; once, with the extra `convert`.

    python benchmarks/make_bundles.py --shared ../shared

Writes ``resnet8.evb`` and ``blood_cells.evb`` beside this file, for LiteRT and OpenVINO in int8.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

import click

import edgevision
from edgevision import ConversionSettings, InputOptions, TaskOptions

HERE = Path(__file__).parent
BLOOD_CELLS = HERE.parent / "examples" / "blood_cells"


@click.command()
@click.option("--shared", type=click.Path(exists=True, path_type=Path), default=HERE.parents[1] / "shared")
def main(shared: Path) -> None:
    """Convert both."""
    data = shared / "data"
    _convert(
        shared / "models" / "resnet8_cifar10.h5",
        "resnet8.evb",
        TaskOptions(image=InputOptions(value_range=(0.0, 255.0))),
        calibration=data / "cifar10-train.zip",
        evaluation=data / "cifar10-test.zip",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runpy.run_path(str(BLOOD_CELLS / "unpack.py"))["unpack"](data / "bccd.zip", folder)
        task = TaskOptions(
            labels=folder / "labels.txt", decoder="heatmap", decoder_settings={"size_unit": "root-share"}
        )
        _convert(
            BLOOD_CELLS / "blood_cells.keras",
            "blood_cells.evb",
            task,
            calibration=folder / "train",
            evaluation=folder / "val",
        )


def _convert(source: Path, name: str, task: TaskOptions, **images: Any) -> None:
    settings = ConversionSettings(task=task, evaluation_samples=100, min_agreement=0.0, force=True)
    edgevision.convert(
        source,
        HERE / name,
        targets=["generic-cpu", "intel-cpu"],
        precisions=["int8"],
        settings=settings,
        **images,
    )
    print(f"wrote {HERE / name}")


if __name__ == "__main__":
    main()
