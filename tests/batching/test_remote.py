"""Images of object storage: S3 as `moto` serves it on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edgevision
from batching.image_folders import BROKEN, write_images
from batching.test_batch import rows_of
from edgevision import BatchSettings
from edgevision.errors import InputError, OptionError
from evaluation.tiny_bundle import write_tiny_bundle

pytest.importorskip("s3fs", reason="needs the extra `remote`")
moto = pytest.importorskip("moto.server", reason="needs moto, of the extra `dev`")
COUNT = 12
JSONL = BatchSettings(format="jsonl")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.evb")


@pytest.fixture(scope="module")
def store(images: Path) -> Iterator[Any]:
    """The images in the bucket `fleet`, below ``day 1/``."""
    import s3fs

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        files = s3fs.S3FileSystem()
        files.mkdir("fleet")
        for path in sorted(images.rglob("*.png")):
            files.pipe_file(f"fleet/day 1/{path.relative_to(images).as_posix()}", path.read_bytes())
        files.pipe_file("fleet/day 1/notes.txt", b"not an image")
        yield files
    server.stop()


def test_a_bucket_gives_what_its_folder_gives(store: Any, bundle: Path, images: Path, tmp_path: Path) -> None:
    edgevision.batch(bundle, images, tmp_path / "folder", settings=JSONL)
    run = edgevision.batch(bundle, "s3://fleet/day 1", tmp_path / "out", settings=JSONL)
    expected, found = rows_of(tmp_path / "folder"), rows_of(tmp_path / "out")
    assert (run.ok, run.failed) == (COUNT, 1)
    assert [path.name for path, _ in run.left_out] == ["notes.txt"]
    assert [(row.sha256, row.result) for row in found] == [(row.sha256, row.result) for row in expected]
    assert found[1].uri.startswith("s3://fleet/day 1/a/")
    assert all(row.modified for row in found)


def test_an_object_with_another_etag_is_worked_on_again(
    store: Any, bundle: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    edgevision.batch(bundle, "s3://fleet/day 1", out, settings=JSONL)
    content = (images / "b" / "00001.png").read_bytes()
    before = store.cat_file("fleet/day 1/c/00002.png")
    store.pipe_file("fleet/day 1/c/00002.png", content)
    try:
        run = edgevision.batch(bundle, "s3://fleet/day 1", out, settings=JSONL)
    finally:
        store.pipe_file("fleet/day 1/c/00002.png", before)
    assert (run.reused, len(rows_of(out))) == (COUNT, COUNT + 1)


def test_what_another_process_changes_between_two_runs_is_seen(
    store: Any, bundle: Path, images: Path, tmp_path: Path
) -> None:
    import s3fs

    other = s3fs.S3FileSystem(skip_instance_cache=True)
    listed = tmp_path / "list.txt"
    listed.write_text("s3://fleet/new/a.png\n")
    first, second = (path.read_bytes() for path in sorted((images / "b").iterdir())[:2])
    for content in (first, second):
        other.pipe_file("fleet/new/a.png", content)
        for source, out in (("s3://fleet/new/*.png", "out"), (f"@{listed}", "list")):
            edgevision.batch(bundle, source, tmp_path / out, settings=JSONL)
            (row,) = rows_of(tmp_path / out)
            assert row.sha256 == hashlib.sha256(content).hexdigest()


def test_names_of_objects_are_taken_as_they_are(
    store: Any, bundle: Path, images: Path, tmp_path: Path
) -> None:
    content = (images / "b" / "00001.png").read_bytes()
    names = ["odd/a#1.png", "odd/a#2.png", "odd/token=1.png", "odd/token=2.png", "odd/ü b@c.png"]
    for name in names:
        store.pipe_file(f"fleet/{name}", content)
    run = edgevision.batch(bundle, "s3://fleet/odd", tmp_path / "out", settings=JSONL)
    assert run.ok == len(names)
    assert {row.uri for row in rows_of(tmp_path / "out")} == {f"s3://fleet/{name}" for name in names}


def test_an_evaluation_of_a_bucket_has_the_figures_of_its_folder(
    store: Any, bundle: Path, images: Path, tmp_path: Path
) -> None:
    run = edgevision.batch(bundle, "s3://fleet/day 1", tmp_path / "out", evaluate=True)
    assert run.evaluation is not None
    expected = edgevision.evaluate(bundle, images)
    assert run.evaluation.to_dict()["metrics"] == expected.to_dict()["metrics"]
    assert [path.as_posix() for path, _ in run.evaluation.left_out][-1] == BROKEN


def test_lists_and_tables_may_be_there(store: Any, bundle: Path, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    import pyarrow
    import pyarrow.parquet

    contents = [path.read_bytes() for path in sorted(images.rglob("*.png"))]
    with store.open("fleet/tables/images.parquet", "wb") as file:
        pyarrow.parquet.write_table(pyarrow.table({"image": contents}), file, row_group_size=5)
    run = edgevision.batch(bundle, "s3://fleet/tables/images.parquet", tmp_path / "table", settings=JSONL)
    assert (run.ok, run.failed) == (COUNT, 1)
    listed = tmp_path / "list.txt"
    listed.write_text("s3://fleet/day 1/b/00001.png\ns3://fleet/day 1/missing.png\n")
    run = edgevision.batch(bundle, f"@{listed}", tmp_path / "list", settings=JSONL)
    assert (run.ok, run.failed) == (1, 1)
    failed = next(row for row in rows_of(tmp_path / "list") if row.status != "ok")
    assert "FileNotFoundError" in failed.status


def test_what_is_wrong_with_an_address_is_said_without_credentials(
    store: Any, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no images found"):
        edgevision.batch(bundle, "s3://fleet/day 1/notes.txt", tmp_path / "a", settings=JSONL)
    with pytest.raises(InputError, match="s3://nobodys/x: cannot be read: FileNotFoundError"):
        edgevision.batch(bundle, "s3://nobodys/x", tmp_path / "b", settings=JSONL)
    with pytest.raises(OptionError, match="chained URLs are not read"):
        edgevision.batch(bundle, "zip://*.png::s3://fleet/a.zip", tmp_path / "c", settings=JSONL)
    with pytest.raises(InputError) as caught:
        edgevision.batch(
            bundle, "http://me:secret@127.0.0.1:9/a.png?key=hidden", tmp_path / "d", settings=JSONL
        )
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)
