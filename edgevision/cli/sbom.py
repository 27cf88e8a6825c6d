"""``edgevision sbom``: what a bundle is made of, and the libraries that it loads on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, under
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import ARTIFACT_OPTIONS
from edgevision.cli.output.terminal import without_noise
from edgevision.errors import OutputError
from edgevision.reporting.sbom import FORMS, sbom, sbom_json
from edgevision.system.files import check_folder_of, write_file


@click.command("sbom", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default=FORMS[0],
    show_default=True,
    help="CycloneDX 1.6 with a model card, or the list that IEC 62304 asks for.",
)
@click.option("--soup", "form", flag_value="soup", help="The same as --format soup.")
@click.option(
    "-o", "--output", type=PATH, metavar="NAME.json", help="File to write. Default: standard output."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@under("Model to run", *ARTIFACT_OPTIONS)
def command(bundle: Path, form: str, output: Path | None, force: bool, **names: Any) -> None:
    """Write the bill of materials of BUNDLE, with the libraries that it really loads on this machine.

    The bundle is loaded and run once, in a process of its own. Run it on the device, too: another machine
    loads other libraries.
    """
    before = None if output is None else check_folder_of(output, "-o")
    if before and not force:
        raise OutputError(f"{output}: already exists; pass --force to replace it")
    with without_noise():
        text = sbom_json(sbom(bundle, form=form, **names))
    if output is None:
        click.echo(text, nl=False)
        return
    write_file(output, text.encode(), before)
    echo_line(f"wrote {output}")
