"""``edgevision verify``: every file of a bundle, and who signed it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edgevision.bundle.signing import verify_bundle
from edgevision.bundle.trust import TrustPolicy
from edgevision.cli.lines import echo_line
from edgevision.cli.options.path import PATH


@click.command("verify")
@click.argument("bundle", type=PATH)
@click.option("--key", "keys", type=PATH, multiple=True, help="Public key that is trusted, PEM.")
@click.option("--root", "roots", type=PATH, multiple=True, help="Certificate of an authority, PEM.")
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    help="Subject that the certificate must have: CN=Release,O=Example.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    bundle: Path, keys: tuple[Path, ...], roots: tuple[Path, ...], subjects: tuple[str, ...], as_json: bool
) -> None:
    """Check every file of BUNDLE, and that someone who is trusted signed it.

    Exit code 14 if it is unsigned, signed by another, or changed. Trusted are those named here, and those in
    the files of EDGEVISION_TRUST, whose policy each command that runs a model obeys.
    """
    trust = TrustPolicy(keys, roots, subjects) if keys or roots or subjects else None
    verified = verify_bundle(bundle, trust)
    if as_json:
        click.echo(json.dumps(asdict(verified), indent=2))
        return
    signer = verified.signer
    by = f"{signer.curve} key sha256 {signer.key}" + ("" if signer.subject is None else f", {signer.subject}")
    echo_line(f"{bundle}: all {verified.files} files are as they were signed by the {by}")
    echo_line(f"digest {verified.digest}")
