"""``edgevision convert``: a trained model and device targets in, a bundle with evidence out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevision.artifact import PRECISIONS
from edgevision.cli.options.detect import (
    decoder_options,
    given_settings,
    given_thresholds,
    threshold_options,
)
from edgevision.cli.options.image import image_options, input_options, size_wh, value_range
from edgevision.cli.options.score import given_specification, score_options
from edgevision.cli.output.evidence import echo_evidence
from edgevision.cli.output.terminal import progress_on, without_noise
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.errors import AgreementError
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from edgevision.evidence.requirements import Budget
from edgevision.tasks.description import read_generation
from edgevision.tasks.generation_settings import FITS
from edgevision.tasks.options import TaskOptions


@click.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--target", "targets", multiple=True, metavar="NAME", help="Device profile; may be given several times."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="NAME.evb")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    metavar="NAME",
    help=f"auto, or of {', '.join(PRECISIONS)}; may be given several times. Default: auto with --calibration "
    "(the cheapest inside the budget), else each target's cheapest.",
)
@click.option(
    "--calibration",
    type=click.Path(),  # as it was typed: ./synthetic is a folder
    help="Images that set the ranges of activations; or the word synthetic: made from the model itself.",
)
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path),
    help="Images to measure on: a folder, a folder a class, or a zip of either.",
)
@click.option("--calibration-samples", default=500, show_default=True, type=click.IntRange(min=1))
@click.option("--evaluation-samples", type=click.IntRange(min=1), help="Default: all.")
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="POINTS",
    help="The budget: how much the task's metric may drop (where the truth is not known: the agreement), in "
    "hundredths or dB; judged by the end of its 95 % interval.",
)
@click.option("--min-agreement", type=click.FloatRange(0, 1), help="Default: one that suits the precision.")
@click.option("--strict", is_flag=True, help="Refuse a calibration set that there is a warning about.")
@click.option("--input-size", metavar="WxH", callback=size_wh, help="For a model that leaves it open.")
@click.option(
    "--targets-file", type=click.Path(path_type=Path), multiple=True, help="TOML file with more targets."
)
@click.option("--trust-source", is_flag=True, help="Run code that the model carries.")
@click.option(
    "--no-pictures",
    is_flag=True,
    help="Keep no pictures of evaluation images for the report. The known answers hold a few all the same.",
)
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the evidence for programs.")
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="Of a detector: objects in the evaluation images, as COCO JSON or a folder of VOC XML.",
)
@click.option(
    "--output-range",
    metavar="LOW..HIGH",
    callback=value_range,
    help="Of a network that makes images: values of black and white in them.",
)
@click.option("--fit", type=click.Choice(FITS), default="tiles", show_default=True, help="Of such a network.")
@click.option("--overlap", type=click.IntRange(min=0), help="Of its tiles, in pixels of the input.")
@click.option(
    "--truth", type=click.Path(path_type=Path), help="Images that it should make, by the same names."
)
@click.option(
    "--task",
    type=click.Path(path_type=Path),
    help="Of a network that makes images of a seed: JSON that says how; see examples/digits.",
)
@score_options
@threshold_options
@decoder_options
@image_options
def command(source: Path, output: Path, as_json: bool, **given: Any) -> None:
    """Convert SOURCE (.keras, .h5 or a SavedModel directory) into a bundle, with evidence.

    Each artifact is loaded in its own backend and compared with the Keras model on the
    evaluation images; one that agrees too little is not written.
    """
    settings = ConversionSettings(
        task=TaskOptions(
            image=input_options(given, given["input_size"]),
            labels=given["labels"],
            output=given["output_name"],
            score_kind=given["score_kind"],
            decoder=given["decoder"],
            decoder_settings=given_settings(given),
            annotations=given["annotations"],
            thresholds=given_thresholds(given),
            output_range=given["output_range"],
            fit=given["fit"],
            overlap=given["overlap"],
            truth=given["truth"],
            generation=None if given["task"] is None else read_generation(given["task"]),
        ),
        budget=Budget(given["max_drop"], given["min_agreement"]),
        calibration_samples=given["calibration_samples"],
        evaluation_samples=given["evaluation_samples"],
        strict=given["strict"],
        trust_source=given["trust_source"],
        pictures=not given["no_pictures"],
        force=given["force"],
        targets_files=given["targets_file"],
        operating_point=given_specification(given),
        calibrate_scores=given["calibrate_scores"],
    )
    try:
        with without_noise() as stderr, progress_on(stderr) as progress:
            evidence = convert(
                source,
                output,
                targets=given["targets"],
                evaluation=given["evaluation"],
                calibration=given["calibration"],
                precisions=given["precisions"],
                settings=settings,
                progress=progress,
            )
    except AgreementError as error:
        if isinstance(error.evidence, Evidence):
            _show(error.evidence, as_json)
        raise
    _show(evidence, as_json)
    if not as_json:
        click.echo(f"wrote {output}")


def _show(evidence: Evidence, as_json: bool) -> None:
    if as_json:
        click.echo(evidence_json(evidence), nl=False)
    else:
        echo_evidence(evidence)
