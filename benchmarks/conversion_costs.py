"""CPU time and memory of int8 conversions, relative to the plain converters'.

    python benchmarks/conversion_costs.py

Networks of `keras.applications` with random weights, 96 x 96 pixels, and 100 calibration images of noise:
their costs are those of trained ones. Each conversion runs in a process of its own; see `plain.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from plain import FORMATS, RECIPES, Job, Measured, measure

NETWORKS = ("MobileNetV2", "EfficientNetV2B0", "ResNet50", "ConvNeXtTiny")
SIZE = 96
_BUILD = """
import sys, keras
keras.utils.set_random_seed(1)
network = getattr(keras.applications, sys.argv[1])
network(input_shape=(int(sys.argv[3]), int(sys.argv[3]), 3), weights=None, classes=10).save(sys.argv[2])
"""


@click.command()
@click.option("--network", "networks", multiple=True, default=NETWORKS, show_default=True)
@click.option("--format", "formats", multiple=True, default=FORMATS, show_default=True)
def main(networks: Sequence[str], formats: Sequence[str]) -> None:
    """Print CPU seconds and peak memory of each conversion, and their ratios."""
    click.echo(
        "| network | format | CPU s plain / ours | ratio | GB plain / ours | ratio |\n|" + " --- |" * 6
    )
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        files = [str(Path(folder, f"{name}.npy")) for name in ("calibration", "evaluation")]
        for path, count in zip(files, (100, 20), strict=True):
            np.save(path, rng.uniform(0, 255, (count, SIZE, SIZE, 3)).astype(np.float32))
        for network in networks:
            model = str(Path(folder, f"{network}.keras"))
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
            subprocess.run(
                [sys.executable, "-c", _BUILD, network, model, str(SIZE)], env=environment, check=True
            )
            for format_ in formats:
                click.echo(_row(network, format_, [Job(model, *files, format_, each) for each in RECIPES]))


def _row(network: str, format_: str, jobs: Sequence[Job]) -> str:
    try:
        plain, ours = (measure(job) for job in jobs)
    except RuntimeError as error:
        return f"| {network} | {format_} | {error} | | | |"
    return f"| {network} | {format_} {_cells(plain, ours)}"


def _cells(plain: Measured, ours: Measured) -> str:
    cpu, memory = ours.cpu_s / plain.cpu_s, ours.peak_gb / plain.peak_gb
    return (
        f"| {plain.cpu_s:.1f} / {ours.cpu_s:.1f} | {cpu:.2f} "
        f"| {plain.peak_gb:.2f} / {ours.peak_gb:.2f} | {memory:.2f} |"
    )


if __name__ == "__main__":
    main()
