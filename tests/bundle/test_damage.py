"""Whatever is done to a bundle, it is opened as it was written, or refused with a `BundleError`.

Random damage is tried by the fuzz harness, `tests/fuzz`.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from test_storage import FILES, _manifest, write_manifest

from edgevision.bundle.manifest import read_manifest, to_json
from edgevision.bundle.storage import read_bundle, write_bundle
from edgevision.errors import BundleError
from fuzz.archives import HOSTILE
from fuzz.manifests import TEXTS, VALUES, places, replaced


def _tried(text: str | bytes) -> str:
    """What becomes of the text of a manifest."""
    try:
        manifest, _ = read_manifest(text, "manifest.json")
    except BundleError as error:
        str(error).encode()
        return "refused"
    to_json(manifest).encode()  # what was read can be written again
    return "read"


DOCUMENT = json.loads(to_json(_manifest()))


@pytest.mark.parametrize("version", [1, 2])
def test_any_value_in_any_field_of_a_manifest_is_read_or_refused(version: int) -> None:
    from edgevision.bundle.manifest import digest_of

    original = {**DOCUMENT, "schema_version": version}
    seen = {"read": 0, "refused": 0}
    for path in places(original):
        for value in VALUES:
            document = replaced(original, path, value)
            if version == 1:
                document.pop("digest", None)
            elif path != ("digest",):
                document["digest"] = digest_of(document)
            seen[_tried(json.dumps(document))] += 1
        missing = replaced(original, path, "MARK")
        for text in TEXTS:
            assert _tried(json.dumps(missing).replace('"MARK"', text)) == "refused", (path, text)
    assert seen["refused"] > 5 * seen["read"] > 0


def _opened(path: Path) -> str:
    started = time.monotonic()
    try:
        bundle = read_bundle(path)
    except BundleError:
        assert time.monotonic() - started < 10
        return "refused"
    assert bundle.manifest == _manifest()
    assert bundle.labels == ("cat", "dog")
    return "read"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_bundle_is_refused_at_once(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.evb"
    HOSTILE[case](path, {"manifest.json": to_json(_manifest()).encode(), **FILES})
    assert _opened(path) == "refused"


def test_a_manifest_with_a_field_that_nobody_knows_is_refused() -> None:
    for path in places(DOCUMENT):
        place = DOCUMENT
        for name in path:
            place = place[name]
        if isinstance(place, dict) and path[:1] not in (("versions",),):
            with pytest.raises(BundleError):
                read_manifest(json.dumps(replaced(DOCUMENT, (*path, "unknown"), 1)), "manifest.json")


def test_a_damaged_known_answer_is_a_bundle_error(tmp_path: Path) -> None:
    import io

    import numpy as np

    from edgevision.bundle.known_answers import read_known_answers
    from edgevision.imaging.preprocess import Preprocessing

    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, images=np.zeros((2, 4, 4, 3), np.uint8), **{"a/scores": np.zeros((2, 3), np.float32)}
    )
    good, choose, how = buffer.getvalue(), random.Random(2), Preprocessing((4, 4), (0.0, 1.0))  # noqa: S311
    assert read_known_answers(good, how, "selftest.npz").outputs["a"]["scores"].shape == (2, 3)
    for _ in range(400):
        damaged = bytearray(good)
        for _ in range(choose.choice((1, 3, 20))):
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        try:
            read_known_answers(bytes(damaged), how, "selftest.npz")
        except BundleError:
            continue


def test_replacing_a_bundle_removes_what_its_manifest_lists_and_nothing_else(tmp_path: Path) -> None:
    from edgevision.errors import OutputError

    path = tmp_path / "model.evb"
    write_bundle(path, _manifest(), FILES)
    (path / "artifacts" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        OutputError, match=r"no part of the bundle \(artifacts/thesis.txt\), so it is not replaced"
    ):
        write_bundle(path, _manifest(), FILES, force=True)
    (path / "artifacts" / "thesis.txt").unlink()
    document = json.loads((path / "manifest.json").read_text())
    document["labels"]["path"] = "../precious.txt"
    (tmp_path / "precious.txt").write_text("years of work")
    write_manifest(path, document)
    with pytest.raises(OutputError, match="its manifest cannot be read"):
        write_bundle(path, _manifest(), FILES, force=True)
    assert (tmp_path / "precious.txt").exists()
