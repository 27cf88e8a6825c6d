"""``edgevision pack``: a bundle slimmed, zipped, and with artifacts that were compiled elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, command_line, option, under
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import SESSION_OPTIONS, session_settings_of
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.terminal import without_noise
from edgevision.exporting.pack import PackSettings, pack
from edgevision.imaging.gate import InputGate
from edgevision.metrics.formatting import size

_CONTENT_OPTIONS = (
    option(
        "--keep",
        multiple=True,
        metavar="NAME",
        help="Keep only artifacts of this id, format or precision. Repeatable.",
    ),
    option(
        "--drop",
        multiple=True,
        metavar="NAME",
        help="Leave out artifacts of this id, format or precision. Repeatable.",
    ),
    option("--no-pictures", is_flag=True, help="Leave out the pictures for the report."),
    option(
        "--no-evidence-details",
        is_flag=True,
        help="Leave out what only the report shows of the evidence.",
    ),
    option("--no-input-gate", is_flag=True, help="Remove the limits that edgevision gate set."),
    option(
        "--replace",
        "replacements",
        multiple=True,
        metavar="ID=FILE",
        help="Use FILE, compiled from artifact ID elsewhere, such as model_edgetpu.tflite. Repeatable.",
    ),
)
_OUTPUT_OPTIONS = (
    option("-o", "--output", type=PATH, required=True, metavar="NAME.evb", help="Bundle to write."),
    option("--zip", "zipped", is_flag=True, help="Write one zip file instead of a folder."),
    option("--force", is_flag=True, help="Replace an existing bundle."),
    option("--author", metavar="NAME", help="Who packs it, for its manifest. By default nobody is named."),
    option("--json", "as_json", is_flag=True, help="Print a JSON object."),
)


@click.command("pack", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@under("Content", *_CONTENT_OPTIONS)
@under("Output", *_OUTPUT_OPTIONS)
@under(
    "Check of known answers",
    option("--device", metavar="NAME", help="Device that replaced artifacts must run on, such as cuda:0."),
    *SESSION_OPTIONS,
)
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, bundle: Path, **arguments: Any) -> None:
    """Write BUNDLE with fewer artifacts, with artifacts compiled elsewhere, or as one file.

    An artifact that was compiled elsewhere must give its known answers. Where its device is not here, it is
    marked as unproved: the answers are checked on the device, before it is used.
    """
    session = session_settings_of(arguments)
    settings = PackSettings(
        keep=arguments["keep"],
        drop=arguments["drop"],
        pictures=not arguments["no_pictures"],
        evidence_details=not arguments["no_evidence_details"],
        replacements=dict(_pair(text) for text in arguments["replacements"]),
        session=replace(session, device=arguments["device"]),
        input_gate=InputGate() if arguments["no_input_gate"] else None,
        author=arguments["author"],
        command=command_line(ctx),
    )
    with without_noise():
        done = pack(
            bundle,
            arguments["output"],
            settings=settings,
            zipped=arguments["zipped"],
            force=arguments["force"],
        )
    if arguments["as_json"]:
        document = {
            "path": str(done.path),
            "size_bytes": done.size_bytes,
            "artifacts": list(done.artifacts),
            "unproved": dict(done.unproved),
        }
        click.echo(json.dumps(document, indent=2))
        return
    echo_line(f"wrote {done.path}: {', '.join(done.artifacts)}, {size(done.size_bytes)}")
    for name, reason in done.unproved.items():
        echo_line(f"{name} is not proved yet: {reason}; run edgevision selftest {done.path} on the device")


def _pair(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise click.UsageError(f"--replace: expected ID=FILE, got {text!r}")
    return name, path
