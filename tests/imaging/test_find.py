"""Files, folders and patterns become images; what is left out is told with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.imaging.decode import read_image
from edgevision.imaging.find import find_images


def test_images_are_found_in_folders_in_sorted_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpeg", "a.jpg", "c/d/e.webp", "notes.txt", ".hidden.png", ".cache/x.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert found == ["a.jpg", "b/1.jpeg", "b/2.PNG", "c/d/e.webp"]


def test_named_files_keep_their_order_whatever_their_suffix(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("z.jpg", "a.dat")]
    for path in paths:
        path.touch()
    assert find_images(map(str, paths)) == paths


def test_linked_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").touch()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert find_images([tmp_path / "set"]) == [tmp_path / "set" / "linked" / "1.png"]


def test_a_link_to_itself_is_found_and_refused_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    (found,) = find_images([tmp_path])
    with pytest.raises(InputError, match="cannot be read"):
        read_image(found)


def test_no_images_and_no_such_path_are_errors(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no images found; expected files with .bmp, .dcm, .dib, .dicom, .gif, .heic"
    ):
        find_images([tmp_path])
    with pytest.raises(InputError, match="no images found"):
        find_images([])
    with pytest.raises(InputError, match="does not exist"):
        find_images([tmp_path / "gone"])
