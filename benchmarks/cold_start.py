"""Cold start and memory, in processes of their own, run in turn.

    python benchmarks/cold_start.py --runs 20 --bundle digits.evb

Each row has the medians of the runs: wall and CPU time of the whole process with its children, and its peak
resident memory; and the medians of the differences of the pairs. With a bundle, the first load on each of
its backends and later ones are compared with a load that checks nothing.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import click
from networks import SHARED

import edgevision
from edgevision.system.cores import cores

#: The kernel's own count for children includes the memory that the parent had when it forked.
_PRINT_PEAK = """
import atexit, sys
@atexit.register
def print_peak():
    lines = open("/proc/self/status").read().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")).split()[1], file=sys.stderr)
"""
_BARE = """
import sys
import cv2, numpy
from ai_edge_litert.interpreter import Interpreter
model, photo = sys.argv[1:3]
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
input_, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
image = cv2.cvtColor(cv2.imread(photo), cv2.COLOR_BGR2RGB)
size = tuple(int(side) for side in input_["shape"][2:0:-1])
interpreter.set_tensor(input_["index"], cv2.resize(image, size)[None])
interpreter.invoke()
print(interpreter.get_tensor(output["index"]).argmax())
"""
_OURS = """
import sys
import edgevision
model, photo = sys.argv[1:3]
settings = edgevision.SessionSettings(threads=1)
bare = edgevision.BareModel(score_kind="softmax")
classifier = edgevision.load(model, "tflite", settings=settings, bare=bare)
print(classifier(photo).top(1)[0].class_id)
"""
#: The first load has a cache of its own, which is empty; a later one finds what an earlier run kept.
_LOAD = """
import os, sys, tempfile
backend, selftest, is_first = {arguments}
folder = tempfile.TemporaryDirectory()
if is_first:
    os.environ["EDGEVISION_CACHE"] = folder.name
import edgevision
edgevision.load(sys.argv[3], backend, selftest=selftest).close()
"""
#: Wall seconds, CPU seconds, peak resident memory in MB.
Row = tuple[float, float, float]
_CLICK = """
import click
@click.group(invoke_without_command=True)
def cli():
    click.echo(click.get_current_context().get_help())
cli(["--help"])
"""
_HELP = "import sys; sys.argv[1:] = ['--help']; import edgevision.cli as c; c.main()"
#: Name of the measurement -> our code, the code it is compared with, and the limit.
_PAIRS = {
    "import edgevision": ("import edgevision", "import numpy", "60 ms more"),
    "edgevision --help": (_HELP, _CLICK, "150 ms more"),
    "classify a photo": (_OURS, _BARE, "1.2 of the time, 1.15 of the memory"),
}


def _pairs(bundle: Path | None) -> dict[str, tuple[str, str, str]]:
    if bundle is None:
        return _PAIRS
    manifest = edgevision.read_bundle(bundle).manifest
    backends = dict.fromkeys(entry.backends[-1] for entry in manifest.artifacts)
    pairs = {}
    for backend in backends:
        never = _LOAD.format(arguments=(backend, "never", False))
        for name, is_first, limit in (
            ("first", True, "one opening and 1 s more"),
            ("later", False, "2 ms more"),
        ):
            code = _LOAD.format(arguments=(backend, "first-load", is_first))
            pairs[f"{name} load on {backend}"] = (code, never, limit)
    return {**_PAIRS, **pairs}


@click.command()
@click.option("--runs", default=15, show_default=True)
@click.option(
    "--shared", type=click.Path(exists=True, path_type=Path), default=SHARED, help="Models, images."
)
@click.option(
    "--bundle",
    type=click.Path(exists=True, path_type=Path),
    help="Also load it first and later, on each backend.",
)
def main(runs: int, shared: Path, bundle: Path | None) -> None:
    """Print time and memory of both programs, and the difference."""
    arguments = [
        str(shared / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite"),
        str(shared / "images" / "cats_and_dogs.jpg"),
        *([] if bundle is None else [str(bundle)]),
    ]
    for name, (our_code, other_code, limit) in _pairs(bundle).items():
        for code in (our_code, other_code):
            _run(code, arguments)  # compiles modules that were never imported
        rows = [(_run(our_code, arguments), _run(other_code, arguments)) for _ in range(runs)]
        ours, theirs = (_medians(column) for column in zip(*rows, strict=True))
        print(f"{name}: {_text(ours)}, compared with {_text(theirs)}")
        wall, cpu, memory = (one / other for one, other in zip(ours, theirs, strict=True))
        # What else the machine does in the meantime meets both of a pair.
        more_wall, more_cpu = (median(one[k] - other[k] for one, other in rows) * 1e3 for k in (0, 1))
        more = f"{more_wall:+.1f} ms wall, {more_cpu:+.1f} ms CPU"
        print(
            f"    {more}, x{wall:.2f} wall, x{cpu:.2f} CPU, x{memory:.2f} memory; limit: {limit}", flush=True
        )
    print(f"load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {cores()} cores")


def _medians(rows: tuple[Row, ...]) -> Row:
    wall, cpu, memory = (median(column) for column in zip(*rows, strict=True))
    return wall, cpu, memory


def _text(row: Row) -> str:
    return f"{row[0] * 1e3:4.0f} ms wall {row[1] * 1e3:4.0f} ms CPU {row[2]:5.1f} MB"


def _run(code: str, arguments: list[str]) -> Row:
    """Wall seconds, CPU seconds and peak resident memory in MB of one process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", _PRINT_PEAK + code, *arguments]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise click.ClickException(f"a process failed:\n{code}\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, int(done.stderr.split()[-1]) / 1024


if __name__ == "__main__":
    main()
