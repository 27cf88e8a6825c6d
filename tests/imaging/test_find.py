"""Files, folders and patterns become images; what is left out is told with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.imaging.decode import read_image
from edgevision.imaging.find import find, find_images, told_left_out


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


def _folder(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" if "scan" in name else b"x")
    return root


def test_what_is_left_out_is_told_by_kind_with_the_reason(tmp_path: Path) -> None:
    names = ["a.jpg", "b.mp4", "c.MP4", "d.avif", "e/notes.txt", "f.nef", "g.npy", "noext", ".hidden.mp4"]
    found = find([_folder(tmp_path, *names, "h.mp4", "i.mp4")])
    assert [image.path.name for image in found.images] == ["a.jpg"]
    reasons = {left.path.name: left.reason for left in found.left_out}
    assert len(reasons) == 9
    assert reasons["b.mp4"].startswith("video")
    assert reasons["d.avif"].startswith("unsupported image format; convert it")
    assert reasons["f.nef"].startswith("raw photo")
    assert reasons["notes.txt"] == "not a picture"
    told = told_left_out(found.left_out)
    assert told.startswith("left out 9 files: 4 .mp4 (video; ")
    assert "b.mp4, c.MP4, h.mp4 and 1 more" in told
    assert "1 files without suffix (not a picture): noext" in told
    assert "\n" not in told


def test_every_suffix_of_a_supported_format_is_found_in_any_case(tmp_path: Path) -> None:
    names = [
        "a.JPG",
        "b.jpe",
        "c.jfif",
        "d.tif",
        "e.TIFF",
        "f.gif",
        "g.heic",
        "h.HEIF",
        "i.dcm",
        "j.webp",
        "k.dib",
    ]
    assert [path.name for path in find_images([_folder(tmp_path, *names)])] == sorted(names)


def test_dicom_files_without_a_suffix_are_found_by_their_content(tmp_path: Path) -> None:
    names = ("1/scan0001", "1/scan.1.2.840", "1/other", "a.1", "DICOMDIR")
    found = find([_folder(tmp_path, *names)], frames=False)
    assert [image.path.name for image in found.images] == ["scan.1.2.840", "scan0001"]
    assert sorted(left.path.name for left in found.left_out) == ["DICOMDIR", "a.1", "other"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg"]),
        ("?.png", ["b.png"]),
        ("[ab].*", ["a.jpg", "b.png"]),
        ("**/*.jpg", ["a.jpg", "d/e.jpg"]),
        ("**/*", ["a.jpg", "b.png", "d/e.jpg"]),
        ("d*", ["d/e.jpg"]),
    ],
)
def test_patterns_are_expanded_and_keep_the_folder_before_them(
    pattern: str, expected: list[str], tmp_path: Path
) -> None:
    _folder(tmp_path, "a.jpg", "b.png", "c.txt", "d/e.jpg", ".h.jpg")
    found = find([tmp_path / pattern])
    assert [image.path.relative_to(tmp_path).as_posix() for image in found.images] == expected
    assert {image.below for image in found.images} == {tmp_path}
    assert [left.path.name for left in found.left_out] == (["c.txt"] if pattern in ("**/*",) else [])


def test_a_file_with_a_name_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = _folder(tmp_path, "a[1].jpg", "a1.jpg") / "a[1].jpg"
    assert find_images([path]) == [path]


def test_a_pattern_without_matches_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\*\.jpg: no file matches this pattern"):
        find([tmp_path / "*.jpg"])
    _folder(tmp_path, "a.txt")
    with pytest.raises(
        InputError, match=r"no images found; .*; left out 1 file: 1 \.txt \(not a picture\): a\.txt"
    ):
        find([tmp_path / "*.txt"])


def test_an_image_that_is_reached_twice_is_found_once(tmp_path: Path) -> None:
    _folder(tmp_path, "a.jpg", "b.txt")
    found = find([tmp_path / "a.jpg", tmp_path, tmp_path / "*", tmp_path])
    assert [image.path.name for image in found.images] == ["a.jpg"]
    assert [left.path.name for left in found.left_out] == ["b.txt"]
