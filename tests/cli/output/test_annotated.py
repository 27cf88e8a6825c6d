"""Where annotated copies go: never over an image, and each under a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.cli.output.annotated import annotated_paths
from edgevision.errors import OutputError


def test_images_of_one_name_get_copies_of_two(tmp_path: Path) -> None:
    images = [tmp_path / "a" / "1.jpg", tmp_path / "b" / "1.jpg", tmp_path / "b" / "2.bmp"]
    copies = annotated_paths(tmp_path / "out", images)
    assert len(set(copies.values())) == len(images)
    assert {copy.parent for copy in copies.values()} == {tmp_path / "out"}


def test_a_copy_that_would_replace_an_image_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "1.png"
    image.write_bytes(b"precious")
    with pytest.raises(OutputError, match="is one of the images"):
        annotated_paths(tmp_path, [image])
    assert image.read_bytes() == b"precious"
