"""``edgevision explain``: maps of what an answer rests on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgevision.cli.lines import echo_line, one_line
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS, load_from_arguments
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import (
    ARTIFACT_OPTIONS,
    NO_TUNE_OPTION,
    SELFTEST_OPTION,
    SESSION_OPTIONS,
    session_settings_of,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.annotated import AnnotatedCopy, annotated_paths
from edgevision.cli.output.left_out import echo_left_out
from edgevision.cli.output.terminal import progress_on
from edgevision.drawing.explanations import draw_explanation
from edgevision.drawing.sheet import contact_sheet
from edgevision.errors import InputError, NothingFoundError, OptionError, OutputError
from edgevision.explaining.explanation import Explanation
from edgevision.explaining.settings import FILLS, METHODS, ExplainSettings
from edgevision.imaging.find import ImageFile, find
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.imaging.write import write_image
from edgevision.system.decimals import percent
from edgevision.system.files import OutputState
from edgevision.system.progress import Progress
from edgevision.tasks.explainable_model import ExplainableModel
from edgevision.tasks.explanation_check import ExplanationCheck

#: Pictures of a contact sheet at most, and pixels of the longer side of each.
_MOST_PICTURES, _THUMBNAIL = 64, 480
#: Below this a map says little: the line of the image says so.
_UNRELIABLE = 0.8


@click.command("explain", cls=GroupedCommand)
@click.argument("model", type=PATH)
@click.argument("images", nargs=-1, required=True, type=PATH)
@under(
    "Explanation",
    option(
        "--for",
        "target",
        metavar="LABEL",
        help="Class to explain, or value of a regression. Default: the best class, the first value.",
    ),
    option("--method", type=click.Choice(METHODS), help="How parts of the image are hidden. Default: rise."),
    option(
        "--budget",
        metavar="N",
        type=click.IntRange(min=16),
        help="Runs of the network per image at most. Default: 2000.",
    ),
    option(
        "--cells",
        metavar="N",
        type=click.IntRange(2, 64),
        help="Parts of the shorter side that are hidden as one. Default: 8.",
    ),
    option("--fill", type=click.Choice(FILLS), help="What stands where it is hidden. Default: blur."),
    option("--seed", metavar="N", type=click.IntRange(min=0), help="Seed of the masks. Default: 0."),
    option(
        "--reliability",
        metavar="X",
        type=click.FloatRange(0, 1, min_open=True),
        help="Stop at this reliability of the map; 1 uses the whole budget. Default: 0.95.",
    ),
)
@under(
    "Output",
    option(
        "--check",
        is_flag=True,
        help="Say whether each map is ahead of random ones, and how much it depends on its masks. Takes as "
        "long again.",
    ),
    option("-o", "--output", type=PATH, required=True, metavar="DIR", help="Folder for the pictures."),
    option("--overwrite", is_flag=True, help="Replace files in the folder of -o."),
    option("--json", "as_json", is_flag=True, help="Print one JSON object per image and line."),
)
@under("Model to run", *ARTIFACT_OPTIONS, *SESSION_OPTIONS, NO_TUNE_OPTION, SELFTEST_OPTION)
@under(BARE_HEADING, *BARE_OPTIONS)
@verbosity_options
def command(
    model: Path, images: tuple[Path, ...], output: Path, overwrite: bool, as_json: bool, **arguments: Any
) -> None:
    """Draw what the answers of MODEL about IMAGES rest on.

    Parts of each image are hidden many times, and the scores compared. The folder of -o gets a picture of
    each image, and sheet.png with all of them.
    """
    found = find(images)
    copies = annotated_paths(output, found.images, overwrite)
    sheet = _sheet_of(output, copies, overwrite)
    network = load_from_arguments(model, arguments, session_settings_of(arguments))
    lines: list[str] = []
    pictures: list[Pixels] = []
    unusable = 0
    with network:
        if not isinstance(network, ExplainableModel):
            raise OptionError(
                f"{model}: answers of a {type(network).__name__} are not explained; those of classifiers, "
                "detectors, segmentations of whole images, regressions and embeddings are"
            )
        with progress_on(sys.stderr) as progress:
            for place, file in enumerate(found.images, 1):
                report = partial(_report, progress, f"image {place} of {len(found.images)}")
                copy = copies[file.name]
                try:
                    explanation, picture, check = _explained(network, file, arguments, report)
                except InputError as error:
                    unusable += 1
                    lines.append(_error_line(file, error, as_json))
                    continue
                except NothingFoundError as error:  # of this image; others may have an answer
                    lines.append(_nothing_line(file, error, as_json))
                    continue
                write_image(copy.path, picture, copy.before)
                pictures += [picture] if len(pictures) < _MOST_PICTURES else []
                lines.append(_line(file, explanation, check, copy.path, as_json))
    if pictures:
        write_image(sheet.path, contact_sheet(pictures, _THUMBNAIL), sheet.before)
    for line in lines:
        echo_line(line)
    echo_left_out(found.left_out)
    if unusable:
        raise InputError(f"{unusable} of {len(found.images)} images could not be used")


def _sheet_of(output: Path, copies: Mapping[str, AnnotatedCopy], overwrite: bool) -> AnnotatedCopy:
    path = output / "sheet.png"
    before = OutputState.of(path)
    if any(copy.path == path for copy in copies.values()):
        raise OutputError(f"{path}: is the picture of an image, and the contact sheet too; rename the image")
    if before and not overwrite:
        raise OutputError(f"{path}: exists; pass --overwrite to replace it, or another folder")
    return AnnotatedCopy(path, before)


def _explained(
    network: ExplainableModel[Any], file: ImageFile, arguments: Mapping[str, Any], report: partial[None]
) -> tuple[Explanation, Pixels, ExplanationCheck | None]:
    """The explanation of one image, its picture and, where asked for, its check."""
    frame = file.read()
    named = ("method", "budget", "cells", "fill", "seed", "reliability")
    settings = ExplainSettings(**{name: arguments[name] for name in named if arguments[name] is not None})
    explanation = network.explain(frame, arguments["target"], settings=settings, progress=report)
    picture = draw_explanation(viewable(frame, network.preprocessing.mapping), explanation)
    check = ExplanationCheck.of(network, frame, explanation) if arguments["check"] else None
    return explanation, picture, check


def _report(progress: Progress | None, stage: str, done: int, most: int) -> None:
    if progress is not None:
        progress(stage, done, most)


def _line(
    file: ImageFile, explanation: Explanation, check: ExplanationCheck | None, saved: Path, as_json: bool
) -> str:
    if as_json:
        checked = {} if check is None else {"check": check.to_dict()}
        return json.dumps({"image": file.name, **explanation.to_dict(), **checked, "saved": str(saved)})
    x, y = explanation.peak_xy
    score = percent(explanation.score, 1, sign="%")
    reliability = explanation.reliability
    quality = "" if reliability is None else f", reliability {reliability:.2f}"
    if reliability is not None and reliability < _UNRELIABLE:
        quality += ": mostly noise; raise --budget, or lower --cells"
    words = f"{explanation.label} {score}  most at {x},{y}  ({explanation.samples} runs{quality})"
    return one_line(f"{file.name}  {words}{_checked(check)}  {saved}")


def _checked(check: ExplanationCheck | None) -> str:
    """Such as ``  insertion 0.61 (random 0.42), deletion 0.20 (0.43), ahead of 100 % of random maps``."""
    if check is None:
        return ""
    stability = "" if check.stability is None else f", correlation with other masks {check.stability:.2f}"
    return (
        f"  insertion {check.insertion:.2f} (random {check.random_insertion:.2f}), deletion "
        f"{check.deletion:.2f} ({check.random_deletion:.2f}), ahead of {percent(check.ahead, 0)} of random "
        f"maps{stability}"
    )


def _nothing_line(file: ImageFile, error: NothingFoundError, as_json: bool) -> str:
    words = {"image": file.name, "nothing_found": str(error)}
    return json.dumps(words) if as_json else one_line(f"{file.name}  nothing found  {error}")


def _error_line(file: ImageFile, error: InputError, as_json: bool) -> str:
    return json.dumps({"image": file.name, "error": str(error)}) if as_json else str(error)
