"""``edgevision predict``: classes or objects in images."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from edgevision.backend import SessionSettings
from edgevision.cli.lines import echo_line, one_line
from edgevision.cli.options.detect import THRESHOLD_OPTIONS, thresholds_of
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.isolation import ISOLATION_OPTIONS
from edgevision.cli.options.journal import JOURNAL_OPTIONS, AnswerLog, journal_of
from edgevision.cli.options.model import BARE_HEADING, BARE_OPTIONS, load_from_arguments
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import (
    ABSTENTION_OPTIONS,
    ARTIFACT_OPTIONS,
    NO_TUNE_OPTION,
    SELFTEST_OPTION,
    SESSION_OPTIONS,
    session_settings_of,
    set_abstentions,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.annotated import AnnotatedCopy, annotated_paths
from edgevision.cli.output.left_out import echo_left_out
from edgevision.errors import EdgeVisionError, InputError, OptionError
from edgevision.execution.thread_shares import shared_out, turn_on
from edgevision.frame_source import CapturedImage
from edgevision.imaging.blocks import Read, image_blocks, read_or_error
from edgevision.imaging.find import VIDEO_SUFFIXES, Found, ImageFile, find, frames_of
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import ValueMapping
from edgevision.imaging.view import viewable
from edgevision.imaging.write import write_image
from edgevision.streaming.records import ABSTAINED
from edgevision.streaming.settings import StreamSettings
from edgevision.streaming.sources.video_file import every_nth_frame
from edgevision.system.in_order import in_order
from edgevision.tasks.batches import each_or_all, pays
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.kind import TaskKind, kind_of
from edgevision.tasks.result_document import gate_of_single_images, result_document

Result = Any
Network = ImageModel[Any]
#: From images to their results, or why the network cannot use them.
Predict = Callable[[Sequence[Frame]], Sequence[Result | InputError]]
#: The name of standard input, as of many commands.
_STDIN = Path("-")
#: Frames of a video, at least: enough for all cores.
_FRAMES = 100


class Abstained(NamedTuple):
    """Why the model was not asked about an image."""

    reason: str

    @property
    def status(self) -> str:
        """As in the results of a stream."""
        return f"{ABSTAINED}: {self.reason}"


class Row(NamedTuple):
    """One image: its name, its result or why there is none, the annotated copy, and its time in a video."""

    name: str
    result: Result | EdgeVisionError | Abstained
    saved: Path | None = None
    presentation_s: float | None = None


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
    option(
        "--save",
        type=PATH,
        help="Folder for annotated copies of the images, in the structure of the folders that were searched.",
    ),
    option("--overwrite", is_flag=True, help="Replace files in the folder of --save."),
    option("--json", "as_json", is_flag=True, help="Print one JSON object per image and line."),
    option(
        "--every",
        metavar="N",
        type=click.IntRange(min=1),
        help="Of videos, use every Nth frame, beginning with the first. Default: 1.",
    ),
    *JOURNAL_OPTIONS,
)
@under(
    "Model to run",
    *ARTIFACT_OPTIONS,
    *SESSION_OPTIONS,
    *ABSTENTION_OPTIONS,
    NO_TUNE_OPTION,
    SELFTEST_OPTION,
    *ISOLATION_OPTIONS,
)
@under(BARE_HEADING, *BARE_OPTIONS)
@verbosity_options
def command(
    model: Path, images: tuple[Path, ...], save: Path | None, overwrite: bool, as_json: bool, **arguments: Any
) -> None:
    """Classify IMAGES, or detect objects in them, with MODEL.

    MODEL is a bundle, or a bare model file, such as .tflite, .xml or .onnx. IMAGES are files, folders,
    patterns in quotes ('photos/**/*.jpg'), or - for the bytes of one image on standard input. Of a DICOM or
    TIFF file with several images each gets a result, named FILE#NUMBER; and so does each frame of a video
    file that is named itself.
    """
    if overwrite and save is None:
        raise click.UsageError("--overwrite requires --save FOLDER.")
    videos = [path for path in images if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    if arguments["every"] is not None and not videos:
        raise click.UsageError("--every is for video files; name one.")
    stills = [path for path in images if path not in videos]
    found = _found(stills) if stills else Found([], [])
    files = found.images
    copies = {} if save is None else annotated_paths(save, files, overwrite)
    unreadable, top = 0, arguments["top"] or 1
    settings = replace(session_settings_of(arguments), device=arguments["device"])
    workers, settings = shared_out(settings, len(files) + _FRAMES * len(videos))
    with _load(model, arguments, settings) as network, journal_of(arguments, wait=True) as journal:
        set_abstentions(network, arguments)
        log = AnswerLog(journal, network)
        predict, mapping = _predictor(network, arguments), network.preprocessing.mapping
        work = partial(
            _results,
            kind_of(network.task),
            predict,
            gate_of_single_images(network),
            copies,
            mapping,
            top,
            log,
        )
        lines = partial(_json_lines if as_json else _lines, network, top)
        blocks = image_blocks(files, pays(network.session, network.preprocessing.size_wh))
        with in_order(work, blocks, workers) as rows:
            for block in rows:
                unreadable += _echo(block, lines, as_json)
        count = len(files)
        for video in videos:
            for row in _video_rows(network, video, arguments, save, overwrite, log):
                count += 1
                unreadable += _echo([row], lines, as_json)
    _echo_left_out(found, as_json)
    if unreadable:
        raise InputError(f"{unreadable} of {count} images could not be used")


def _found(images: Sequence[Path]) -> Found:
    """The images that were named; those on standard input are read."""
    if _STDIN not in images:
        return find(images)
    if images.count(_STDIN) > 1:
        raise OptionError("-: standard input can be read once; name it once")
    content = sys.stdin.buffer.read()
    if not content:
        raise InputError(
            "-: standard input is empty; expected the bytes of an image: edgevision predict MODEL - < FILE"
        )
    others = [path for path in images if path != _STDIN]
    found = find(others) if others else Found([], [])
    own = [ImageFile(_STDIN, frame, content=content) for frame in frames_of(_STDIN, content)]
    return Found([*own, *found.images], found.left_out)


def _echo_left_out(found: Found, as_json: bool) -> None:
    if as_json:
        rows = [json.dumps({"image": str(path), "left_out": reason}) for path, reason in found.left_out]
        _echo_lines(rows)
    echo_left_out(found.left_out)


def _load(model: Path, arguments: dict[str, Any], settings: SessionSettings) -> Network:
    network = load_from_arguments(model, arguments, settings)
    if not isinstance(network, ImageModel) or not kind_of(network.task).takes_images:
        network.close()
        raise OptionError(f"{model}: this model generates images; run edgevision generate {model} -o DIR")
    return network


def _check_options(network: Network, arguments: Mapping[str, Any]) -> None:
    """Refuse the options of another task."""
    kind, taken = kind_of(network.task), network.call_arguments
    for name in thresholds_of(dict(arguments)):
        if name not in taken:
            option_name = name.replace("_", "-")
            raise OptionError(f"--{option_name} is for detectors, and this model is a {kind.noun}; remove it")
    if arguments["top"] is not None and not kind.ranks_classes:
        instead = "pass --max-detections" if "max_detections" in taken else "remove it"
        raise OptionError(f"--top is for classifiers, and this model is a {kind.noun}; {instead}")


def _predictor(network: Network, arguments: dict[str, Any]) -> Predict:
    """The network with the options of its task."""
    _check_options(network, arguments)
    thresholds = thresholds_of(arguments)
    turn = turn_on(network.session.device)

    def predict(images: Sequence[Frame]) -> Sequence[Result | InputError]:
        with turn:
            results: Sequence[Result] = network(list(images), **thresholds)
        return results

    return predict


def _results(
    kind: TaskKind,
    predict: Predict,
    gate: Callable[[Frame], str],
    copies: Mapping[str, AnnotatedCopy],
    mapping: ValueMapping,
    top: int,
    log: AnswerLog,
    block: Sequence[Read],
) -> Iterator[list[Row]]:
    """A row for each image of a block; annotated copies are saved of those in `copies`."""
    images = [(file, read_or_error(file) if image is None else image) for file, image in block]
    refusals = [gate(image) if isinstance(image, Frame) else "" for _, image in images]
    pairs = zip(images, refusals, strict=True)
    frames = [image for (_, image), refusal in pairs if isinstance(image, Frame) and not refusal]
    started_s = time.perf_counter()
    results = iter(each_or_all(predict, frames))
    call_ms = 1e3 * (time.perf_counter() - started_s)
    rows: list[Row] = []
    for (file, image), refusal in zip(images, refusals, strict=True):
        if isinstance(image, InputError):
            log.add(file.name, None, image, 0.0, 1)
            rows.append(Row(file.name, image))
            continue
        if refusal:
            abstained = Abstained(refusal)
            log.abstain(file.name, image, abstained.status)
            rows.append(Row(file.name, abstained))
            continue
        result, copy = next(results), copies.get(file.name)
        log.add(file.name, image, result, call_ms, len(frames))
        rows.append(Row(file.name, result, None if copy is None else copy.path))
        if copy is not None and not isinstance(result, InputError):
            write_image(copy.path, kind.draw(viewable(image, mapping), result, top), copy.before)
    yield rows


def _video_rows(
    network: Network,
    video: Path,
    arguments: Mapping[str, Any],
    save: Path | None,
    overwrite: bool,
    log: AnswerLog,
) -> Iterator[Row]:
    """A row for each frame of a video that is used, and for each that is damaged."""
    every, top = arguments["every"] or 1, arguments["top"] or 1
    settings = StreamSettings(call=thresholds_of(dict(arguments)))
    damaged: deque[CapturedImage] = deque()  # which the stream drops

    def frames() -> Iterator[CapturedImage]:
        for captured in every_nth_frame(video, every):
            if captured.damage:
                damaged.append(captured)
            yield captured

    def damaged_before(index: float) -> Iterator[Row]:
        while damaged and int(damaged[0].name.rpartition("#")[2]) < index:
            captured = damaged.popleft()
            error = InputError(f"{captured.name}: {captured.damage}")
            log.add(captured.name, None, error, 0.0, 1)
            yield Row(captured.name, error, presentation_s=captured.presentation_s)

    for frame, answered in network.stream(frames(), "wait", settings=settings):
        index = frame.index * every
        name = f"{video}#{index}"
        yield from damaged_before(index)
        log.add_of_stream(name, frame, answered)
        if answered.error is not None:
            yield Row(name, answered.error, presentation_s=frame.presentation_s)
            continue
        if answered.state == ABSTAINED:
            unsure = answered.unsure or Abstained(answered.reason)
            yield Row(name, unsure, presentation_s=frame.presentation_s)
            continue
        saved = None
        if save is not None:
            (copy,) = annotated_paths(save, [ImageFile(video, index)], overwrite).values()
            picture = viewable(frame.image, network.preprocessing.mapping)
            drawn = kind_of(network.task).draw(picture, answered.value, top)
            write_image(copy.path, drawn, copy.before)
            saved = copy.path
        yield Row(name, answered.value, saved, frame.presentation_s)
    yield from damaged_before(math.inf)


def _echo(block: Sequence[Row], lines: Callable[[Row, Result], Iterable[str]], as_json: bool) -> int:
    """Print the results of a block of images, and return how many could not be read."""
    pending: list[str] = []
    unreadable = 0
    for row in block:
        result = row.result
        if isinstance(result, Abstained):
            document = {"image": row.name, "status": result.status}
            pending.append(json.dumps(document) if as_json else one_line(f"{row.name}  {result.status}"))
            continue
        if not isinstance(result, EdgeVisionError):
            pending += lines(row, result)
            continue
        unreadable += 1
        if as_json:
            pending.append(json.dumps({"image": row.name, "error": str(result)}))
            continue
        _echo_lines(pending)
        pending = []
        echo_line(str(result), err=True)
    _echo_lines(pending)
    return unreadable


def _echo_lines(lines: Sequence[str]) -> None:
    """All at once: for tiny images each call costs as much as reading one."""
    if lines:
        click.echo("\n".join(lines))


def _json_lines(network: Network, top: int, row: Row, result: Result) -> Iterable[str]:
    saved = {} if row.saved is None else {"saved": str(row.saved)}
    at = {} if row.presentation_s is None else {"presentation_s": round(row.presentation_s, 6)}
    document = result_document(network, result, top)
    yield json.dumps({"image": row.name, **at, **document, **saved})


def _lines(network: Network, top: int, row: Row, result: Result) -> Iterable[str]:
    return [one_line(f"{row.name}  {line}") for line in kind_of(network.task).lines(result, top)]
