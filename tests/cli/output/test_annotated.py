"""Where annotated copies go: in the folders' structure, each under its own name, over no file unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.cli.output.annotated import annotated_paths
from edgevision.errors import OutputError
from edgevision.imaging.find import ImageFile


def test_images_of_one_name_get_copies_of_two(tmp_path: Path) -> None:
    names = ("a/1.jpg", "b/1.jpg", "b/2.bmp")
    images = [ImageFile(tmp_path / name) for name in names]
    copies = annotated_paths(tmp_path / "out", images)
    assert len({copy.path for copy in copies.values()}) == len(images)
    assert {copy.path.parent for copy in copies.values()} == {tmp_path / "out"}


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["one|a/1.jpg", "one|b/1.jpg", "one|1.jpg"], ["a/1.png", "b/1.png", "1.png"]),
        (["one|a/1.jpg", "two|a/1.jpg"], ["one/a/1.png", "two/a/1.png"]),
        (["one|1.jpg", "one|1.bmp"], ["1.png", "1-2.png"]),
        (["one|scan.dcm#0", "one|scan.dcm#1"], ["scan#0.png", "scan#1.png"]),
        (["|x/-"], ["standard-input.png"]),
    ],
)
def test_copies_keep_the_structure_of_the_folders(
    images: list[str], expected: list[str], tmp_path: Path
) -> None:
    files = []
    for image in images:
        below, _, path = image.partition("|")
        path, _, frame = path.partition("#")
        base = tmp_path / below if below else None
        files.append(ImageFile((base or tmp_path) / path, int(frame) if frame else None, base))
    copies = annotated_paths(tmp_path / "out", files)
    paths = [copy.path for copy in copies.values()]
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == expected
    assert all(path.parent.is_dir() for path in paths)


def test_a_copy_that_would_replace_an_image_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "1.png"
    image.write_bytes(b"precious")
    with pytest.raises(OutputError, match="is one of the images"):
        annotated_paths(tmp_path, [ImageFile(image)], overwrite=True)
    assert image.read_bytes() == b"precious"


def test_a_file_of_an_earlier_run_is_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    image, earlier = ImageFile(tmp_path / "in" / "1.jpg"), tmp_path / "out" / "1.png"
    earlier.parent.mkdir()
    earlier.write_bytes(b"earlier")
    with pytest.raises(OutputError, match=r"1\.png: exists; pass --overwrite"):
        annotated_paths(tmp_path / "out", [image])
    assert annotated_paths(tmp_path / "out", [image], overwrite=True)[image.name].path == earlier
