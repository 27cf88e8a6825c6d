"""``edgevision convert``: turn a trained model into a bundle for one or more targets, with evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevision.artifact import PRECISIONS
from edgevision.cli.lines import echo_line
from edgevision.cli.options.attention import ATTENTION_OPTIONS, attention_of
from edgevision.cli.options.completion import complete_precision, complete_target
from edgevision.cli.options.detect import (
    DECODER_OPTIONS,
    THRESHOLD_OPTIONS,
    decoder_settings_of,
    thresholds_of,
)
from edgevision.cli.options.groups import GroupedCommand, command_line, option, under
from edgevision.cli.options.image import (
    INPUT_OPTIONS,
    OUTPUT_OPTIONS,
    input_options_of,
    value_range,
)
from edgevision.cli.options.limits import LIMIT_OPTION, source_limits_of
from edgevision.cli.options.measure import GROUND_TRUTH_OPTIONS, GROUPS_OPTION, calibration_images
from edgevision.cli.options.path import PATH
from edgevision.cli.options.score import SCORE_OPTIONS, operating_point_of, prediction_sets_of
from edgevision.cli.options.task import SOURCE_TASK_OPTIONS, source_task_of
from edgevision.cli.options.values import named_values
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.evidence import echo_evidence
from edgevision.cli.output.terminal import progress_on, without_noise
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.errors import AgreementError, IncompleteConversionError
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from edgevision.evidence.requirements import Budget
from edgevision.tasks.generation_settings import FITS
from edgevision.tasks.options import TaskOptions


@click.command("convert", cls=GroupedCommand)
@click.argument("source", type=PATH)
@under(
    "Target",
    option(
        "--target",
        "targets",
        multiple=True,
        shell_complete=complete_target,
        metavar="NAME",
        help="Device profile to convert for; edgevision targets lists them. Repeatable.",
    ),
    option(
        "--precision",
        "precisions",
        multiple=True,
        shell_complete=complete_precision,
        metavar="NAME",
        help=f"auto, {', '.join(PRECISIONS)}. Repeatable. Default: auto with --calibration (the cheapest "
        "precision within the budget that is not slower than another), otherwise the cheapest of each "
        "target.",
    ),
    option(
        "--targets-file",
        type=PATH,
        multiple=True,
        help="TOML file with more device profiles. Repeatable.",
    ),
    option(
        "--converter",
        "converters",
        multiple=True,
        metavar="NAME",
        help="Converter to take where several convert to one format. Repeatable.",
    ),
    option(
        "--converter-option",
        "converter_options",
        metavar="NAME=VALUE",
        multiple=True,
        callback=named_values,
        help="Option of the converter's own; VALUE is JSON or a word. Repeatable.",
    ),
)
@under(
    "Data",
    option(
        "--calibration",
        type=click.Path(),  # as it was typed: ./synthetic is a folder
        help="Images that set the ranges of activations, or the word synthetic to generate inputs from the "
        "model itself.",
    ),
    option(
        "--evaluation",
        type=PATH,
        help="Images to measure on: a folder, one folder per class, or a zip of either.",
    ),
    option(
        "--calibration-samples",
        default=500,
        show_default=True,
        metavar="N",
        type=click.IntRange(min=1),
        help="Maximum number of calibration images to use.",
    ),
    option(
        "--evaluation-samples",
        metavar="N",
        type=click.IntRange(min=1),
        help="Maximum number of evaluation images to use. Default: all.",
    ),
    *GROUND_TRUTH_OPTIONS,
    GROUPS_OPTION,
    option(
        "--calibration-groups",
        metavar="SPEC",
        help="The same for the calibration images. Default: what --groups says of them.",
    ),
    option("--strict", is_flag=True, help="Refuse a calibration set or a source that causes a warning."),
)
@under(
    "Quality",
    option(
        "--max-drop",
        type=click.FloatRange(0, 100, min_open=True),
        metavar="POINTS",
        help="Budget: largest allowed drop of the task's metric (without ground truth: of the agreement) in "
        "percentage points or dB, judged by the end of its 95 % interval.",
    ),
    option(
        "--min-agreement",
        metavar="SHARE",
        type=click.FloatRange(0, 1),
        help="Required share of predictions that match the source's, judged by the end of its 95 % interval. "
        "Default: depends on the precision; float32 and float16 outputs must be equal but for rounding.",
    ),
    option(
        "--accept-not-shown",
        is_flag=True,
        help="Write an artifact, too, if the evaluation images are too few to show that it meets its "
        "requirements. The evidence says so. Without this option the exit code is 13.",
    ),
    *SCORE_OPTIONS,
    *ATTENTION_OPTIONS,
)
@under(
    "Source",
    option(
        "--import",
        "imports",
        multiple=True,
        metavar="PACKAGE",
        help="Installed package that defines layers of the model, such as keras_hub. Repeatable.",
    ),
    option("--reader", metavar="NAME", help="Reader of the source, where several recognise it."),
    option("--signature", metavar="NAME", help="Signature to convert, of a SavedModel with several."),
    option(
        "--trust-source", is_flag=True, help="Run Python code that the source carries, such as Lambda layers."
    ),
    LIMIT_OPTION,
)
@under(
    "Model input",
    *INPUT_OPTIONS,
    option(
        "--force-input",
        is_flag=True,
        help="Accept options about the input that contradict what the model itself contains.",
    ),
)
@under("Task (classifiers and detectors)", *OUTPUT_OPTIONS, *DECODER_OPTIONS, *THRESHOLD_OPTIONS)
@under(
    "Task (models that generate images)",
    option(
        "--output-range",
        metavar="LOW..HIGH",
        callback=value_range,
        help="Values of black and white in the generated images, such as 0..1 or -1..1.",
    ),
    option(
        "--fit",
        type=click.Choice(FITS),
        default="tiles",
        show_default=True,
        help="How an image larger than the model's input is processed.",
    ),
    option(
        "--overlap", metavar="N", type=click.IntRange(min=0), help="Overlap of the tiles, in input pixels."
    ),
)
@under("Task (any, and those of plugins)", *SOURCE_TASK_OPTIONS)
@under(
    "Output",
    option(
        "-o",
        "--output",
        type=PATH,
        required=True,
        metavar="NAME.evb",
        help="Bundle to write.",
    ),
    option("--force", is_flag=True, help="Replace an existing bundle."),
    option(
        "--keep-passing",
        is_flag=True,
        help="If some artifacts pass and others do not, write those that passed. The exit code is 15 "
        "either way.",
    ),
    option(
        "--no-pictures",
        is_flag=True,
        help="Store no evaluation images for the report; the known answers still include a few.",
    ),
    option(
        "--dicom-pictures",
        is_flag=True,
        help="Allow pictures of DICOM files in the bundle. By default it has none, and its known answers are "
        "of noise.",
    ),
    option(
        "--author",
        metavar="NAME",
        help="Who runs the conversion, for the evidence. By default nobody is named.",
    ),
    option(
        "--record-names",
        is_flag=True,
        help="Keep paths as given in the evidence, and names of DICOM files and of images in groups, which "
        "may tell a person. By default it has base names, and digests in place of these.",
    ),
    option("--json", "as_json", is_flag=True, help="Print the evidence as JSON."),
)
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, source: Path, output: Path, as_json: bool, **arguments: Any) -> None:
    """Convert SOURCE (.keras, .h5 or a SavedModel directory) into a bundle, with evidence.

    Each artifact runs in its own backend and is compared with the Keras model on the
    evaluation images. If an artifact fails, the others are still tried, but nothing is
    written, unless --keep-passing is given.
    """
    settings = ConversionSettings(
        task=TaskOptions(
            image=input_options_of(arguments),
            labels=arguments["labels"],
            output=arguments["output_name"],
            score_kind=arguments["score_kind"],
            decoder=arguments["decoder"],
            decoder_settings=decoder_settings_of(arguments),
            annotations=arguments["annotations"],
            thresholds=thresholds_of(arguments),
            output_range=arguments["output_range"],
            fit=arguments["fit"],
            overlap=arguments["overlap"],
            truth=arguments["truth"],
            **source_task_of(arguments),
        ),
        budget=Budget(arguments["max_drop"], arguments["min_agreement"]),
        calibration_samples=arguments["calibration_samples"],
        evaluation_samples=arguments["evaluation_samples"],
        strict=arguments["strict"],
        force_input=arguments["force_input"],
        trust_source=arguments["trust_source"],
        imports=arguments["imports"],
        signature=arguments["signature"],
        pictures=not arguments["no_pictures"],
        dicom_pictures=arguments["dicom_pictures"],
        force=arguments["force"],
        keep_passing=arguments["keep_passing"],
        accept_not_shown=arguments["accept_not_shown"],
        targets_files=arguments["targets_file"],
        operating_point=operating_point_of(arguments),
        calibrate_scores=arguments["calibrate_scores"],
        prediction_sets=prediction_sets_of(arguments),
        attention=attention_of(arguments),
        record_names=arguments["record_names"],
        author=arguments["author"],
        command=command_line(ctx),
        source_limits=source_limits_of(arguments),
        reader=arguments["reader"],
        converters=arguments["converters"],
        converter_options=arguments["converter_options"],
    )
    try:
        with without_noise() as stderr, progress_on(stderr, in_milliseconds=True) as progress:
            evidence = convert(
                source,
                output,
                targets=arguments["targets"],
                evaluation=arguments["evaluation"],
                calibration=calibration_images(arguments["calibration"], arguments["calibration_groups"]),
                precisions=arguments["precisions"],
                groups=arguments["groups"],
                settings=settings,
                progress=progress,
            )
    except (AgreementError, IncompleteConversionError) as error:
        if isinstance(error.evidence, Evidence):
            _echo(error.evidence, as_json)
        raise
    _echo(evidence, as_json)
    if not as_json:
        echo_line(f"wrote {output}")
    if evidence.missing:
        raise IncompleteConversionError(
            f"{output} was written without {', '.join(one.artifact for one in evidence.missing)}: "
            + "; ".join(one.reason for one in evidence.missing),
            evidence,
        )


def _echo(evidence: Evidence, as_json: bool) -> None:
    if as_json:
        click.echo(evidence_json(evidence), nl=False)
    else:
        echo_evidence(evidence)
