"""``edgevision sign``: a signature for a bundle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edgevision.bundle.layout import SIGNATURE
from edgevision.bundle.signing import sign_bundle
from edgevision.cli.lines import echo_line
from edgevision.cli.options.path import PATH
from edgevision.errors import OptionError
from edgevision.system.reading import read_file

_MOST_PASSWORD_BYTES = 10_000


@click.command("sign")
@click.argument("bundle", type=PATH)
@click.option("--key", type=PATH, required=True, help="Private key, PEM: EC on P-256, P-384 or P-521.")
@click.option("--password-file", type=PATH, help="File with the password of an encrypted key.")
@click.option(
    "--certificate",
    "certificates",
    type=PATH,
    multiple=True,
    help="Certificate of the key, PEM; then, with the option again, those between it and a root.",
)
@click.option("--force", is_flag=True, help="Replace the signature that the bundle has.")
@click.option("--json", "as_json", is_flag=True, help="Print who signed it as JSON.")
def command(
    bundle: Path,
    key: Path,
    password_file: Path | None,
    certificates: tuple[Path, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Sign BUNDLE with a local key: its evidence, labels and known answers too.

    The signature is written into the bundle as model.sig, in the format of OpenSSF Model Signing 1.0, which
    other programs check as well. No network is used. A key is made by

    \b
      openssl ecparam -name prime256v1 -genkey -noout -out key.pem
      openssl ec -in key.pem -pubout -out public.pem
    """
    password = None if password_file is None else _password(password_file)
    signer = sign_bundle(bundle, key, password=password, certificates=certificates, force=force)
    if as_json:
        click.echo(json.dumps({"signature": str(bundle / SIGNATURE), **asdict(signer)}, indent=2))
        return
    by = "" if signer.subject is None else f" of {signer.subject}"
    echo_line(f"signed {bundle} with the {signer.curve} key{by} whose public key has sha256 {signer.key}")


def _password(path: Path) -> bytes:
    try:
        return read_file(path, _MOST_PASSWORD_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise OptionError(f"--password-file {path}: cannot be read: {error.strerror or error}") from error
