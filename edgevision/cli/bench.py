"""``edgevision bench``: how long a model takes on this machine, stage by stage, and the bare runtime."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from edgevision.backend import SessionSettings
from edgevision.benchmarking.bench import BenchResult, bench
from edgevision.benchmarking.plot import draw_bench
from edgevision.benchmarking.subjects import STAGES
from edgevision.benchmarking.sustained import Minute, Sustained, sustain
from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.image import size_wh
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS, load_from_arguments
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import (
    ARTIFACT_OPTIONS,
    BACKEND_OPTION,
    NO_TUNE_OPTION,
    SELFTEST_OPTION,
    THREADS_OPTION,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.tables import echo_table
from edgevision.cli.output.terminal import progress_on
from edgevision.imaging.write import check_suffix, write_image
from edgevision.system.files import check_folder_of
from edgevision.system.timing import Times

_HEADER = ("stage", "CPU p50", "p95", "p99", "wall p50", "p95", "p99")


@click.command("bench", cls=GroupedCommand)
@click.argument("model", type=PATH)
@under("Model to run", *ARTIFACT_OPTIONS, THREADS_OPTION, BACKEND_OPTION, NO_TUNE_OPTION, SELFTEST_OPTION)
@under(
    "Measurement",
    option(
        "--batch",
        metavar="N",
        default=1,
        show_default=True,
        type=click.IntRange(min=1),
        help="Images per call.",
    ),
    option(
        "--frame",
        "frame_wh",
        default="640x480",
        show_default=True,
        metavar="WxH",
        callback=size_wh,
        help="Size of the frame that each call begins with.",
    ),
    option(
        "--seconds",
        metavar="S",
        default=10.0,
        show_default=True,
        type=click.FloatRange(min=0, min_open=True),
        help="Time to spend on timing.",
    ),
    option(
        "--sustained",
        type=click.IntRange(min=1),
        metavar="MINUTES",
        help="Then run without a pause for so many minutes, and report each.",
    ),
    option(
        "--deadline-ms",
        metavar="MS",
        type=click.FloatRange(min=0, min_open=True),
        help="With --sustained: count the calls that take longer.",
    ),
)
@under(
    "Output",
    option("--plot", type=PATH, help="Image file for a chart of the result."),
    option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)
@under(BARE_HEADING, *BARE_OPTIONS)
@verbosity_options
def command(model: Path, plot: Path | None, as_json: bool, **arguments: Any) -> None:
    """Time MODEL (a bundle, or a bare model file) on this machine.

    Each stage, the whole call and the bare runtime run in turn. CPU time is that of all threads of
    the process, and is what other programs disturb least.
    """
    if plot is not None:
        check_suffix(plot)
        check_folder_of(plot, "--plot")
    if arguments["deadline_ms"] is not None and arguments["sustained"] is None:
        raise click.UsageError("--deadline-ms requires --sustained MINUTES.")
    settings = SessionSettings(threads=arguments["threads"], options=arguments["backend_options"])
    with load_from_arguments(model, arguments, settings) as network:
        with progress_on(sys.stderr) as progress:
            result = bench(
                network,
                frame_wh=arguments["frame_wh"],
                batch=arguments["batch"],
                seconds=arguments["seconds"],
                progress=progress,
            )
        if not as_json:
            _echo(result)
        minutes = None
        if arguments["sustained"] is not None:
            after_minute = (lambda minute: None) if as_json else _echo_minute
            minutes = sustain(result.call, arguments["sustained"], arguments["deadline_ms"], after_minute)
    if plot is not None:
        write_image(plot, draw_bench(result, minutes))
    if as_json:
        document = {"model": str(model), "threads": arguments["threads"], **result.to_dict()}
        click.echo(json.dumps({**document, "sustained": minutes and minutes.to_dict()}, indent=2))
    elif minutes is not None:
        _echo_sustained(minutes)


def _echo(result: BenchResult) -> None:
    machine, rates = result.machine, result.throughput
    clock, temperature = _reading(result.clock_mhz, "MHz"), _reading(result.temperature_c, "C")
    echo_line(f"{machine.processor}, {machine.cores} cores; clock {clock}, temperature {temperature}")
    frame = "" if result.frame_wh is None else f", frame {result.frame_wh[0]}x{result.frame_wh[1]}"
    run = f"{result.backend} {result.device}, {result.precision}"
    echo_line(f"{result.task} on {run}, batch {result.batch}{frame}; milliseconds")
    rows = [_row(name, result.stages[name]) for name in STAGES if name in result.stages]
    if result.rest_us > 0:  # stages timed alone find warm caches, and can add up to more than the whole
        rows.append(("rest", f"{result.rest_us / 1e3:.3f}", *[""] * 5))
    rows += [_row("whole call", result.whole), _row("bare runtime", result.bare)]
    echo_table(_HEADER, rows)
    if "decode" in result.stages:
        echo_line("decode: a JPEG of the frame; not part of the whole call, which begins with pixels")
    for name, reason in result.fused.items():
        echo_line(f"{name}: not timed separately: {reason}")
    wall = result.whole.least_wall_us / result.bare.least_wall_us
    echo_line(
        f"whole call / bare runtime: {result.ratio:.3f} of the CPU time, {wall:.3f} of the minimum wall time"
    )
    echo_line(
        f"{rates.images_per_second:.0f} images/s on {rates.streams} streams, "
        f"{rates.percent_of_ceiling:.0f} % of the machine's ceiling "
        f"({rates.ceiling_per_second:.0f} images/s with resize and invoke alone)"
    )
    echo_line(f"inferences per call: {result.calls}; peak memory {result.peak_memory_mb:.0f} MB")


def _row(name: str, times: Times) -> tuple[str, ...]:
    document = times.to_dict()
    return name, *(
        f"{document[kind][part]:.3f}" for kind in ("cpu_ms", "wall_ms") for part in ("p50", "p95", "p99")
    )


def _echo_minute(minute: Minute) -> None:
    wall_ms = minute.times.to_dict()["wall_ms"]
    echo_line(
        f"{len(minute.times)} calls in one minute: wall p50 {wall_ms['p50']:.3f} ms, "
        f"p99 {wall_ms['p99']:.3f} ms, "
        f"{minute.memory_mb:.0f} MB, clock {_reading(minute.clock_mhz, 'MHz')}, "
        f"temperature {_reading(minute.temperature_c, 'C')}, {minute.deadline_misses} deadline misses"
    )


def _echo_sustained(minutes: Sustained) -> None:
    echo_line(f"memory {minutes.memory_slope_mb:+.2f} MB per minute")
    if minutes.deadline_ms is not None:
        echo_line(f"{minutes.deadline_misses} calls missed the deadline of {minutes.deadline_ms:g} ms")


def _reading(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:.0f} {unit}"
