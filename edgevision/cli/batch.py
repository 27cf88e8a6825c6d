"""``edgevision batch``: predictions about many images, or their evaluation, resumable, also on a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.batching.batch import batch
from edgevision.batching.settings import BatchRun, BatchSettings
from edgevision.batching.table_forms import FORMATS
from edgevision.cli.compare import echo_comparison
from edgevision.cli.evaluate import echo_evaluation
from edgevision.cli.lines import echo_line
from edgevision.cli.options.completion import complete_executor
from edgevision.cli.options.detect import THRESHOLD_OPTIONS, thresholds_of
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.measure import GROUND_TRUTH_OPTIONS, GROUPS_OPTION
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import (
    ARTIFACT_OPTIONS,
    NO_GATE_OPTION,
    NO_TUNE_OPTION,
    SESSION_OPTIONS,
    session_settings_of,
    tune_of,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.left_out import echo_left_out
from edgevision.cli.output.terminal import progress_on, without_noise
from edgevision.errors import InputError
from edgevision.evaluation.open_model import RunSettings


@click.command("batch", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@under(
    "Results",
    option("-o", "--output", type=PATH, required=True, help="Folder for the table of results."),
    option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="parquet",
        show_default=True,
        help="Form of the table.",
    ),
    option(
        "--top",
        metavar="N",
        type=click.IntRange(min=1),
        help="Number of classes of a result, for a classifier. Default: all, up to 100.",
    ),
    *THRESHOLD_OPTIONS,
    option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object."),
)
@under(
    "Where",
    option(
        "--engine",
        metavar="NAME",
        default="local",
        show_default=True,
        shell_complete=complete_executor,
        help="Executor: local, this process; ray, the machines of a Ray cluster; or a plugin's.",
    ),
    option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="How many work at a time. Default: one per core, of this machine or of the cluster.",
    ),
)
@under(
    "Parquet files with the bytes of images",
    option(
        "--image-column",
        metavar="NAME",
        help="Column with the bytes. Default: the only one that holds bytes.",
    ),
    option(
        "--name-column",
        metavar="NAME",
        help="Column with the names of the images. Default: they are numbered.",
    ),
)
@under(
    "Ground truth: metrics instead of a table, as of edgevision evaluate",
    option(
        "--evaluate", is_flag=True, help="Evaluate a classifier: the folders of the images are their classes."
    ),
    option(
        "--compare-with",
        metavar="BUNDLE",
        type=PATH,
        help="Compare with this bundle, as edgevision compare does.",
    ),
    *GROUND_TRUTH_OPTIONS,
    GROUPS_OPTION,
    option("--label-column", metavar="NAME", help="Of Parquet files: column with the class of each image."),
)
@under("Model to run", *ARTIFACT_OPTIONS, *SESSION_OPTIONS, NO_GATE_OPTION, NO_TUNE_OPTION)
@verbosity_options
def command(bundle: Path, sources: tuple[str, ...], output: Path, as_json: bool, **arguments: Any) -> None:
    """Predict about all images of the SOURCEs with BUNDLE, and write a table of the results.

    SOURCE is a folder, a zip archive, a pattern in quotes, an image file, a Parquet file with the bytes of
    images, @FILE with one path or URL per line (or .jsonl with "path" or "uri"), or a URL such as
    s3://bucket/folder.

    Each image gets one row, also one that cannot be used. A run that was killed goes on where it was when it
    is started again. Exit code 3: some images could not be used, and all others have their results.
    """
    settings = BatchSettings(
        arguments["engine"],
        arguments["form"],
        arguments["workers"],
        arguments["top"],
        thresholds_of(arguments),
        not arguments["no_input_gate"],
        arguments["image_column"],
        arguments["name_column"],
        arguments["label_column"],
    )
    truth = {name: arguments[name] for name in ("evaluate", "compare_with", "annotations", "truth", "groups")}
    on = RunSettings(
        arguments["backend"],
        arguments["device"],
        arguments["precision"],
        session_settings_of(arguments),
        tune_of(arguments),
    )
    with without_noise() as stderr, progress_on(stderr) as progress:
        done = batch(bundle, sources, output, on, settings=settings, progress=progress, **truth)
    _echo(done, as_json)
    echo_left_out(done.left_out)
    if done.failed:
        if done.evaluation is not None:
            raise InputError(f"{done.failed} of {done.images} images could not be used")
        rows = done.ok + done.failed + done.abstained
        raise InputError(
            f"{done.failed} of {rows} images could not be used: see the column 'status' of {output}"
        )


def _echo(done: BatchRun, as_json: bool) -> None:
    if done.evaluation is not None:
        if as_json:
            click.echo(json.dumps(done.evaluation.to_dict(), indent=2, allow_nan=False))
        else:
            echo_evaluation(done.evaluation)
        return
    if done.comparison is not None:
        if as_json:
            click.echo(json.dumps(done.comparison.to_dict(), indent=2, allow_nan=False))
        else:
            echo_comparison(done.comparison)
        return
    if as_json:
        names = ("bundle_digest", "images", "ok", "failed", "abstained", "reused")
        counts = {name: getattr(done, name) for name in names}
        click.echo(json.dumps({"output": str(done.output), **counts}, indent=2))
        return
    reused = f", {done.reused} of an earlier run" if done.reused else ""
    echo_line(f"{done.images} images{reused}")
    echo_line(f"{done.output}: {done.ok} ok, {done.failed} failed, {done.abstained} abstained")
