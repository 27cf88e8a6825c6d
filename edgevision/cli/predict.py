"""``edgevision predict``: classes or objects in images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgevision.backend import SessionSettings
from edgevision.cli.options.detect import THRESHOLD_OPTIONS, thresholds_of
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS, load_from_arguments
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import (
    ARTIFACT_OPTIONS,
    NO_TUNE_OPTION,
    SESSION_OPTIONS,
    session_settings_of,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.annotated import annotated_paths, save_annotated
from edgevision.errors import InputError, OptionError
from edgevision.execution.pipeline import in_order, shared_out, turn_on
from edgevision.imaging.blocks import Read, image_blocks, read_or_error
from edgevision.imaging.decode import Pixels, find_images
from edgevision.tasks.batches import pays
from edgevision.tasks.classify import Classification, Classifier
from edgevision.tasks.detect import Detector
from edgevision.tasks.detections import Detections

Result = Classification | Detections
Network = Classifier | Detector
#: An image's path, and its result or why it cannot be read.
Row = tuple[Path, Result | InputError]
#: From images to their results.
Predict = Callable[[Sequence[Pixels]], Sequence[Result]]


@click.command("predict", cls=GroupedCommand)
@click.argument("model", type=PATH)
@click.argument("images", nargs=-1, required=True, type=PATH)
@under(
    "Results",
    option(
        "--top",
        metavar="N",
        type=click.IntRange(min=1),
        help="Number of classes to show, for a classifier. Default: 1.",
    ),
    *THRESHOLD_OPTIONS,
    option("--save", type=PATH, help="Folder for annotated copies of the images."),
    option("--json", "as_json", is_flag=True, help="Print one JSON object per image and line."),
)
@under(
    "Model to run",
    *ARTIFACT_OPTIONS,
    *SESSION_OPTIONS,
    NO_TUNE_OPTION,
    option("--selftest", is_flag=True, help="Check the bundle's known answers on this device first."),
)
@under(BARE_HEADING, *BARE_OPTIONS)
@verbosity_options
def command(
    model: Path, images: tuple[Path, ...], save: Path | None, as_json: bool, **arguments: Any
) -> None:
    """Classify IMAGES (files or folders), or detect objects in them, with MODEL.

    MODEL is a bundle, or a bare model file, such as .tflite, .xml or .onnx.
    """
    paths = find_images(images)
    copies = {} if save is None else annotated_paths(save, paths)
    unreadable, top = 0, arguments["top"] or 1
    settings = replace(session_settings_of(arguments), device=arguments["device"])
    workers, settings = shared_out(settings, len(paths))
    with _load(model, arguments, settings) as network:
        work = partial(_results, _predictor(network, arguments), copies, top)
        lines = partial(_json_lines if as_json else _lines, network, top)
        blocks = image_blocks(paths, pays(network.session, network.preprocessing.size_wh))
        with in_order(work, blocks, workers) as rows:
            for block in rows:
                unreadable += _echo(block, lines, as_json)
    if unreadable:
        raise InputError(f"{unreadable} of {len(paths)} images could not be used")


def _load(model: Path, arguments: dict[str, Any], settings: SessionSettings) -> Network:
    network = load_from_arguments(model, arguments, settings, arguments["selftest"])
    if not isinstance(network, (Classifier, Detector)):
        network.close()
        raise OptionError(f"{model}: this model generates images; run edgevision generate {model} -o DIR")
    return network


def _predictor(network: Network, arguments: dict[str, Any]) -> Predict:
    """The network with the options of its task; those of another task are refused."""
    thresholds = thresholds_of(arguments)
    if isinstance(network, Classifier):
        if thresholds:
            name = next(iter(thresholds)).replace("_", "-")
            raise OptionError(f"--{name} is for detectors, and this model is a classifier; remove it")
    elif arguments["top"] is not None:
        raise OptionError("--top is for classifiers, and this model is a detector; pass --max-detections")
    turn = turn_on(network.session.device)

    def predict(images: Sequence[Pixels]) -> Sequence[Result]:
        with turn:
            results: Sequence[Result] = network(list(images), **thresholds)
        return results

    return predict


def _results(
    predict: Predict, copies: Mapping[Path, Path], top: int, block: Sequence[Read]
) -> Iterator[list[Row]]:
    """A row for each image of a block; annotated copies are saved of those in `copies`."""
    images = [(path, read_or_error(path) if image is None else image) for path, image in block]
    results = iter(predict([image for _, image in images if not isinstance(image, InputError)]))
    rows: list[Row] = []
    for path, image in images:
        if isinstance(image, InputError):
            rows.append((path, image))
            continue
        result = next(results)
        rows.append((path, result))
        if path in copies:
            save_annotated(copies[path], image, result, top)
    yield rows


def _echo(block: Sequence[Row], lines: Callable[[Path, Result], Iterable[str]], as_json: bool) -> int:
    """Print the results of a block of images, and return how many could not be read."""
    pending: list[str] = []
    unreadable = 0
    for path, result in block:
        if not isinstance(result, InputError):
            pending += lines(path, result)
            continue
        unreadable += 1
        if as_json:
            pending.append(json.dumps({"image": str(path), "error": str(result)}))
            continue
        _echo_lines(pending)
        pending = []
        click.echo(str(result), err=True)
    _echo_lines(pending)
    return unreadable


def _echo_lines(lines: Sequence[str]) -> None:
    """All at once: for tiny images each call costs as much as reading one."""
    if lines:
        click.echo("\n".join(lines))


def _json_lines(network: Network, top: int, path: Path, result: Result) -> Iterable[str]:
    session = network.session
    run = {"backend": session.backend, "device": session.device, "precision": session.precision}
    document = result.to_dict() if isinstance(result, Detections) else result.to_dict(top)
    yield json.dumps({"image": str(path), **run, **document})


def _lines(network: Network, top: int, path: Path, result: Result) -> Iterable[str]:
    if isinstance(result, Detections):
        yield from _lines_of_objects(path, result)
    else:
        classes = "  ".join(f"{best.label} {best.score:.1%}" for best in result.top(top))
        yield f"{path}  {classes}{_decision(result)}"


def _decision(result: Classification) -> str:
    """For the class of interest, if there is one, such as ``  [cat: yes, 31.0% ≥ 20.5%]``."""
    point = result.operating_point
    if point is None:
        return ""
    verdict, sign = ("yes", "≥") if result.positive else ("no", "<")
    score = float(result.scores[point.class_id])
    return f"  [{point.positive}: {verdict}, {score:.1%} {sign} {point.threshold:.1%}]"


def _lines_of_objects(path: Path, objects: Detections) -> Iterable[str]:
    if len(objects) == 0:
        yield f"{path}  no objects"
    for detection in objects:
        corners = ",".join(f"{value:.0f}" for value in detection.box)
        yield f"{path}  {detection.label} {detection.score:.1%}  {corners}"
