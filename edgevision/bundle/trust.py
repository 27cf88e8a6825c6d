"""Who may have signed a bundle: the policy of a caller, and that of the machine in ``EDGEVISION_TRUST``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edgevision.bundle.layout import TRUST_VARIABLE
from edgevision.errors import BundleError, OptionError, TrustError
from edgevision.system.arguments import one_path, sequence
from edgevision.system.reading import read_file
from edgevision.system.shown import shown

_KEY, _CERTIFICATE = b"-----BEGIN PUBLIC KEY-----", b"-----BEGIN CERTIFICATE-----"
_MOST_BYTES = 1_000_000

#: PEM, or the path of a file with it.
Pem = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class TrustPolicy:
    """Whose signature a bundle must have.

    One of the keys must have signed it, or a certificate that leads to one of the roots. A certificate must
    have been valid when the signing certificate's validity began, since a device without a network has no
    time to trust; a key that is no longer trusted is taken out of the policy.

    Args:
        keys: public keys, EC P-256, P-384 or P-521: paths of PEM files, or PEM as bytes. A file may hold
            several.
        roots: certificates of authorities, as PEM too.
        subjects: if there are any, a certificate's subject must be one of them, as RFC 4514 writes it, such
            as ``CN=Release,O=Example``.

    Raises:
        OptionError: there is neither a key nor a root, or a file cannot be read or holds none.
    """

    keys: tuple[bytes, ...] = ()
    roots: tuple[bytes, ...] = ()
    subjects: tuple[str, ...] = ()

    def __init__(
        self,
        keys: Pem | Sequence[Pem] = (),
        roots: Pem | Sequence[Pem] = (),
        subjects: str | Sequence[str] = (),
    ) -> None:
        object.__setattr__(self, "keys", _pem(keys, "keys", _KEY))
        object.__setattr__(self, "roots", _pem(roots, "roots", _CERTIFICATE))
        names = (subjects,) if isinstance(subjects, str) else sequence(subjects, "subjects", "names")
        if not all(isinstance(name, str) and name for name in names):
            raise OptionError(
                f"subjects: expected names such as 'CN=Release,O=Example', got {shown(subjects)}"
            )
        object.__setattr__(self, "subjects", tuple(map(str, names)))
        if not self.keys and not self.roots:
            raise OptionError(
                "trust: expected a key or a root certificate, got neither: nobody would be trusted"
            )
        if self.subjects and not self.roots:
            raise OptionError("trust: subjects are those of certificates, and there are no roots")


def policies(trust: TrustPolicy | None) -> tuple[TrustPolicy, ...]:
    """The policies that a bundle must meet: the caller's, and the machine's.

    Raises:
        TrustError: ``EDGEVISION_TRUST`` is set, and names no file with a key or certificate. A policy that
            cannot be met refuses everything.
    """
    if trust is not None and not isinstance(trust, TrustPolicy):
        raise OptionError(f"trust: expected a TrustPolicy, got {shown(trust)}")
    own = () if trust is None else (trust,)
    text = os.environ.get(TRUST_VARIABLE)
    return own if text is None else (*own, _of_environment(text))


def refuse_bare_file(path: object, trust: TrustPolicy | None = None) -> None:
    """Refuse a file without a bundle where a policy is set: nobody has signed it.

    Raises:
        TrustError: there is a policy.
    """
    if policies(trust):
        raise TrustError(
            f"{path}: is a bare file, which nobody has signed, and a trust policy is set; {_STEP}"
        )


_STEP = "sign a bundle: edgevision sign BUNDLE --key KEY.pem"


def unsigned(path: object) -> TrustError:
    """The error for a bundle without a signature."""
    return TrustError(f"{path}: is not signed, and a trust policy is set; {_STEP}")


@contextmanager
def refusing(applies: bool) -> Iterator[None]:
    """Make an error of trust of any damage, where a policy must be met."""
    try:
        yield
    except TrustError:
        raise
    except BundleError as error:
        if not applies:
            raise
        raise TrustError(str(error)) from error


def _of_environment(text: str) -> TrustPolicy:
    keys: list[bytes] = []
    roots: list[bytes] = []
    for name in filter(None, text.split(os.pathsep)):
        try:
            content = read_file(name, _MOST_BYTES)
        except OSError as error:
            raise TrustError(
                f"{TRUST_VARIABLE}: {name}: cannot be read: {error.strerror or error}"
            ) from error
        if _KEY not in content and _CERTIFICATE not in content:
            raise TrustError(f"{TRUST_VARIABLE}: {name}: holds no public key and no certificate in PEM")
        keys += [content] if _KEY in content else []
        roots += [content] if _CERTIFICATE in content else []
    if not keys and not roots:
        raise TrustError(
            f"{TRUST_VARIABLE} is set, and names no file with a public key or certificate; unset it to trust "
            "everyone"
        )
    return TrustPolicy(keys, roots)


def _pem(given: Pem | Sequence[Pem], name: str, begin: bytes) -> tuple[bytes, ...]:
    several = [given] if isinstance(given, (str, bytes, os.PathLike)) else sequence(given, name, "PEM files")
    contents = []
    for each in several:
        if isinstance(each, bytes):
            content, where = bytes(each), name
        else:
            path = one_path(each, name)
            where = f"{name}: {path}"
            try:
                content = read_file(path, _MOST_BYTES)
            except OSError as error:
                raise OptionError(f"{where}: cannot be read: {error.strerror or error}") from error
        if begin not in content:
            raise OptionError(f"{where}: expected PEM with {begin.decode()}, found none")
        contents.append(content)
    return tuple(contents)
