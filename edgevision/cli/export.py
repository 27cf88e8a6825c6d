"""``edgevision export``: an artifact of a bundle in the form that another program expects."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.path import PATH
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.terminal import without_noise
from edgevision.exporting.export import export
from edgevision.plugins import registry


def _form(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    registry().export_format(value)
    return value


@click.command("export")
@click.argument("bundle", type=PATH)
@click.option(
    "--for",
    "form",
    required=True,
    metavar="PROGRAM",
    callback=_form,
    help="Program that reads the result, such as mediapipe.",
)
@click.option("-o", "--output", type=PATH, required=True, help="File or folder to write.")
@click.option("--artifact", metavar="ID", help="Artifact to start from. Default: the first that suits.")
@click.option("--precision", metavar="NAME", help="Precision of the artifact to start from.")
@click.option("--force", is_flag=True, help="Replace existing files.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@verbosity_options
def command(
    bundle: Path,
    form: str,
    output: Path,
    artifact: str | None,
    precision: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a model of BUNDLE in the form that another program expects.

    PROGRAM is frigate, mediapipe, openvino-model-api, ovms, triton, or one that a plugin adds.

    The result is run on the bundle's known images, and written only if it gives the bundle's answers.
    """
    with without_noise():
        done = export(bundle, output, form=form, artifact=artifact, precision=precision, force=force)
    if as_json:
        document = {
            "artifact": done.artifact,
            "files": [str(path) for path in done.files],
            "checked_on": done.checked_on,
            "difference": done.difference,
            "notes": list(done.notes),
        }
        click.echo(json.dumps(document, indent=2))
        return
    echo_line(f"wrote {', '.join(map(str, done.files))}, from {done.artifact}")
    echo_line(
        f"same answers on {done.checked_on}, on the bundle's known images: largest difference of a score "
        f"{done.difference:.2g}"
    )
    for note in done.notes:
        echo_line(note)
