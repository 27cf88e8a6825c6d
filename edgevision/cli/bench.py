"""``edgevision bench``: how long a model takes here, stage by stage, against the bare runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.backend import SessionSettings
from edgevision.benchmarking.bench import BenchResult, bench
from edgevision.benchmarking.plot import draw_bench
from edgevision.benchmarking.subjects import STAGES
from edgevision.benchmarking.sustained import Minute, Sustained, sustain
from edgevision.cli.options.detect import decoder_options
from edgevision.cli.options.image import image_options, size_wh
from edgevision.cli.options.model import load_as_asked
from edgevision.cli.options.tune import tune_option
from edgevision.cli.output.tables import echo_table
from edgevision.imaging.write import check_suffix, write_image
from edgevision.system.files import check_folder_of
from edgevision.system.timing import Times

_HEADER = ("stage", "CPU p50", "p95", "p99", "wall p50", "p95", "p99")


@click.command("bench")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--backend", help="Backend that must run it.")
@click.option("--device", help="Device that it must run on, such as cpu or cuda:0.")
@click.option("--precision", help="Of the bundle's artifact, such as int8.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads for one call.")
@click.option("--batch", default=1, show_default=True, type=click.IntRange(min=1), help="Images in one call.")
@click.option("--frame", "frame_wh", default="640x480", show_default=True, metavar="WxH", callback=size_wh)
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--sustained", type=click.IntRange(min=1), metavar="MINUTES", help="And then so long on end.")
@click.option(
    "--deadline-ms", type=click.FloatRange(min=0, min_open=True), help="Count calls that take longer."
)
@click.option("--plot", type=click.Path(path_type=Path), help="A picture of it all as well.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@tune_option
@image_options
@decoder_options
def command(model: Path, plot: Path | None, as_json: bool, **given: Any) -> None:
    """Time MODEL (a bundle, or a bare .tflite, .xml or .onnx file) on this machine.

    Each stage, the whole call and the bare runtime run by turns. CPU time is that of all the
    process's threads; it is what other programs disturb least.
    """
    if plot is not None:
        check_suffix(plot)
        check_folder_of(plot, "--plot")
    if given["deadline_ms"] is not None and given["sustained"] is None:
        raise click.UsageError("--deadline-ms counts over --sustained MINUTES; give that too.")
    with load_as_asked(model, given, SessionSettings(threads=given["threads"])) as network:
        result = bench(network, frame_wh=given["frame_wh"], batch=given["batch"], seconds=given["seconds"])
        if not as_json:
            _show(result)
        minutes = None
        if given["sustained"] is not None:
            tell = (lambda minute: None) if as_json else _show_minute
            minutes = sustain(result.call, given["sustained"], given["deadline_ms"], tell)
    if plot is not None:
        write_image(plot, draw_bench(result, minutes))
    if as_json:
        told = {"model": str(model), "threads": given["threads"], **result.to_dict()}
        click.echo(json.dumps({**told, "sustained": minutes and minutes.to_dict()}, indent=2))
    elif minutes is not None:
        _show_sustained(minutes)


def _show(result: BenchResult) -> None:
    machine, rates = result.machine, result.throughput
    clock, warmth = _told(result.clock_mhz, "MHz"), _told(result.temperature_c, "C")
    click.echo(f"{machine.processor}, {machine.cores} cores; clock {clock}, temperature {warmth}")
    frame = "" if result.frame_wh is None else f", frame {result.frame_wh[0]}x{result.frame_wh[1]}"
    where = f"{result.backend} {result.device}, {result.precision}"
    click.echo(f"{result.task} on {where}, batch {result.batch}{frame}; milliseconds")
    rows = [_row(name, result.stages[name]) for name in STAGES if name in result.stages]
    if result.rest_us > 0:  # caches that stages alone find warm can make them more than the whole
        rows.append(("rest", f"{result.rest_us / 1e3:.3f}", *[""] * 5))
    rows += [_row("whole call", result.whole), _row("bare runtime", result.bare)]
    echo_table(_HEADER, rows)
    if "decode" in result.stages:
        click.echo("decode: of a JPEG of the frame; not in the whole call, which begins with pixels")
    for name, why in result.fused.items():
        click.echo(f"{name}: not timed alone: {why}")
    wall = result.whole.least_wall_us / result.bare.least_wall_us
    click.echo(f"{result.ratio:.3f} of the bare runtime's CPU time, {wall:.3f} of its least wall time")
    click.echo(
        f"{rates.images_per_second:.0f} images/s on {rates.streams} streams, "
        f"{rates.percent_of_ceiling:.0f} % of the machine's ceiling "
        f"(resize and invoke alone: {rates.ceiling_per_second:.0f} images/s)"
    )
    click.echo(f"calls of the network: {result.calls}; peak memory {result.peak_memory_mb:.0f} MB")


def _row(name: str, times: Times) -> tuple[str, ...]:
    told = times.to_dict()
    return name, *(
        f"{told[kind][part]:.3f}" for kind in ("cpu_ms", "wall_ms") for part in ("p50", "p95", "p99")
    )


def _show_minute(minute: Minute) -> None:
    told = minute.times.to_dict()["wall_ms"]
    click.echo(
        f"a minute of {len(minute.times)} calls: wall p50 {told['p50']:.3f} ms, p99 {told['p99']:.3f} ms, "
        f"{minute.memory_mb:.0f} MB, clock {_told(minute.clock_mhz, 'MHz')}, "
        f"temperature {_told(minute.temperature_c, 'C')}, {minute.deadline_misses} late"
    )


def _show_sustained(minutes: Sustained) -> None:
    click.echo(f"memory {minutes.memory_slope_mb:+.2f} MB a minute")
    if minutes.deadline_ms is not None:
        click.echo(f"{minutes.deadline_misses} calls took longer than {minutes.deadline_ms:g} ms")


def _told(value: float | None, unit: str) -> str:
    return "not told" if value is None else f"{value:.0f} {unit}"
