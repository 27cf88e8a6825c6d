"""EdgeVision's int8 artifacts compared with the plain converters': agreement, size, latency, and costs.

    python benchmarks/plain.py model.keras --calibration FOLDER --evaluation FOLDER --input-range 0..255

"Plain" is `convert_plain` of the converters, which is defined in `edgevision_keras/quantization/plain.py`.
Each conversion runs in a process of its own; its CPU time is counted from when the model was read.
Agreement is that of the largest output with the source's, and the error is the root mean square difference of
the outputs, relative to their spread over images.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

FORMATS = ("tflite", "openvino", "onnx")
RECIPES = ("plain", "edgevision")


@dataclass(frozen=True)
class Job:
    """One conversion.

    Attributes:
        model: Keras file.
        calibration, evaluation: files of float32 network inputs, (n, height, width, channels), `.npy`.
        format: ``tflite``, ``openvino`` or ``onnx``.
        recipe: ``plain`` or ``edgevision``.
    """

    model: str
    calibration: str
    evaluation: str
    format: str
    recipe: str


@dataclass(frozen=True)
class Measured:
    """Costs of one conversion, and the worth of its artifact.

    Attributes:
        cpu_s: CPU seconds of the conversion.
        peak_gb: peak memory of its process; `before_gb` of it before the conversion began.
        size_bytes: of the artifact.
        latency_ms: median of one inference, one thread.
        agreement: share of the images with the source's largest output.
        error: root mean square difference of the outputs, relative to their spread over images.
        range_rule: rule of the ranges; empty where the tool's own did.
    """

    cpu_s: float
    peak_gb: float
    before_gb: float
    size_bytes: int
    latency_ms: float
    agreement: float
    error: float
    range_rule: str


def measure(job: Job) -> Measured:
    """Run one conversion in a process of its own, and its artifact on the evaluation images.

    Raises:
        RuntimeError: the process failed; with the end of what it wrote.
    """
    done = subprocess.run(
        [sys.executable, __file__, "--job", json.dumps(asdict(job)), job.model],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{job.format}, {job.recipe}: exit code {done.returncode}: {done.stderr[-800:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def images_of(folder: Path, count: int, size_wh: tuple[int, int], value_range: tuple[float, float]) -> Any:
    """Up to `count` images of a folder as (n, height, width, 3) float32 in `value_range`."""
    from edgevision.datasets.image_sets import ImageSet
    from edgevision.imaging.preprocess import Preprocessing

    images = ImageSet.open(folder)
    chosen = images.sample(min(count, len(images)))
    preprocessing = Preprocessing(size_wh, (0.0, 255.0))
    pixels = np.stack([preprocessing.resized(image) for image in chosen]).astype(np.float32)
    low, high = value_range
    return low + pixels / 255 * (high - low)


def _measure_here(job: Job) -> Measured:
    from edgevision.backend import SessionSettings
    from edgevision.plugins import registry
    from edgevision.session import open_session
    from edgevision_keras.onnx import OnnxConverter
    from edgevision_keras.openvino import OpenVINOConverter
    from edgevision_keras.reading.reader import KerasReader
    from edgevision_keras.tflite import TfliteConverter

    converter = {"tflite": TfliteConverter, "openvino": OpenVINOConverter, "onnx": OnnxConverter}[
        job.format
    ]()
    source = KerasReader().read(Path(job.model), trust_source=False, input_size_wh=None)
    name, output = source.inputs[0].name, source.outputs[0].name
    calibration = [{name: image[None]} for image in np.load(job.calibration)]
    images = np.load(job.evaluation)
    before, memory = time.process_time(), _peak_gb()
    convert: Callable[..., Any] = converter.convert_plain if job.recipe == "plain" else converter.convert
    artifact = convert(source, "int8", calibration)
    cpu, peak = time.process_time() - before, _peak_gb()
    expected = source.run({name: images})[output]
    backend = registry().backends()[job.format]
    with open_session(backend, artifact, settings=SessionSettings(threads=1)) as session:
        spec = session.inputs[0]
        if spec.quantization is not None:
            images = np.round(images / spec.quantization.scale) + spec.quantization.zero_point
            images = np.clip(images, -128, 127).astype(np.int8)
        times, answers = [], []
        for image in images:
            start = time.perf_counter()
            answers.append(session.run({spec.name: image[None]})[output])
            times.append(time.perf_counter() - start)
        outputs = session.outputs[0].dequantize(np.concatenate(answers))
    spread = float(np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2)))
    flat = [each.reshape(len(each), -1) for each in (outputs, expected)]
    return Measured(
        cpu_s=cpu,
        peak_gb=peak,
        before_gb=memory,
        size_bytes=artifact.size_bytes,
        latency_ms=float(np.median(times)) * 1e3,
        agreement=float((flat[0].argmax(axis=1) == flat[1].argmax(axis=1)).mean()),
        error=float(np.sqrt(np.mean((outputs - expected) ** 2))) / max(spread, 1e-30),
        range_rule=artifact.quantization.range_rule if artifact.quantization is not None else "",
    )


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def table(rows: Sequence[tuple[Job, Measured]]) -> str:
    """Rows of a Markdown table: plain and EdgeVision's for each format."""
    lines = ["| format | recipe | agreement | error | ms | MB | CPU s | GB | rule |", "|" + " --- |" * 9]
    lines += [
        f"| {job.format} | {job.recipe} | {row.agreement:.3f} | {row.error:.4f} | {row.latency_ms:.2f} "
        f"| {row.size_bytes / 1e6:.2f} | {row.cpu_s:.1f} | {row.peak_gb:.2f} | {row.range_rule} |"
        for job, row in rows
    ]
    return "\n".join(lines)


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--calibration", type=click.Path(exists=True, path_type=Path), help="Folder or zip.")
@click.option("--evaluation", type=click.Path(exists=True, path_type=Path), help="Folder or zip.")
@click.option("--input-range", default="0..255", show_default=True, help="Values of black and white.")
@click.option("--size", default="32x32", show_default=True, help="Width and height of the input.")
@click.option("--images", "counts", nargs=2, default=(200, 1000), show_default=True)
@click.option("--format", "formats", multiple=True, default=FORMATS, show_default=True)
@click.option("--job", hidden=True)
def main(
    model: Path,
    calibration: Path | None,
    evaluation: Path | None,
    input_range: str,
    size: str,
    counts: tuple[int, int],
    formats: Sequence[str],
    job: str | None,
) -> None:
    """Print a table of the plain and of EdgeVision's int8 artifacts of MODEL."""
    if job is not None:
        click.echo(json.dumps(asdict(_measure_here(Job(**json.loads(job))))))
        return
    if calibration is None or evaluation is None:
        raise click.UsageError("pass --calibration FOLDER and --evaluation FOLDER")
    import tempfile

    low, high = (float(end) for end in input_range.split(".."))
    width, height = (int(side) for side in size.split("x"))
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        files = []
        for path, count in zip((calibration, evaluation), counts, strict=True):
            files.append(str(Path(folder, f"{len(files)}.npy")))
            np.save(files[-1], images_of(path, count, (width, height), (low, high)))
        jobs = [Job(str(model), *files, format_, recipe) for format_ in formats for recipe in RECIPES]
        click.echo(table([(each, measure(each)) for each in jobs]))


if __name__ == "__main__":
    main()
