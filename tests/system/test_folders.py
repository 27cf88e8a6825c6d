"""Folders of others are listed whole, and without an end only as deep as is allowed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgevision.artifact import FileFormat, read_artifact
from edgevision.bundle.files import files_of
from edgevision.datasets.annotations import read_annotations
from edgevision.errors import EdgeVisionError
from edgevision.imaging.find import find_images
from edgevision.system.files import remove_tree
from edgevision.system.folders import MOST_DEPTH, entries_below

#: More than Python's functions can call one another, and less than the longest path.
DEPTH = 1500


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that might be a bundle or a SavedModel, with `DEPTH` folders in one another."""
    folder = tmp_path_factory.mktemp("deep") / "model.deep"
    folder.mkdir()
    for name in ("manifest.json", "saved_model.pb"):
        (folder / name).write_text("{}")
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("a", dir_fd=descriptor)
        inner = os.open("a", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)  # Python's own removal is recursive


def test_everything_is_listed_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").touch()
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert [name for name, _ in entries_below(tmp_path)] == ["a", "b", "link", "b/c"]


@pytest.mark.parametrize(("depth", "listed"), [(MOST_DEPTH, True), (MOST_DEPTH + 1, False)])
def test_the_depth_has_a_limit(tmp_path: Path, depth: int, listed: bool) -> None:
    tmp_path.joinpath(*["a"] * depth).mkdir(parents=True)
    if listed:
        assert len(list(entries_below(tmp_path))) == depth
    else:
        with pytest.raises(OSError, match=f"has more than {MOST_DEPTH} folders in one another"):
            list(entries_below(tmp_path))


def _saved_model(folder: Path) -> object:
    from edgevision_keras.reading.saved_models import check_files

    return check_files(folder)


def _digest(folder: Path) -> object:
    from edgevision.conversion.provenance import _digest_of

    return _digest_of(folder)


READERS: dict[str, Callable[[Path], object]] = {
    "a bundle": lambda folder: files_of(folder).sizes(),
    "a set of images": lambda folder: find_images([folder]),
    "a pattern": lambda folder: find_images([folder / "**" / "*.png"]),
    "annotations": lambda folder: read_annotations(folder, ["a.png"], ["cat"]),
    "a SavedModel": _saved_model,
    "an artifact": lambda folder: read_artifact(folder, [FileFormat("deep", (".deep",), folder=True)]),
    "inputs of a conversion": _digest,
}


@pytest.mark.parametrize("reader", READERS)
def test_folders_deeper_than_python_calls_itself_are_an_error_of_the_tree(deep: Path, reader: str) -> None:
    with pytest.raises(EdgeVisionError, match="folders in one another"):
        READERS[reader](deep)


def test_removing_such_a_folder_raises_nothing(deep: Path) -> None:
    remove_tree(deep / "a")
