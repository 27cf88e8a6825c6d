"""Where a policy says so, a model runs only if someone who is trusted signed it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgevision
from edgevision.errors import TrustError
from tiny_bundles import DATA, classifier_artifact, write_artifacts

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle, an unsigned one, one whose artifact was changed, and the keys of two people."""
    folder = tmp_path_factory.mktemp("trust")
    for name in ("release", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        private, public = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
        (folder / f"{name}.pem").write_bytes(key.private_bytes(PEM, private, serialization.NoEncryption()))
        (folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(PEM, public))
    for name in ("signed", "unsigned", "changed"):
        write_artifacts(folder / f"{name}.evb", {"tflite-float32": classifier_artifact()})
        if name != "unsigned":
            edgevision.sign_bundle(folder / f"{name}.evb", folder / "release.pem")
    (artifact,) = (folder / "changed.evb" / "artifacts" / "tflite-float32").iterdir()
    content = bytearray(artifact.read_bytes())
    content[-1] ^= 1
    artifact.write_bytes(content)
    return folder


def test_load_obeys_a_policy(folder: Path) -> None:
    trust = edgevision.TrustPolicy(keys=folder / "release.pub")
    with edgevision.load(folder / "signed.evb", trust=trust) as model:
        assert model(np.zeros((8, 8, 3), np.uint8)).top(1)
        assert model.bundle_digest == edgevision.read_bundle(folder / "signed.evb").digest
    for name, message in (
        ("unsigned.evb", "is not signed"),
        ("changed.evb", "is not the file that the manifest was written for"),
    ):
        with pytest.raises(TrustError, match=message):
            edgevision.load(folder / name, trust=trust)
    with pytest.raises(TrustError, match="signed by another"):
        edgevision.load(folder / "signed.evb", trust=edgevision.TrustPolicy(keys=folder / "other.pub"))
    with pytest.raises(TrustError, match="is a bare file, which nobody has signed"):
        edgevision.load(DATA / "tiny.tflite", trust=trust)


def test_the_policy_of_the_machine_holds_for_every_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEVISION_TRUST", str(folder / "release.pub"))
    edgevision.load_classifier(folder / "signed.evb").close()
    for path in (folder / "unsigned.evb", DATA / "tiny.tflite"):
        with pytest.raises(TrustError):
            edgevision.load(path)


def _run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-m", "edgevision", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_the_commands_say_who_signed_and_refuse_with_their_exit_code(folder: Path) -> None:
    done = _run(folder, "verify", "signed.evb", "--key", "release.pub", "--json")
    assert done.returncode == 0, done.stderr
    verified = json.loads(done.stdout)
    assert verified["digest"] == edgevision.read_bundle(folder / "signed.evb").digest
    for arguments, code in (
        (("verify", "signed.evb"), 2),
        (("verify", "signed.evb", "--key", "other.pub"), 14),
        (("verify", "unsigned.evb", "--key", "release.pub"), 14),
        (("verify", "changed.evb", "--key", "release.pub"), 14),
        (("sign", "signed.evb", "--key", "release.pem"), 12),
        (("sign", "changed.evb", "--key", "release.pem", "--force"), 5),
        (("sign", "unsigned.evb", "--key", "release.pub"), 2),
    ):
        done = _run(folder, *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert len(done.stderr.splitlines()) == 1
    assert _run(folder, "selftest", "unsigned.evb", EDGEVISION_TRUST="release.pub").returncode == 14
    assert _run(folder, "selftest", "signed.evb", EDGEVISION_TRUST="release.pub").returncode == 0
