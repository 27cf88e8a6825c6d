"""Agreement, size and speed of the networks of `architectures.toml` in int8, and of the usual converters.

    python benchmarks/architectures.py run          # all rows; stop it at any time, and run it again
    python benchmarks/architectures.py table        # the table and its summary, as Markdown

Each network is trained for a minute on CIFAR-10 (`brief_training.py`), saved, and converted for LiteRT,
OpenVINO and ONNX Runtime with `edgevision.convert`, and with the usual converters of these formats, with
their defaults and the same calibration images. Each step is a process of its own, whose processor time
and largest memory are those in the table, and which can abort without the other rows. Results are
appended to ``architectures.jsonl`` beside this file, which is committed, so that the table grows from one
machine's idle hours to the next's; a step with a result there is not done again. A step that failed is,
unless its runtime was measured without it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import tomllib

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared"
RUNTIMES = {"tflite": "generic-cpu", "openvino": "intel-cpu", "onnx": "onnx-cpu"}
PRECISIONS = ("float32", "int8")
#: Largest loss of agreement against the usual converter that a row may leave open.
MARGIN = 0.005
#: Three times chance, of ten classes.
LEAST_ACCURACY = 0.3
#: Of the answers of a float32 artifact and Keras: ties are broken by the last bit.
LEAST_FLOAT32_AGREEMENT = 0.995
_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Row:
    """A network of the list.

    Attributes:
        group: its table in `architectures.toml`, such as ``keras_hub.classifiers``.
        name: its name there.
        size_wh: width and height of its input.
    """

    group: str
    name: str
    size_wh: tuple[int, int]

    @property
    def id(self) -> str:
        """Unique among all rows, and a name for a folder."""
        return f"{self.group.replace('.', '-')}-{self.name}"

    @property
    def from_hub(self) -> bool:
        """True for KerasHub's networks."""
        return self.group.startswith("keras_hub")


def rows() -> list[Row]:
    """All networks of the list, in its order."""
    listed = tomllib.loads((HERE / "architectures.toml").read_text())
    return list(_rows("", listed))


def _rows(group: str, table: Mapping[str, Any]) -> Iterator[Row]:
    for name, entry in table.items():
        if "pixels" in entry:
            height, width = entry["pixels"] if isinstance(entry["pixels"], list) else [entry["pixels"]] * 2
            yield Row(group, name, (width, height))
        else:
            yield from _rows(f"{group}.{name}".lstrip("."), entry)


@click.group()
def main() -> None:
    """Compare int8 artifacts of many architectures with those of the usual converters."""


_WORK = click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=HERE / "architectures",
    help="Folder for networks and artifacts.",
)
_RESULTS = click.option(
    "--results",
    type=click.Path(path_type=Path, dir_okay=False),
    default=HERE / "architectures.jsonl",
    help="File of the results.",
)


@main.command()
@_WORK
@_RESULTS
@click.option("--only", multiple=True, help="Rows with this name, or in this group; repeatable.")
@click.option("--runtime", "runtimes", multiple=True, type=click.Choice(list(RUNTIMES)), help="Default: all.")
@click.option("--images", default=5000, help="Evaluation images.")
@click.option("--calibration", default=500, help="Calibration images.")
@click.option("--train-seconds", default=120.0, help="CPU seconds of training: a minute on two cores.")
@click.option(
    "--again", is_flag=True, help="Convert and measure again what has a result; the training is kept."
)
@click.option("--shared", type=click.Path(exists=True, path_type=Path), default=SHARED)
def run(
    work: Path,
    results: Path,
    only: tuple[str, ...],
    runtimes: tuple[str, ...],
    again: bool,
    shared: Path,
    **settings: float,
) -> None:
    """Do the steps that have no result yet."""
    steps = Steps(work, results, shared, settings, again)
    for row in rows():
        if only and not {row.name, row.id, row.group} & set(only):
            continue
        left = [runtime for runtime in runtimes or RUNTIMES if not steps.is_done(row, "measure", runtime)]
        if not left or not steps.done(row, "train"):
            continue
        for runtime in left:
            made = [steps.done(row, "convert", runtime, precision) for precision in PRECISIONS]
            made.append(steps.done(row, "plain", runtime, "int8"))
            if any(made):
                steps.done(row, "measure", runtime)


class Steps:
    """Does steps in processes of their own, and keeps their results.

    Args:
        work: folder of networks and artifacts.
        results: file of the results.
        shared: folder of images and models.
        settings: numbers that the steps depend on.
        again: do all steps again but the training.
    """

    def __init__(
        self, work: Path, results: Path, shared: Path, settings: Mapping[str, Any], again: bool
    ) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._work, self._file, self._shared, self._settings = work, results, shared, settings
        self._again, self._results = again, read_results(results)

    def is_done(self, row: Row, *step: str) -> bool:
        """Return whether a step succeeded before, and is not to be done again."""
        result = self._results.get((row.id, *step))
        succeeded = result is not None and result["error"] is None
        return succeeded and (step[0] == "train" or not self._again)

    def done(self, row: Row, *step: str) -> bool:
        """Do a step unless it has a result; return whether it succeeded, now or before.

        What was trained or converted elsewhere has a result, but no files: it is done again.
        """
        if self.is_done(row, *step) and (step[0] == "measure" or self._path(row, step).exists()):
            return True
        result = {"row": row.id, "step": list(step), **self._run(row, step)}
        result.pop("source", None)
        with self._file.open("a") as file:
            file.write(json.dumps(result) + "\n")
        self._results[(row.id, *step)] = result
        outcome = "failed: " + result["error"] if result["error"] else f"{result['cpu_s']:.0f} s of CPU"
        click.echo(f"{row.id} {' '.join(step)}: {outcome}", err=True)
        return result["error"] is None

    def _path(self, row: Row, step: tuple[str, ...]) -> Path:
        """The path of what a step leaves for the later ones, in the end, as `architecture_steps` names it."""
        kind, *words = step
        if kind == "train":
            return self._work / row.id / "reference.npz"
        return self._work / row.id / words[0] / ("plain" if kind == "plain" else words[1])

    def _run(self, row: Row, step: tuple[str, ...]) -> dict[str, Any]:
        order = {
            "row": row.id,
            "step": step,
            "work": str(self._work.resolve()),
            "shared": str(self._shared.resolve()),
        }
        script = str(HERE / "architecture_steps.py")
        command = [sys.executable, script, json.dumps({**order, **self._settings})]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        begun, before = time.monotonic(), _children()
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not finished after {_TIMEOUT_S} s"}
        log = self._work / row.id / f"{'-'.join(step)}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(done.stdout + done.stderr)
        cost = {"seconds": time.monotonic() - begun, "cpu_s": _children() - before, "when": time.time()}
        try:
            return {**cost, **json.loads(done.stdout.splitlines()[-1])}
        except (ValueError, IndexError):
            last = (done.stderr.strip().splitlines() or [""])[-1]
            how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
            return {**cost, "error": f"{how}: {last[:300]}"}


def _children() -> float:
    """CPU seconds of all finished children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read_results(path: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """(row, step, …) -> its latest result."""
    lines = path.read_text().splitlines() if path.exists() else []
    results = [json.loads(line) for line in lines]
    return {(result["row"], *result["step"]): result for result in results}


@main.command()
@_RESULTS
def table(results: Path) -> None:
    """Print the table and its summary."""
    from architecture_table import markdown

    click.echo(markdown(rows(), read_results(results)))


if __name__ == "__main__":
    main()
