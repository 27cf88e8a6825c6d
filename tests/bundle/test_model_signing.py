"""Signatures are those of OpenSSF Model Signing 1.0: by its test vectors, and by the program of its authors.

``EDGEVISION_CONFORMANCE_PYTHON`` names a Python in which ``pip install ".[conformance]"`` was run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from test_signature import CURVES, PEM, Keys, _Authority, _ca, _private_pem, _signed_with, _usage, _write_keys
from test_storage import FILES, _manifest

from edgevision.bundle.signature import check_signature
from edgevision.bundle.signing import sign_bundle, verify_bundle
from edgevision.bundle.storage import write_bundle
from edgevision.bundle.trust import TrustPolicy
from edgevision.errors import TrustError

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.asymmetric import ec

VECTORS = Path(__file__).parents[1] / "data" / "model_signing"
SIGNED = {
    "signme-1": "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc",
    "signme-2": "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028",
}
BY_KEY, BY_ROOT = TrustPolicy(keys=VECTORS / "public.pem"), TrustPolicy(roots=VECTORS / "root.pem")


@pytest.mark.parametrize(
    ("name", "policy"), [("key", BY_KEY), ("certificate", BY_KEY), ("certificate", BY_ROOT)]
)
def test_a_valid_vector_is_accepted_for_its_files_alone(name: str, policy: TrustPolicy) -> None:
    content = (VECTORS / f"{name}.json").read_bytes()
    assert check_signature(content, SIGNED, policy, "model").curve == "P-384"
    for files in (
        {},
        {"signme-1": SIGNED["signme-1"]},
        {**SIGNED, "more": "0" * 64},
        {**SIGNED, "signme-2": "0" * 64},
    ):
        with pytest.raises(TrustError):
            check_signature(content, files, policy, "model")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "wrong-predicate",
            "empty",
            "missing-envelope",
            "missing-tlog-entries",
            "missing-verification-material",
        ),
    ],
)
@pytest.mark.parametrize("policy", [BY_KEY, BY_ROOT])
def test_an_invalid_vector_is_refused(name: str, policy: TrustPolicy) -> None:
    with pytest.raises(TrustError):
        check_signature((VECTORS / f"{name}.json").read_bytes(), SIGNED, policy, "model")


VARIABLE = "EDGEVISION_CONFORMANCE_PYTHON"


def _reference(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    python = os.environ.get(VARIABLE, "")
    if not python or subprocess.run([python, "-c", "import model_signing"], capture_output=True).returncode:
        pytest.skip(f"needs model-signing in the Python that {VARIABLE} names")
    return subprocess.run(
        [python, "-m", "model_signing", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model.evb"
    write_bundle(path, _manifest(), FILES)
    return path


def _verified(bundle: Path, *how: str | Path) -> bool:
    done = _reference("verify", *how, "--signature", bundle / "model.sig", bundle)
    return done.returncode == 0


@pytest.mark.parametrize("curve", CURVES)
def test_the_reference_accepts_our_signature_and_we_accept_its_own(
    bundle: Path, tmp_path: Path, curve: str
) -> None:
    keys: Keys = _write_keys(tmp_path, ec.generate_private_key(CURVES[curve]()))
    sign_bundle(bundle, keys.private)
    assert _verified(bundle, "key", "--public_key", keys.public)
    (bundle / "labels.txt").write_bytes(b"dog\ncat\n")
    assert not _verified(bundle, "key", "--public_key", keys.public)
    (bundle / "labels.txt").write_bytes(FILES["labels.txt"])
    (bundle / "model.sig").unlink()
    done = _reference(
        "sign", "key", "--private_key", keys.private, "--signature", bundle / "model.sig", bundle
    )
    assert done.returncode == 0, done.stderr
    assert verify_bundle(bundle, TrustPolicy(keys.public)).signer.curve == curve


@pytest.mark.parametrize("curve", CURVES)
def test_certificates_are_accepted_both_ways(bundle: Path, tmp_path: Path, curve: str) -> None:
    made = _Authority()
    root = made.certificate("root", "root", *_ca(), curve=CURVES[curve])
    middle = made.certificate("middle", "root", *_ca(0), curve=CURVES[curve])
    leaf = made.certificate("release", "middle", _usage(signs=True), curve=CURVES[curve])
    files: dict[str, Path] = {}
    for name, certificate in (("root", root), ("middle", middle), ("release", leaf)):
        files[name] = tmp_path / f"{name}.crt"
        files[name].write_bytes(certificate.public_bytes(PEM))
    _signed_with(bundle, made, leaf, middle)
    assert _verified(bundle, "certificate", "--certificate_chain", files["root"])
    (bundle / "model.sig").unlink()
    (tmp_path / "release.pem").write_bytes(_private_pem(made.keys["release"]))
    how: Sequence[str | Path] = (
        *("--private_key", tmp_path / "release.pem"),
        *("--signing_certificate", files["release"], "--certificate_chain", files["middle"]),
        *("--signature", bundle / "model.sig"),
    )
    done = _reference("sign", "certificate", *how, bundle)
    assert done.returncode == 0, done.stderr
    assert verify_bundle(bundle, TrustPolicy(roots=files["root"])).signer.subject == "CN=release"
