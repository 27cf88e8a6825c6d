"""A signed bundle is accepted as it was signed, from who is trusted, and in no other way."""

from __future__ import annotations

import base64
import datetime
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_storage import FILES, _manifest, write_manifest

from edgevision.bundle.signature import Signer
from edgevision.bundle.signing import sign_bundle, verify_bundle
from edgevision.bundle.storage import bundle_archive, open_bundle, read_bundle, write_bundle
from edgevision.bundle.trust import TRUST_VARIABLE, TrustPolicy
from edgevision.errors import BundleError, MissingRuntimeError, OptionError, OutputError, TrustError

pytest.importorskip("cryptography", reason="needs cryptography; run: pip install 'edgevision[trust]'")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CURVES: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
START = datetime.datetime(2026, 1, 1)


@dataclass(frozen=True)
class Keys:
    """A private key and its public one, as files."""

    private: Path
    public: Path


def _private_pem(key: Any, password: bytes | None = None) -> bytes:
    how: Any = serialization.NoEncryption()
    if password is not None:
        how = serialization.BestAvailableEncryption(password)
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, how)  # type: ignore[no-any-return]


def _write_keys(folder: Path, key: Any, name: str = "key") -> Keys:
    private, public = folder / f"{name}.pem", folder / f"{name}.public.pem"
    private.write_bytes(_private_pem(key))
    public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return Keys(private, public)


@pytest.fixture(params=CURVES)
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys:
    return _write_keys(tmp_path, ec.generate_private_key(CURVES[request.param]()))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model.evb"
    write_bundle(path, _manifest(), FILES)
    return path


def test_a_signed_bundle_is_accepted_and_says_who_signed_it(bundle: Path, keys: Keys) -> None:
    signer = sign_bundle(bundle, keys.private)
    trust = TrustPolicy(keys=[keys.public])
    verified = verify_bundle(bundle, trust)
    assert verified.signer == signer
    assert verified.digest == read_bundle(bundle).digest
    assert open_bundle(bundle, trust).signer == signer
    assert signer.curve == {"256": "P-256", "384": "P-384", "521": "P-521"}[signer.curve[2:]]
    assert read_bundle(bundle).signer is None  # nobody asked


def test_a_zip_is_signed_as_a_folder_is(bundle: Path, keys: Keys, tmp_path: Path) -> None:
    packed = tmp_path / "packed.evb"
    packed.write_bytes(bundle_archive(_manifest(), FILES))
    signer = sign_bundle(packed, keys.private)
    assert verify_bundle(packed, TrustPolicy(keys.public)).signer == signer
    shutil.unpack_archive(packed, tmp_path / "unpacked.evb", "zip")
    assert verify_bundle(tmp_path / "unpacked.evb", TrustPolicy(keys.public)).signer == signer
    sign_bundle(bundle, keys.private)
    again = shutil.make_archive(str(tmp_path / "again"), "zip", bundle)
    assert verify_bundle(again, TrustPolicy(keys.public)).signer == signer


def _manifest_field(name: str, value: Any) -> Callable[[Path], None]:
    def tamper(bundle: Path) -> None:
        document = json.loads((bundle / "manifest.json").read_text())
        place = document
        *parents, last = name.split(".")
        for part in parents:
            place = place[int(part) if part.isdecimal() else part]
        assert last.isdecimal() or place.get(last) != value
        place[last] = value
        write_manifest(bundle, document)  # with the digest that it must have

    return tamper


def _file(name: str, content: bytes, mended: bool) -> Callable[[Path], None]:
    def tamper(bundle: Path) -> None:
        import hashlib

        (bundle / name).write_bytes(content)
        document = json.loads((bundle / "manifest.json").read_text())
        for entry in _entries(document):
            if mended and entry["path"] == name:
                entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        write_manifest(bundle, document)

    return tamper


def _entries(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *(document[name] for name in ("labels", "selftest", "evidence")),
        *(file for artifact in document["artifacts"] for file in artifact["files"]),
    ]


def _add_file(bundle: Path) -> None:
    (bundle / "extra.bin").write_bytes(b"extra")


def _add_listed_file(bundle: Path) -> None:
    import hashlib

    (bundle / "pictures.zip").write_bytes(b"extra")
    digest = hashlib.sha256(b"extra").hexdigest()
    _manifest_field("pictures", {"path": "pictures.zip", "sha256": digest, "size_bytes": 5})(bundle)


def _add_git(bundle: Path) -> None:
    """The specification leaves these out of what is signed."""
    (bundle / ".git").mkdir()
    (bundle / ".git" / "config").write_bytes(b"[core]\nsshCommand = touch marker\n")


def _link(bundle: Path) -> None:
    content = (bundle / "labels.txt").read_bytes()
    (bundle.parent / "labels.txt").write_bytes(content)
    (bundle / "labels.txt").unlink()
    (bundle / "labels.txt").symlink_to(bundle.parent / "labels.txt")


def _swap_labels(bundle: Path) -> None:
    _file("labels.txt", b"dog\ncat\n", mended=True)(bundle)


def _signature(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def tamper(bundle: Path) -> None:
        document = json.loads((bundle / "model.sig").read_text())
        change(document)
        (bundle / "model.sig").write_text(json.dumps(document))

    return tamper


def _payload(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def within(document: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
        change(statement)
        document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()

    return _signature(within)


def _flip(document: dict[str, Any]) -> None:
    one = document["dsseEnvelope"]["signatures"][0]
    content = bytearray(base64.b64decode(one["sig"]))
    content[-1] ^= 1
    one["sig"] = base64.b64encode(content).decode()


def _signed_by_another(bundle: Path) -> None:
    other = _write_keys(bundle.parent, ec.generate_private_key(ec.SECP256R1()), "other")
    sign_bundle(bundle, other.private, force=True)


def _signature_of_another_bundle(bundle: Path) -> None:
    other = bundle.parent / "other.evb"
    write_bundle(other, _manifest_with_other_time(), FILES)
    sign_bundle(other, bundle.parent / "key.pem")
    shutil.copy(other / "model.sig", bundle / "model.sig")


def _manifest_with_other_time() -> Any:
    from dataclasses import replace

    return replace(_manifest(), created="2020-01-01T00:00:00Z")


TAMPERED: dict[str, Callable[[Path], Any]] = {
    "no signature": lambda bundle: (bundle / "model.sig").unlink(),
    "empty signature": lambda bundle: (bundle / "model.sig").write_bytes(b""),
    "artifact changed": _file("artifacts/fake-int8/model.fake", b"Weights", mended=False),
    "artifact changed, digests mended": _file("artifacts/fake-int8/model.fake", b"Weights", mended=True),
    "labels swapped, digests mended": _swap_labels,
    "known answers changed, digests mended": _file("selftest.npz", b"other answers", mended=True),
    "evidence changed, digests mended": _file("evidence.json", b'{"a": 1}', mended=True),
    "evidence missing": lambda bundle: (bundle / "evidence.json").unlink(),
    "mean changed, digest mended": _manifest_field("preprocessing.mean", [1.0, 2.0, 3.0]),
    "scale of a tensor changed, digest mended": _manifest_field(
        "artifacts.0.inputs.0.quantization.scale", 0.5
    ),
    "time changed, digest mended": _manifest_field("created", "2020-01-01T00:00:00Z"),
    "white space of the manifest": lambda bundle: (bundle / "manifest.json").write_text(
        (bundle / "manifest.json").read_text() + "\n"
    ),
    "version of a library, digest mended": _manifest_field("versions", {"edgevision": "9"}),
    "file added": _add_file,
    "file added and listed": _add_listed_file,
    "file added where the specification does not look": _add_git,
    "file replaced by a link to the same content": _link,
    "one bit of the signature": _signature(_flip),
    "another digest in the statement": _payload(
        lambda statement: statement["predicate"]["resources"][0].update(digest="0" * 64)
    ),
    "a file taken out of the statement": _payload(
        lambda statement: statement["predicate"]["resources"].pop()
    ),
    "more padding than there must be": _signature(
        lambda document: document["dsseEnvelope"].update(payload=document["dsseEnvelope"]["payload"] + "====")
    ),
    "a folder added": lambda bundle: (bundle / "more").mkdir(),
    "two signatures": _signature(
        lambda document: document["dsseEnvelope"]["signatures"].append(
            document["dsseEnvelope"]["signatures"][0]
        )
    ),
    "another payload type": _signature(
        lambda document: document["dsseEnvelope"].update(payloadType="text/plain")
    ),
    "another media type": _signature(lambda document: document.update(mediaType="x")),
    "a key given as if it were a certificate": _signature(
        lambda document: document.update(
            verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}
        )
    ),
    "signed by another": _signed_by_another,
    "the signature of another bundle by the same key": _signature_of_another_bundle,
}


def test_digests_by_another_algorithm_are_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgevision.bundle import signature

    statement = signature._statement

    def by_another(name: str, digests: dict[str, str]) -> dict[str, Any]:
        written = statement(name, digests)
        for resource in written["predicate"]["resources"]:
            resource["algorithm"] = "blake2b"
        return written

    monkeypatch.setattr(signature, "_statement", by_another)
    keys = _write_keys(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    sign_bundle(bundle, keys.private)
    with pytest.raises(TrustError, match="its signature is of another form"):
        verify_bundle(bundle, TrustPolicy(keys.public))


@pytest.mark.parametrize("tamper", TAMPERED)
def test_a_bundle_that_was_tampered_with_is_refused(bundle: Path, keys: Keys, tamper: str) -> None:
    sign_bundle(bundle, keys.private)
    trust = TrustPolicy(keys=[keys.public])
    verify_bundle(bundle, trust)
    TAMPERED[tamper](bundle)
    with pytest.raises(TrustError) as caught:
        verify_bundle(bundle, trust)
    assert str(bundle) in str(caught.value)
    # A load reads the artifact that runs, and refuses what of it was changed.
    with pytest.raises(TrustError):
        _read_everything(bundle, trust)


def _read_everything(bundle: Path, trust: TrustPolicy) -> None:
    opened = open_bundle(bundle, trust)
    for entry in opened.manifest.artifacts:
        opened.artifact(entry)
    for file in opened.manifest.files():
        opened.read(file)


def test_damage_without_a_policy_is_damage_of_a_bundle(bundle: Path, keys: Keys) -> None:
    sign_bundle(bundle, keys.private)
    (bundle / "labels.txt").write_bytes(b"x")
    with pytest.raises(BundleError):
        read_bundle(bundle)


def test_signing_refuses_what_it_must(bundle: Path, keys: Keys, tmp_path: Path) -> None:
    sign_bundle(bundle, keys.private)
    with pytest.raises(OutputError, match="is signed already; pass --force"):
        sign_bundle(bundle, keys.private)
    sign_bundle(bundle, keys.private, force=True)
    for content, message in (
        (_private_pem(rsa.generate_private_key(65537, 2048)), "expected a key on P-256, P-384 or P-521"),
        (_private_pem(ec.generate_private_key(ec.SECP256K1())), "expected a key on P-256, P-384 or P-521"),
        (
            _private_pem(ec.generate_private_key(ec.SECP256R1()), b"secret"),
            "pass the password with --password",
        ),
        (keys.public.read_bytes(), "cannot be read as a private key"),
    ):
        (tmp_path / "wrong.pem").write_bytes(content)
        with pytest.raises(OptionError, match=message):
            sign_bundle(bundle, tmp_path / "wrong.pem", force=True)
    with pytest.raises(OptionError, match=r"absent\.pem: cannot be read: No such file"):
        sign_bundle(bundle, tmp_path / "absent.pem", force=True)
    (bundle / "labels.txt").write_bytes(b"x")
    with pytest.raises(BundleError):
        sign_bundle(bundle, keys.private, force=True)


def test_an_encrypted_key_is_used_with_its_password(bundle: Path, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(_private_pem(key, b"secret"))
    signer = sign_bundle(bundle, tmp_path / "key.pem", password=b"secret")
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert verify_bundle(bundle, TrustPolicy(public)).signer == signer
    with pytest.raises(OptionError, match="cannot be read as a private key"):
        sign_bundle(bundle, tmp_path / "key.pem", password=b"wrong", force=True)


def test_replacing_a_signed_bundle_takes_the_signature_with_it(bundle: Path, keys: Keys) -> None:
    sign_bundle(bundle, keys.private)
    write_bundle(bundle, _manifest_with_other_time(), FILES, force=True)
    assert not (bundle / "model.sig").exists()
    with pytest.raises(TrustError, match="is not signed, and a trust policy is set"):
        open_bundle(bundle, TrustPolicy(keys.public))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nobody would be trusted"),
        ({"keys": []}, "nobody would be trusted"),
        ({"keys": b"text"}, "expected PEM with -----BEGIN PUBLIC KEY-----"),
        ({"keys": "/absent.pem"}, "/absent.pem: cannot be read"),
        ({"keys": [5]}, "keys: expected a str or Path, got 5"),
        ({"keys": b"-----BEGIN PUBLIC KEY-----", "subjects": ["CN=a"]}, "there are no roots"),
        ({"roots": b"-----BEGIN CERTIFICATE-----", "subjects": [""]}, "expected names such as"),
    ],
)
def test_a_policy_that_trusts_nobody_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrustPolicy(**given)


def test_the_policy_of_the_machine_is_obeyed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = _write_keys(tmp_path, ec.generate_private_key(ec.SECP384R1()), "trusted")
    other = _write_keys(tmp_path, ec.generate_private_key(ec.SECP384R1()), "other")
    monkeypatch.setenv(TRUST_VARIABLE, str(trusted.public))
    with pytest.raises(TrustError, match="is not signed"):
        open_bundle(bundle)
    sign_bundle(bundle, other.private)
    with pytest.raises(TrustError, match="signed by another"):
        read_bundle(bundle)
    sign_bundle(bundle, trusted.private, force=True)
    assert open_bundle(bundle).signer == verify_bundle(bundle).signer
    # The caller's policy does not lift the machine's.
    with pytest.raises(TrustError, match="signed by another"):
        open_bundle(bundle, TrustPolicy(other.public))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "names no file with a public key"),
        ("/absent.pem", "cannot be read"),
        ("/dev/zero", "is a device"),
        (str(Path(__file__).with_name("test_pictures.py")), "holds no public key"),
    ],
)
def test_a_policy_of_the_machine_that_cannot_be_met_refuses(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv(TRUST_VARIABLE, value)
    with pytest.raises(TrustError, match=message):
        open_bundle(bundle)


def test_without_the_library_a_policy_refuses(
    bundle: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_bundle(bundle, keys.private)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingRuntimeError, match=r"pip install \"edgevision\[trust\]\""):
        open_bundle(bundle, TrustPolicy(keys.public))


def test_no_policy_verifies_nothing(bundle: Path, keys: Keys) -> None:
    sign_bundle(bundle, keys.private)
    with pytest.raises(OptionError, match="nobody is trusted yet"):
        verify_bundle(bundle)


class _Authority:
    """Certificates for tests."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}

    def certificate(
        self,
        name: str,
        issuer: str,
        *extensions: x509.ExtensionType,
        curve: Any = ec.SECP256R1,
        start: datetime.datetime = START,
        days: int = 3650,
    ) -> x509.Certificate:
        """A certificate of `name`, by `issuer`, whose keys are made when they are first used."""
        for each in (name, issuer):
            self.keys.setdefault(each, ec.generate_private_key(curve()))
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(issuer))
            .public_key(self.keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=days))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self.keys[issuer], hashes.SHA256())


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool = False, issues: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, issues, False, False, False)


def _ca(length: int | None = None) -> Sequence[x509.ExtensionType]:
    return (x509.BasicConstraints(True, length), _usage(issues=True))


CODE = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CODE_SIGNING])
SERVER = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])


def _signed_with(
    bundle: Path, authority: _Authority, *chain: x509.Certificate, key: str = "release"
) -> Signer:
    folder = bundle.parent
    (folder / "signing.pem").write_bytes(_private_pem(authority.keys[key]))
    files = []
    for number, certificate in enumerate(chain):
        files.append(folder / f"certificate{number}.pem")
        files[-1].write_bytes(certificate.public_bytes(PEM))
    return sign_bundle(bundle, folder / "signing.pem", certificates=files, force=True)


@pytest.mark.parametrize("curve", CURVES)
def test_a_certificate_that_leads_to_a_root_is_trusted(bundle: Path, curve: str) -> None:
    made = _Authority()
    root = made.certificate("root", "root", *_ca(), curve=CURVES[curve])
    middle = made.certificate("middle", "root", *_ca(0), curve=CURVES[curve])
    leaf = made.certificate("release", "middle", _usage(signs=True), CODE, curve=CURVES[curve], days=1)
    signer = _signed_with(bundle, made, leaf, middle)
    assert signer == Signer(signer.key, curve, "CN=release")
    for policy in (
        TrustPolicy(roots=root.public_bytes(PEM)),
        TrustPolicy(roots=root.public_bytes(PEM), subjects="CN=release"),
        TrustPolicy(
            leaf.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        ),
    ):
        assert verify_bundle(bundle, policy).signer.key == signer.key
    with pytest.raises(TrustError, match="is signed by 'CN=release', and trusted are: CN=other"):
        verify_bundle(bundle, TrustPolicy(roots=root.public_bytes(PEM), subjects=["CN=other"]))


def _chains(made: _Authority) -> dict[str, Sequence[x509.Certificate]]:
    middle = made.certificate("middle", "root", *_ca(0))
    leaf = made.certificate("release", "middle", _usage(signs=True))
    return {
        "no intermediate": (leaf,),
        "another root of the same name": (made.certificate("release", "stranger", _usage(signs=True)),),
        "self-signed": (made.certificate("release", "release", _usage(signs=True)),),
        "not for signing": (made.certificate("release", "middle", _usage(issues=True)), middle),
        "for servers": (made.certificate("release", "middle", _usage(signs=True), SERVER), middle),
        "without a use": (made.certificate("release", "middle"), middle),
        "the intermediate is no authority": (
            leaf,
            made.certificate("middle", "root", x509.BasicConstraints(False, None), _usage(issues=True)),
        ),
        "the intermediate says nothing": (leaf, made.certificate("middle", "root")),
        "the intermediate may not issue": (
            leaf,
            made.certificate("middle", "root", x509.BasicConstraints(True, None), _usage(signs=True)),
        ),
        "one intermediate too many": (
            made.certificate("release", "second", _usage(signs=True)),
            made.certificate("second", "middle", *_ca()),
            middle,
        ),
        "the intermediate was not valid yet": (
            leaf,
            made.certificate("middle", "root", *_ca(0), start=START + datetime.timedelta(days=10)),
        ),
        "an unknown critical extension": (
            made.certificate(
                "release",
                "middle",
                _usage(signs=True),
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"),
            ),
            middle,
        ),
    }


@pytest.mark.parametrize("case", _chains(_Authority()))
def test_a_certificate_that_leads_to_no_root_is_refused(bundle: Path, case: str) -> None:
    made = _Authority()
    root = made.certificate("root", "root", *_ca())
    _signed_with(bundle, made, *_chains(made)[case])
    with pytest.raises(TrustError, match="certificate"):
        verify_bundle(bundle, TrustPolicy(roots=root.public_bytes(PEM)))


def test_a_chain_of_one_key_and_a_signature_of_another_is_refused(bundle: Path, tmp_path: Path) -> None:
    made = _Authority()
    root = made.certificate("root", "root", *_ca())
    leaf = made.certificate("release", "root", _usage(signs=True))
    _signed_with(bundle, made, leaf)
    document = json.loads((bundle / "model.sig").read_text())
    stranger = _write_keys(tmp_path, ec.generate_private_key(ec.SECP256R1()), "stranger")
    sign_bundle(bundle, stranger.private, force=True)
    by_stranger = json.loads((bundle / "model.sig").read_text())
    document["dsseEnvelope"] = by_stranger["dsseEnvelope"]
    (bundle / "model.sig").write_text(json.dumps(document))
    with pytest.raises(TrustError, match="not by the key of its certificate"):
        verify_bundle(bundle, TrustPolicy(roots=root.public_bytes(PEM)))
    with pytest.raises(OptionError, match="is not of this key"):
        _signed_with(bundle, made, leaf, key="root")
