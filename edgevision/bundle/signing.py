"""Signing a bundle, and checking all of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.bundle.files import files_of
from edgevision.bundle.layout import MANIFEST, SIGNATURE, TRUST_VARIABLE
from edgevision.bundle.signature import Signer, make_signature
from edgevision.bundle.storage import archive_of, open_bundle
from edgevision.bundle.trust import TrustPolicy, policies
from edgevision.errors import OptionError, OutputError
from edgevision.system.arguments import flag, one_path, paths
from edgevision.system.files import OutputState, write_file
from edgevision.system.reading import read_file

_MOST_KEY_BYTES = 1_000_000


@dataclass(frozen=True)
class Verification:
    """The result of checking a bundle: every file, and who signed it.

    Attributes:
        digest: of the whole bundle.
        files: number of files.
        signer: who is trusted and signed it.
    """

    digest: str
    files: int
    signer: Signer


def sign_bundle(
    bundle: str | Path,
    key: str | Path,
    *,
    password: bytes | None = None,
    certificates: Sequence[str | Path] = (),
    force: bool = False,
) -> Signer:
    """Sign a bundle: every file of it, and so its evidence, labels and known answers too.

    The signature is the file ``model.sig`` in the bundle, in the format of OpenSSF Model Signing 1.0. No
    network is used.

    Args:
        bundle: the bundle, a folder or zip file. All of it is checked first.
        key: the private key, PEM, EC on P-256, P-384 or P-521.
        password: of the private key.
        certificates: PEM files: the certificate of the key first, then those between it and a root.
        force: replace the signature that it has.

    Raises:
        BundleError: the bundle is damaged.
        OptionError: the key or a certificate cannot be read, or they do not belong together.
        MissingRuntimeError: cryptography is not installed; the extra is ``trust``.
        OutputError: it is signed already, or cannot be written to.
    """
    path, force = one_path(bundle, "bundle"), flag(force, "force")
    zipped = path.is_file()
    before = OutputState.of(path if zipped else path / SIGNATURE)
    opened = open_bundle(path, check_trust=False)
    opened.verify()
    if SIGNATURE in files_of(path).sizes() and not force:
        raise OutputError(f"{path}: is signed already; pass --force to replace the signature")
    name = path.resolve().name
    chain = [_pem(each, "--certificate") for each in paths(certificates, "certificates")]
    pem = _pem(one_path(key, "key"), "--key")
    content, signer = make_signature(name, opened.digests(), pem, password, chain)
    if zipped:
        contents = {entry.path: opened.read(entry) for entry in opened.manifest.files()}
        whole = {MANIFEST: opened.manifest_content, **contents, SIGNATURE: content}
        write_file(path, archive_of(whole), before)
    else:
        write_file(path / SIGNATURE, content, before)
    return signer


def verify_bundle(bundle: str | Path, trust: TrustPolicy | None = None) -> Verification:
    """Check every file of a bundle, and that someone who is trusted signed it.

    Args:
        bundle: the bundle, a folder or zip file.
        trust: who is trusted, beside the policy in ``EDGEVISION_TRUST``.

    Raises:
        OptionError: there is no policy: a digest alone says nothing of who made the bundle.
        TrustError: it is not signed, by another, or was changed since.
        MissingRuntimeError: cryptography is not installed; the extra is ``trust``.
    """
    path = one_path(bundle, "bundle")
    if not policies(trust):
        raise OptionError(
            f"{path}: nobody is trusted yet, so a signature would say nothing; pass --key PUBLIC.pem or "
            f"--root CA.pem, or set {TRUST_VARIABLE}"
        )
    opened = open_bundle(path, trust)
    opened.verify()
    if opened.signer is None:  # cannot be: there is a policy, and it was met
        raise AssertionError
    return Verification(opened.digest, len(opened.manifest.files()), opened.signer)


def _pem(path: Path, option: str) -> bytes:
    try:
        return read_file(path, _MOST_KEY_BYTES)
    except OSError as error:
        raise OptionError(f"{option} {path}: cannot be read: {error.strerror or error}") from error
