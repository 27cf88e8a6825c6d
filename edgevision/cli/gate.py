"""``edgevision gate``: limits beyond which a model is not asked about a frame, from good images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from edgevision.bundle.layout import is_bundle
from edgevision.bundle.storage import open_bundle
from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, command_line, option, under
from edgevision.cli.options.path import PATH
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.left_out import echo_left_out
from edgevision.errors import OptionError
from edgevision.exporting.pack import PackSettings, pack
from edgevision.frame_source import SourceSettings
from edgevision.imaging.decode import as_frame
from edgevision.imaging.find import VIDEO_SUFFIXES, find
from edgevision.imaging.frame import Frame
from edgevision.imaging.gate_limits import propose_gate
from edgevision.streaming.sources.choice import open_reader
from edgevision.system.decimals import percent

#: Word on the command line -> the limit.
_LIMITS = {
    "black": "dark_share",
    "overexposed": "saturated_share",
    "blurred": "sharpness",
    "frozen": "frozen_frames",
}


@click.command("gate", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@click.argument("images", nargs=-1, required=True, type=PATH)
@under(
    "Limits",
    option(
        "--false-abstentions",
        metavar="SHARE",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.01,
        show_default=True,
        help="The most good frames that may be refused, as a share of all.",
    ),
    option(
        "--only",
        multiple=True,
        type=click.Choice(list(_LIMITS)),
        help="Refuse only frames like these. Repeatable. Default: all four.",
    ),
)
@under(
    "Output",
    option("-o", "--output", type=PATH, metavar="NAME.evb", help="Write the bundle with the limits."),
    option("--force", is_flag=True, help="Replace an existing bundle, which may be BUNDLE itself."),
    option("--json", "as_json", is_flag=True, help="Print a JSON object."),
)
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, bundle: Path, images: tuple[Path, ...], **arguments: Any) -> None:
    """Propose limits for BUNDLE's camera from good IMAGES: files, folders, patterns or videos.

    A frame that is black, overexposed, blurred, or the same as those before it is then not answered:
    `stream` and `predict` say "abstained: black". Pass images as the camera takes them when all is well, in
    all its light: the limits are those that at most a share of such frames goes beyond.
    """
    if arguments["force"] and arguments["output"] is None:
        raise click.UsageError("--force requires -o NAME.evb.")
    if not is_bundle(bundle):
        raise OptionError(f"{bundle}: expected a bundle; run edgevision convert to get one")
    preprocessing = open_bundle(bundle).manifest.preprocessing
    if preprocessing is None:
        raise OptionError(f"{bundle}: this model takes no image")
    measured = [_LIMITS[name] for name in arguments["only"] or _LIMITS]
    proposal = propose_gate(_frames(images), preprocessing.mapping, arguments["false_abstentions"], measured)
    written = arguments["output"]
    if written is not None:
        settings = PackSettings(input_gate=proposal.gate, command=command_line(ctx))
        pack(bundle, written, settings=settings, zipped=bundle.is_file(), force=arguments["force"])
    if arguments["as_json"]:
        document = {
            "images": proposal.images,
            "false_abstentions": proposal.false_abstentions,
            "limits": proposal.gate.to_dict(),
            "left_out": proposal.left_out,
            "written": None if written is None else str(written),
        }
        click.echo(json.dumps(document, indent=2))
        return
    limits = proposal.gate.to_dict()
    for word, name in _LIMITS.items():
        if name in limits:
            echo_line(f"{word}: {_TEXTS[name].format(_number(name, limits[name]))}")
        elif name in proposal.left_out:
            echo_line(f"{word}: no limit: {proposal.left_out[name]}")
    share = percent(proposal.false_abstentions, sign="%")
    echo_line(f"from {proposal.images} good images; of frames like these at most {share} are refused")
    if written is None:
        echo_line("nothing was written; pass -o NAME.evb to write the bundle with these limits")
    else:
        echo_line(f"wrote {written}")


#: Limit -> when a frame is refused.
_TEXTS = {
    "dark_share": "more than {} of the pixels are dark",
    "saturated_share": "more than {} of the pixels are saturated",
    "sharpness": "the sharpness is below {}",
    "frozen_frames": "{} frames in a row are the same",
}


def _number(name: str, value: float) -> str:
    return percent(value, 1, sign="%") if name.endswith("_share") else f"{value:g}"


def _frames(images: Sequence[Path]) -> Iterator[Frame]:
    """Every image, one after the other; of videos every frame."""
    videos = [path for path in images if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    stills = [path for path in images if path not in videos]
    if stills:
        found = find(stills)
        echo_left_out(found.left_out)
        for image in found.images:
            yield image.read()
    for video in videos:
        reader = open_reader(video, SourceSettings())
        try:
            while (captured := reader.read()) is not None:
                if not captured.damage:
                    yield as_frame(captured.image, captured.color)
        finally:
            reader.close()
