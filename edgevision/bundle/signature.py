"""Signatures in the format of OpenSSF Model Signing 1.0, made and checked without a network.

A signature is a Sigstore bundle: a DSSE envelope round an in-toto statement that lists the digest of every
file, and the hint of a public key or a chain of certificates. https://github.com/ossf/model-signing-spec,
https://github.com/secure-systems-lab/dsse. Keys are EC P-256, P-384 and P-521, as the specification has them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.bundle.layout import SIGNATURE
from edgevision.bundle.trust import TrustPolicy
from edgevision.errors import MissingRuntimeError, OptionError, TrustError
from edgevision.system.strict_json import JsonError, read_json

MOST_SIGNATURE_BYTES = 16 << 20

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
#: What the specification's reference implementation leaves out by default. A bundle has none of these.
_IGNORED = (".git", ".gitattributes", ".github", ".gitignore", SIGNATURE)
_MOST_CERTIFICATES = 16
_DEPTH = 8


@dataclass(frozen=True)
class Signer:
    """Who signed a bundle.

    Attributes:
        key: sha256 of the public key (of its DER form), in hex.
        curve: ``P-256``, ``P-384`` or ``P-521``.
        subject: of the certificate, as RFC 4514 writes it; `None` for a key without one.
    """

    key: str
    curve: str
    subject: str | None = None


def make_signature(
    name: str,
    digests: Mapping[str, str],
    key: bytes,
    password: bytes | None = None,
    certificates: Sequence[bytes] = (),
) -> tuple[bytes, Signer]:
    """The content of ``model.sig``, and who signs with it.

    Args:
        name: the bundle's.
        digests: path in the bundle -> sha256 in hex, of every file but the signature.
        key: the private key, PEM.
        password: of the private key.
        certificates: PEM: the certificate of the key first, then those that lead to a root, without it.

    Raises:
        OptionError: the key or a certificate cannot be read, or they do not belong together.
        MissingRuntimeError: cryptography is not installed.
    """
    library = _Cryptography()
    private = library.private_key(key, password)
    chain = [each for pem in certificates for each in library.certificates(pem)]
    if chain and library.der(chain[0].public_key()) != library.der(private.public_key()):
        raise OptionError("--certificate: is not of this key; pass the certificate of the key first")
    payload = json.dumps(_statement(name, digests)).encode()
    pem = library.pem(private.public_key())
    material: dict[str, Any] = {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []}
    if chain:
        listed = [{"rawBytes": _base64(library.certificate_der(each))} for each in chain]
        material = {"x509CertificateChain": {"certificates": listed}, "tlogEntries": []}
    document = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(library.signed(private, _encoded(payload))), "keyid": ""}],
        },
    }
    return json.dumps(document, indent=1).encode() + b"\n", library.signer(private.public_key(), chain)


def check_signature(content: bytes, digests: Mapping[str, str], policy: TrustPolicy, where: str) -> Signer:
    """Who signed a bundle, after the check that it is trusted and signed exactly these files.

    Args:
        content: of ``model.sig``.
        digests: path in the bundle -> sha256 in hex, of every file but the signature.
        policy: who is trusted.
        where: the bundle, for errors.

    Raises:
        TrustError: the signature is damaged, by another, or of other files.
        MissingRuntimeError: cryptography is not installed.
    """
    library = _Cryptography()
    try:
        document = read_json(content)
        envelope, material = document["dsseEnvelope"], document["verificationMaterial"]
        (signature,) = envelope["signatures"]
        payload, value = _bytes(envelope["payload"]), _bytes(signature["sig"])
        stated = (document["mediaType"], envelope["payloadType"])
        chain = [library.loaded(_bytes(one["rawBytes"])) for one in _listed(material)]
    except Exception as error:  # one interface for whatever such a document leads to
        raise _refusal(where, f"its signature cannot be read: {error}") from error
    if stated != (_MEDIA_TYPE, _PAYLOAD_TYPE):
        raise _refusal(where, f"its signature is of another kind: {stated!r:.200}")
    signer = _trusted(library, policy, chain, value, _encoded(payload), where)
    _check_files(_signed_digests(payload, where), digests, where)
    return signer


def _listed(material: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if "x509CertificateChain" in material:
        listed: Sequence[Mapping[str, Any]] = material["x509CertificateChain"]["certificates"]
        if not 0 < len(listed) <= _MOST_CERTIFICATES:
            raise ValueError(f"{len(listed)} certificates, expected 1 to {_MOST_CERTIFICATES}")
        return listed
    return [material["certificate"]] if "certificate" in material else []


def _trusted(
    library: _Cryptography,
    policy: TrustPolicy,
    chain: Sequence[Any],
    signature: bytes,
    message: bytes,
    where: str,
) -> Signer:
    """The one of those who are trusted that made a signature.

    Raises:
        TrustError: there is none.
    """
    for key in library.public_keys(policy.keys):
        if library.verifies(key, signature, message):
            return library.signer(key, ())
    if not policy.roots:
        raise _refusal(
            where, "is signed by another than those who are trusted, or was changed after it was signed"
        )
    if not chain:
        raise _refusal(where, "is signed by a key without a certificate, and certificates alone are trusted")
    library.check_chain(chain, policy.roots, where)
    signer = library.signer(chain[0].public_key(), chain)
    if policy.subjects and signer.subject not in policy.subjects:
        raise _refusal(
            where, f"is signed by '{signer.subject}', and trusted are: {'; '.join(policy.subjects)}"
        )
    if not library.verifies(chain[0].public_key(), signature, message):
        raise _refusal(where, "its signature is not by the key of its certificate, or was changed")
    return signer


def _signed_digests(payload: bytes, where: str) -> dict[str, str]:
    """Path -> sha256 of the files that a statement is about; it was signed by someone who is trusted."""
    try:
        statement = read_json(payload)
        predicate, (subject,) = statement["predicate"], statement["subject"]
        kind = (statement["_type"], statement["predicateType"], predicate["serialization"]["method"])
        algorithms = {str(each["algorithm"]) for each in predicate["resources"]}
        digests = {str(each["name"]): str(each["digest"]) for each in predicate["resources"]}
        root = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in predicate["resources"]))
        same_root = subject["digest"]["sha256"] == root.hexdigest()
        twice = len(digests) < len(predicate["resources"])
    except (JsonError, ValueError, KeyError, TypeError) as error:
        raise _refusal(where, f"its signed statement cannot be read: {error}") from error
    if kind != (_STATEMENT_TYPE, _PREDICATE_TYPE, "files") or not algorithms <= {"sha256"}:
        raise _refusal(
            where, f"its signature is of another form: {(*kind, *algorithms)!r:.200}; sign it again"
        )
    if twice or not same_root:
        raise _refusal(where, "its signed statement contradicts itself")
    return digests


def _check_files(signed: Mapping[str, str], found: Mapping[str, str], where: str) -> None:
    for name in sorted({*signed, *found}):
        if name not in found:
            raise _refusal(where, f"'{name}' was signed, and is missing")
        if name not in signed:
            raise _refusal(where, f"'{name}' was not signed")
        if signed[name] != found[name]:
            raise _refusal(where, f"'{name}' was changed after it was signed")


def _statement(name: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """In the order of the specification: by code points."""
    ordered = sorted(digests.items())
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in ordered))
    return {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root.hexdigest()}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(_IGNORED),
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest} for path, digest in ordered
            ],
        },
    }


def _encoded(payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding of the payload."""
    return f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    content = base64.b64decode(text, validate=True)
    if _base64(content) != text:  # Python reads more padding than there must be
        raise ValueError("Only base64 data is allowed")
    return content


def _refusal(where: str, reason: str) -> TrustError:
    return TrustError(f"{where}: {reason}; get the bundle again from who signed it")


class _Cryptography:
    """The parts of that library, which is imported where a signature is made or checked."""

    def __init__(self) -> None:
        try:
            from cryptography import exceptions, x509
            from cryptography.hazmat.primitives import hashes, serialization
            from cryptography.hazmat.primitives.asymmetric import ec
            from cryptography.x509 import verification
        except ImportError as error:
            raise MissingRuntimeError(
                "trust", f"signatures need cryptography 45 or newer: {error}"
            ) from error
        self._invalid = exceptions.InvalidSignature
        self._x509, self._verification, self._serialization, self._ec = x509, verification, serialization, ec
        self._curves = {
            "secp256r1": ("P-256", hashes.SHA256()),
            "secp384r1": ("P-384", hashes.SHA384()),
            "secp521r1": ("P-521", hashes.SHA512()),
        }

    def private_key(self, pem: bytes, password: bytes | None) -> Any:
        """A private key of a curve that is known."""
        try:
            key = self._serialization.load_pem_private_key(pem, password)
        except TypeError as error:  # encrypted, and no password; or the other way round
            raise OptionError(f"--key: {error}; pass the password with --password-file") from error
        except Exception as error:
            raise OptionError(f"--key: cannot be read as a private key in PEM: {error}") from error
        if not isinstance(key, self._ec.EllipticCurvePrivateKey) or key.curve.name not in self._curves:
            raise OptionError(f"--key: {_EXPECTED}")
        return key

    def public_keys(self, pems: Sequence[bytes]) -> list[Any]:
        """The public keys in PEM texts, each of a curve that is known."""
        keys = []
        for pem in pems:
            for part in _parts(pem):
                try:
                    key = self._serialization.load_pem_public_key(part)
                except Exception as error:
                    raise OptionError(f"trust: a public key cannot be read: {error}") from error
                if not self.is_known(key):
                    raise OptionError(f"trust: {_EXPECTED}")
                keys.append(key)
        return keys

    def is_known(self, key: Any) -> bool:
        """True for a public key of a curve that is known."""
        return isinstance(key, self._ec.EllipticCurvePublicKey) and key.curve.name in self._curves

    def certificates(self, pem: bytes) -> list[Any]:
        """The certificates in a PEM text."""
        try:
            return list(self._x509.load_pem_x509_certificates(pem))
        except Exception as error:
            raise OptionError(f"a certificate cannot be read: {error}") from error

    def loaded(self, der: bytes) -> Any:
        """One certificate."""
        return self._x509.load_der_x509_certificate(der)

    def certificate_der(self, certificate: Any) -> bytes:
        """A certificate as DER."""
        return bytes(certificate.public_bytes(self._serialization.Encoding.DER))

    def der(self, key: Any) -> bytes:
        """A public key as DER."""
        forms = self._serialization
        return bytes(key.public_bytes(forms.Encoding.DER, forms.PublicFormat.SubjectPublicKeyInfo))

    def pem(self, key: Any) -> bytes:
        """A public key as PEM."""
        forms = self._serialization
        return bytes(key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo))

    def signer(self, key: Any, chain: Sequence[Any]) -> Signer:
        """Who has this key."""
        subject = chain[0].subject.rfc4514_string() if chain else None
        return Signer(hashlib.sha256(self.der(key)).hexdigest(), self._curves[key.curve.name][0], subject)

    def signed(self, key: Any, message: bytes) -> bytes:
        """The signature of a message."""
        return bytes(key.sign(message, self._ec.ECDSA(self._curves[key.curve.name][1])))

    def verifies(self, key: Any, signature: bytes, message: bytes) -> bool:
        """True if the signature of a message is by this key."""
        try:
            key.verify(signature, message, self._ec.ECDSA(self._curves[key.curve.name][1]))
        except self._invalid:
            return False
        return True

    def check_chain(self, chain: Sequence[Any], roots: Sequence[bytes], where: str) -> None:
        """Check that the first certificate may sign, and leads to a root.

        Raises:
            TrustError: it does not.
        """
        x509, verification = self._x509, self._verification
        anywhere = verification.Criticality.AGNOSTIC
        authority = (
            verification.ExtensionPolicy.permit_all()
            .require_present(x509.BasicConstraints, anywhere, _check_authority)
            .may_be_present(x509.KeyUsage, anywhere, _check_issues)
        )
        signing = (
            verification.ExtensionPolicy.permit_all()
            .may_be_present(x509.KeyUsage, anywhere, _check_signs)
            .may_be_present(x509.ExtendedKeyUsage, anywhere, self._check_purpose)
        )
        anchors = [each for pem in roots for each in self.certificates(pem)]
        try:
            leaf, *others = chain
            verifier = (
                verification.PolicyBuilder()
                .store(verification.Store(anchors))
                .time(leaf.not_valid_before_utc.replace(tzinfo=None))
                .max_chain_depth(_DEPTH)
                .extension_policies(ca_policy=authority, ee_policy=signing)
                .build_client_verifier()
            )
            path = verifier.verify(leaf, others).chain
            self._check_lengths(path)
            known = self.is_known(leaf.public_key()) and self._says_its_use(leaf)
        except Exception as error:
            raise _refusal(where, f"its certificate leads to no trusted root: {error}") from error
        if not known:
            raise _refusal(where, "its certificate is not one for signing, of a key on P-256, P-384 or P-521")

    def _check_lengths(self, path: Sequence[Any]) -> None:
        """Each authority says how many others may stand between it and the first certificate."""
        for between, certificate in enumerate(path[1:]):
            limits = certificate.extensions.get_extension_for_class(self._x509.BasicConstraints).value
            if limits.path_length is not None and between > limits.path_length:
                raise ValueError("an authority stands higher than its certificate allows")

    def _says_its_use(self, leaf: Any) -> bool:
        names = (self._x509.KeyUsage, self._x509.ExtendedKeyUsage)
        return any(isinstance(extension.value, names) for extension in leaf.extensions)

    def _check_purpose(self, policy: Any, certificate: Any, usage: Any) -> None:
        code_signing = self._x509.oid.ExtendedKeyUsageOID.CODE_SIGNING
        if usage is not None and code_signing not in usage:
            raise ValueError("the certificate is for another purpose than signing code")


_EXPECTED = "expected a key on P-256, P-384 or P-521; run: openssl ecparam -name prime256v1 -genkey -noout"


def _parts(pem: bytes) -> list[bytes]:
    """The public keys of a PEM text, each on its own."""
    end = b"-----END PUBLIC KEY-----"
    return [
        part[part.index(b"-----BEGIN") :] + end + b"\n" for part in pem.split(end) if b"-----BEGIN" in part
    ]


def _check_authority(policy: Any, certificate: Any, constraints: Any) -> None:
    if not constraints.ca:
        raise ValueError("a certificate in the chain is not of an authority")


def _check_issues(policy: Any, certificate: Any, usage: Any) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's certificate may not sign certificates")


def _check_signs(policy: Any, certificate: Any, usage: Any) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("the certificate may not sign")
