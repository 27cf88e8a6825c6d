"""``edgevision stream``: a model on a camera, a video or a network stream."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.detect import THRESHOLD_OPTIONS, thresholds_of
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.isolation import ISOLATION_OPTIONS
from edgevision.cli.options.journal import JOURNAL_OPTIONS, journal_of
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
from edgevision.cli.options.track import TRACK_OPTIONS, tracking_of
from edgevision.cli.options.verbosity import verbosity, verbosity_options
from edgevision.cli.output.stream_line import StreamLine, stream_line
from edgevision.cli.output.window import window
from edgevision.drawing.results import unanswered
from edgevision.errors import OptionError, OutputError
from edgevision.health import Health
from edgevision.hookspecs import hookimpl
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.observation import StreamEvent
from edgevision.observing.observe import observe
from edgevision.preview.address import DEFAULT_HOST, DEFAULT_PORT, address_of
from edgevision.streaming.policy import WAIT
from edgevision.streaming.records import OK, STALE, StreamFrame, StreamResult, record_of
from edgevision.streaming.settings import StreamSettings
from edgevision.streaming.sources.choice import unaddressed
from edgevision.streaming.stream import Stream
from edgevision.streaming.video_writer import VideoWriter, check_video_path
from edgevision.system.address import Address
from edgevision.system.files import LineFile, OutputState, check_folder_of
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.kind import kind_of

if TYPE_CHECKING:  # SQLite and the chain are imported where they are used
    from edgevision.journal.journal import Journal

#: Receives each frame with its result.
Sink = Callable[[StreamFrame, StreamResult[Any]], object]

_STDOUT = Path("-")
#: Pixels of the longer side of a picture for a browser, at least: enlarged there, its text would be blurred.
_LEAST_PREVIEW = 640


@click.command("stream", cls=GroupedCommand)
@click.argument("model", type=PATH)
@click.argument("source")
@under(
    "Stream",
    option(
        "--policy",
        metavar="NAME",
        help="Frames to answer. wait: every one; latest: the newest, and the newest result; 'queue(N)': as "
        "many wait. Default: latest for live sources, else wait.",
    ),
    option(
        "--max-age-ms",
        metavar="MS",
        type=click.FloatRange(min=0, min_open=True),
        help="Drop frames and results that are older.",
    ),
    option(
        "--deadline-ms",
        metavar="MS",
        type=click.FloatRange(min=0, min_open=True),
        help="Mark results as stale whose frame is older.",
    ),
    *ABSTENTION_OPTIONS,
    option(
        "--stall-s",
        metavar="S",
        type=click.FloatRange(min=0, min_open=True),
        help="Seconds without a frame after which the source is lost. Default: 2 for live sources.",
    ),
    option(
        "--reconnect-s",
        metavar="S",
        type=click.FloatRange(min=0),
        default=30.0,
        help="Seconds during which a source that is lost, or not there yet, is tried again; inf: without an "
        "end. Default: 30.",
    ),
)
@under(
    "Results",
    option("--top", metavar="N", type=click.IntRange(min=1), help="Number of classes to draw. Default: 1."),
    *THRESHOLD_OPTIONS,
    *TRACK_OPTIONS,
    option("--save", type=PATH, metavar="FILE", help="Annotated video: .mp4, .mkv or .mov (extra `video`)."),
    option("--jsonl", type=PATH, metavar="FILE", help="One JSON object per result and line; - for stdout."),
    option("--show", is_flag=True, help="Show the annotated frames in a window; q closes it."),
    option(
        "--preview",
        is_flag=False,
        flag_value="",
        metavar="[HOST:PORT]",
        help="Serve a page with the live picture, charts and thresholds (extra `serve`). Default: "
        f"{DEFAULT_HOST}:{DEFAULT_PORT}, for this machine alone; others need the token that is printed.",
    ),
    option("--overwrite", is_flag=True, help="Replace the files of --save and --jsonl."),
    *JOURNAL_OPTIONS,
)
@under("Model to run", *ARTIFACT_OPTIONS, *SESSION_OPTIONS, NO_TUNE_OPTION, SELFTEST_OPTION)
@under(
    "Health of the model",
    *ISOLATION_OPTIONS,
    option(
        "--health-every-s",
        metavar="S",
        type=click.FloatRange(min=0),
        default=10.0,
        help="Seconds between checks of a known answer, each one inference; 0 for none. Default: 10.",
    ),
    option(
        "--fallback",
        multiple=True,
        metavar="NAME",
        help="Backend, or another bundle with the same task and labels, that answers if MODEL fails. "
        "Repeatable, in this order.",
    ),
    option(
        "--return-after",
        metavar="N",
        type=click.IntRange(min=1),
        help="Return from a fallback after N good checks in a row. Default: never.",
    ),
)
@under(BARE_HEADING, *BARE_OPTIONS)
@verbosity_options
def command(model: Path, source: str, **arguments: Any) -> None:
    """Run MODEL on the frames of SOURCE as they come, until it ends or Ctrl-C.

    SOURCE is a camera (0 or /dev/video0), a video file, a folder, pattern or sequence of images, or an
    address, such as rtsp://camera/live (extra `video`).
    """
    save, jsonl, overwrite = arguments["save"], arguments["jsonl"], arguments["overwrite"]
    if overwrite and save is None and jsonl in (None, _STDOUT):
        raise click.UsageError("--overwrite requires --save FILE or --jsonl FILE.")
    if save is not None:
        check_video_path(save, "--save")
    preview = None if arguments["preview"] is None else address_of(arguments["preview"] or str(DEFAULT_PORT))
    states = {
        path: _free(path, name, overwrite, source) for path, name in ((save, "--save"), (jsonl, "--jsonl"))
    }
    reconnect_s = None if math.isinf(arguments["reconnect_s"]) else arguments["reconnect_s"]
    settings = StreamSettings(
        stall_s=arguments["stall_s"], reconnect_s=reconnect_s, call=thresholds_of(arguments)
    )
    with ExitStack() as stack:
        journal = stack.enter_context(journal_of(arguments, wait=False))
        if journal is not None:
            stack.enter_context(observe(journal))
        network = stack.enter_context(load_from_arguments(model, arguments, session_settings_of(arguments)))
        if not isinstance(network, ImageModel):
            raise OptionError(f"{model}: this model generates images from a seed, and takes no frames")
        for name in settings.call:
            if name not in network.call_arguments:
                option_name = name.replace("_", "-")
                raise OptionError(f"--{option_name} is for detectors, and this model is none; remove it")
        set_abstentions(network, arguments)
        sinks: list[Sink] = []
        if jsonl is not None:
            sinks.append(_lines(stack, jsonl, states[jsonl]))
        if save is not None or arguments["show"]:
            sinks.append(_pictures(stack, network, save, states.get(save), arguments))
        limits = {name: arguments[name] for name in ("max_age_ms", "deadline_ms")}
        stream = network.stream(
            source, arguments["policy"], settings=settings, track=tracking_of(arguments), **limits
        )
        if preview is not None:
            sinks.append(_preview(stack, model, network, stream, preview, arguments["top"] or 1))
        if journal is not None:
            stack.enter_context(observe(_Patience(journal, stream)))
        line = stream_line(verbosity() < 0 or jsonl == _STDOUT, _health_of(network))
        _consume(stream, sinks, line)


class _Patience:
    """Lets a journal wait for room where the source of a stream waits, too: then it has every frame."""

    def __init__(self, journal: Journal, stream: Stream[Any]) -> None:
        self._journal = journal
        self._stream = stream

    @hookimpl
    def edgevision_stream_event(self, event: StreamEvent) -> None:
        """The policy is known once the source is open, which is an event."""
        self._journal.waits = self._stream.policy == WAIT.name


def _health_of(network: ImageModel[Any]) -> Callable[[], Health] | None:
    return partial(network.health, check=False) if network.is_watched else None


def _free(path: Path | None, option_name: str, overwrite: bool, source: str) -> OutputState:
    if path is None or path == _STDOUT:
        return OutputState()
    is_source = False
    with suppress(OSError, ValueError):  # one of them is not there, or no path
        is_source = path.samefile(unaddressed(source))
    if is_source:
        raise OptionError(f"{option_name} {path}: is the source itself; choose another name")
    before = check_folder_of(path, option_name)
    if before and not overwrite:
        raise OutputError(f"{path}: exists; pass --overwrite to replace it, or choose another name")
    return before


def _consume(stream: Stream[Any], sinks: list[Sink], line: StreamLine) -> None:
    with _ended_by_signals(stream) as signals, stream:
        try:
            for frame, result in stream:
                for sink in sinks:
                    sink(frame, result)
                line.add(result)
                if line.is_due():
                    line.show(stream.counters)
        finally:
            line.end(stream.counters)
    if signal.SIGTERM in signals:
        sys.exit(128 + signal.SIGTERM)
    if signals:
        raise click.Abort


@contextmanager
def _ended_by_signals(stream: Stream[Any]) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM end the stream, so that what was given is written to the end.

    Yields:
        The signals that came.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:  # someone does not want to wait
            raise KeyboardInterrupt
        # Not in this thread, which may hold what closing waits for.
        threading.Thread(target=stream.close, name="edgevision-close", daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lines(stack: ExitStack, path: Path, before: OutputState) -> Sink:
    write = click.echo if path == _STDOUT else stack.enter_context(LineFile(path, before)).write
    return lambda frame, result: write(json.dumps(record_of(frame, result)))


def _pictures(
    stack: ExitStack, network: ImageModel[Any], save: Path | None, before: OutputState | None, arguments: Any
) -> Sink:
    """Draws each result, and writes and shows it."""
    top, started_ns = arguments["top"] or 1, None
    writer = None if save is None else stack.enter_context(VideoWriter(save, before or OutputState()))
    show = stack.enter_context(window()) if arguments["show"] else None

    def draw(frame: StreamFrame, result: StreamResult[Any]) -> None:
        nonlocal started_ns
        picture = _drawn(network, frame, result, top)
        if started_ns is None:
            started_ns = frame.captured_at.monotonic_ns
        shown_s = frame.presentation_s
        if shown_s is None:
            shown_s = (frame.captured_at.monotonic_ns - started_ns) / 1e9
        if writer is not None:
            writer.write(picture, shown_s)
        if show is not None:
            show(picture)

    return draw


def _preview(
    stack: ExitStack, path: Path, network: ImageModel[Any], stream: Stream[Any], address: Address, top: int
) -> Sink:
    """Serves the page of the stream."""
    from edgevision.observing.metrics import Metrics
    from edgevision.observing.observe import observe
    from edgevision.preview.card import card_of
    from edgevision.preview.frozen import explain_of
    from edgevision.preview.live import Live
    from edgevision.preview.server import served

    draw = partial(_drawn, network, top=top, least=_LEAST_PREVIEW)
    kind = kind_of(network.task)
    live = Live(stream, draw, _health_of(network), lambda result: kind.lines(result, top))
    metrics = stack.enter_context(observe(Metrics()))
    metrics.watch(network)
    card, explain = card_of(path, network, stream), explain_of(network)
    url = stack.enter_context(served(live, card, metrics.text, address, explain))
    echo_line(f"preview: {url}", err=True)
    return live.add


def _drawn(
    network: ImageModel[Any], frame: StreamFrame, result: StreamResult[Any], top: int, least: int = 1
) -> Pixels:
    """A picture of a frame with its result, enlarged if its longer side has fewer pixels than `least`."""
    picture = _viewable(network, frame)
    factor = max(1, round(least / max(picture.shape[:2])))
    picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    value = result.value if result.state in (OK, STALE) else result.unsure
    if value is None:
        return unanswered(picture, result.status)
    drawn: Pixels = kind_of(network.task).draw(picture, value, top, factor)
    return drawn


def _viewable(network: Any, frame: StreamFrame) -> Pixels:
    picture: Pixels = viewable(frame.image, network.preprocessing.mapping)
    return picture
