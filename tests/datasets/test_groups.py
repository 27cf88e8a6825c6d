"""Groups of images: by folder, pattern, file, CSV or sequence, and what no group can be read from."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.datasets.groups import GroupFacts, Grouping
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import EdgeVisionError, InputError, OptionError

BY_CLASS = ("cat/patient7/1.jpg", "cat/patient8/1.jpg", "dog/patient7/2.jpg", "dog/patient9/3.jpg")
FLAT = ("p1_1.jpg", "p1_2.jpg", "p2_1.jpg", "p10_1.jpg")
STACKS = ("a.tif#0", "a.tif#1", "b.tif#0", "b.tif#1")


def _groups(source: object, names: tuple[str, ...]) -> list[str]:
    grouping = Grouping.read(source, names, "set")  # type: ignore[arg-type]
    return [grouping.names[place] for place in grouping.of_images]


@pytest.mark.parametrize(
    ("source", "names", "groups"),
    [
        ("folder:1", BY_CLASS, ["cat", "cat", "dog", "dog"]),
        ("folder:2", BY_CLASS, ["patient7", "patient8", "patient7", "patient9"]),
        ("folder:1,2", BY_CLASS, ["cat/patient7", "cat/patient8", "dog/patient7", "dog/patient9"]),
        ("folder:1", ("./a/1.jpg", "b//1.jpg"), ["a", "b"]),
        ("pattern:{group}_*", FLAT, ["p1", "p1", "p2", "p10"]),
        ("pattern:{group}_*.jpg", FLAT, ["p1", "p1", "p2", "p10"]),
        ("pattern:p{group}_1.jpg", ("p1_1.jpg", "x/p2_1.jpg"), ["1", "2"]),
        ("pattern:patient{group}/*", BY_CLASS, ["7", "8", "7", "9"]),
        ("pattern:{group}/*/*.jpg", BY_CLASS, ["cat", "cat", "dog", "dog"]),
        ("pattern:*_{group}.jpg", ("a_b_c.jpg", "a_d.jpg"), ["b_c", "d"]),
        ("pattern:{group}.tif", STACKS, ["a", "a", "b", "b"]),
        ("file", STACKS, ["a.tif", "a.tif", "b.tif", "b.tif"]),
        (["x", "x", "y", "z"], FLAT, ["x", "x", "y", "z"]),
        (np.array([3, 3, 4, 4]), FLAT, ["3", "3", "4", "4"]),
    ],
    ids=str,
)
def test_groups_are_read_from_names(source: object, names: tuple[str, ...], groups: list[str]) -> None:
    assert _groups(source, names) == groups


@pytest.mark.parametrize(
    "content",
    [
        "image,group\np1_1.jpg,a\np1_2.jpg,a\np2_1.jpg,b\np10_1.jpg,b\n",
        "\ufeffage,group,image\r\n3,a,p1_1.jpg\r\n4,a,p1_2.jpg\r\n\r\n5,b,p2_1.jpg\r\n5,b,p10_1.jpg\r\n",
        '"image", group\n"p1_1.jpg",a\np1_2.jpg,a\np2_1.jpg, b\np10_1.jpg,b\np1_1.jpg,a',
    ],
    ids=["plain", "from a spreadsheet", "quoted, with a row twice"],
)
def test_a_csv_file_names_the_group_of_each_image(tmp_path: Path, content: str) -> None:
    (tmp_path / "groups.csv").write_text(content, encoding="utf-8")
    assert _groups(tmp_path / "groups.csv", FLAT) == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("p1_1.jpg,a\n", "expected the columns image and group in the first line.*got 'p1_1.jpg,a'"),
        ("image;group\np1_1.jpg;a\n", "separated by commas, got 'image;group'"),
        ("", "expected the columns image and group"),
        (
            "image,group\np1_1.jpg,a\np1_2.jpg,a\np2_1.jpg,b\n",
            "1 of the 4 images of set have no group: p10_1.jpg",
        ),
        ("image,group\nno.jpg,a\nneither.jpg,b\n", "2 of its 2 images are not in set: no.jpg, neither.jpg"),
        ("image,group\np1_1.jpg,\n", "row 2: expected an image and its group"),
        ("image,group\np1_1.jpg\n", "row 2: expected 2 columns, got 1"),
        (
            "image,group\np1_1.jpg,a\np1_1.jpg,b\n",
            "row 3: the group of 'p1_1.jpg' is 'b' here, but 'a' above",
        ),
        ('image,group\n"p1_1.jpg,a\n', "not a valid CSV file"),
        (b"image,group\n\xff\xfe,a\n", "not a valid CSV file in UTF-8"),
    ],
    ids=str,
)
def test_a_csv_file_that_leaves_a_group_open_is_refused(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "groups.csv").write_bytes(data)
    with pytest.raises(InputError, match=message):
        Grouping.read(tmp_path / "groups.csv", FLAT, "set")


@pytest.mark.parametrize(
    ("source", "names", "kind", "message"),
    [
        ("folder:0", BY_CLASS, OptionError, "the level of a folder, 1 or more"),
        ("folder:patient", BY_CLASS, OptionError, "the level of a folder"),
        ("folder:3", BY_CLASS, InputError, "4 of the 4 images of set have no group: cat/patient7/1.jpg"),
        (
            "folder:1",
            ("a/1.jpg", "2.jpg", "b/1.jpg"),
            InputError,
            "1 of the 3 images of set have no group: 2.jpg",
        ),
        ("folder:1", ("a/1.jpg", "a/2.jpg"), InputError, "all 2 images of set are in one group, 'a'"),
        ("pattern:*", FLAT, OptionError, r"expected a pattern with \{group\} once"),
        ("pattern:{group}_{group}", FLAT, OptionError, r"expected a pattern with \{group\} once"),
        ("pattern:{group}-*", FLAT, InputError, "4 of the 4 images"),
        ("pattern:p1{group}_1.jpg", FLAT, InputError, "3 of the 4 images"),
        ("no-such.csv", FLAT, OptionError, "does not exist; expected folder:LEVEL"),
        (["a", "b"], FLAT, OptionError, "expected one per image of set, 4 in all, got 2"),
        ([1.5, "a", "b", "c"], FLAT, OptionError, "a name or a whole number for each image, got 1.5"),
        (7, FLAT, OptionError, "expected a sequence"),
    ],
    ids=str,
)
def test_what_gives_no_groups_is_refused(
    source: object, names: tuple[str, ...], kind: type[EdgeVisionError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        Grouping.read(source, names, "set")  # type: ignore[arg-type]


def test_a_pattern_takes_no_longer_for_a_name_that_almost_matches() -> None:
    """What makes a regular expression of as many wildcards run for years."""
    began = time.monotonic()
    with pytest.raises(InputError, match="have no group"):
        Grouping.read("pattern:" + "*a" * 30 + "{group}b", ["a" * 4000, "a" * 3999], "set")
    assert time.monotonic() - began < 30


def test_groups_follow_their_images_and_empty_ones_are_left_out() -> None:
    images = ImageSet.from_arrays([np.full((4, 4, 3), n, np.uint8) for n in range(5)], groups=[9, 8, 8, 7, 9])
    kept = images.at([4, 1, 2])
    assert kept.groups is not None
    assert kept.grouping is not None
    assert (kept.grouping.names, kept.groups.tolist()) == (("8", "9"), [1, 0, 0])
    assert images.at([0, 3]).sample(1).groups.tolist() == [0]  # type: ignore[union-attr]


def test_the_facts_say_what_the_groups_cost_at_most() -> None:
    facts = Grouping.read([1] * 6 + [2] * 3 + [3], [str(n) for n in range(10)], "set").facts()
    assert facts == GroupFacts("stated for each image", 3, 6, 4.6, 2.173913)


def test_a_csv_file_may_describe_two_sets(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("image,group\na.jpg,1\nb.jpg,2\nx.jpg,3\ny.jpg,4\n")
    assert Grouping.read(tmp_path / "groups.csv", ["a.jpg", "b.jpg"], "set", ["x.jpg", "y.jpg"]).names == (
        "1",
        "2",
    )
    assert (
        Grouping.read_if_any(
            tmp_path / "groups.csv", ["other.jpg"], "set", ["a.jpg", "b.jpg", "x.jpg", "y.jpg"]
        )
        is None
    )
    with pytest.raises(InputError, match="no group: z.jpg"):
        Grouping.read_if_any(tmp_path / "groups.csv", ["a.jpg", "z.jpg"], "set", ["b.jpg", "x.jpg", "y.jpg"])


def test_byte_identical_images_are_one(tmp_path: Path) -> None:
    for name, value in {"a/1.png": 1, "a/2.png": 2, "b/3.png": 1, "b/4.png": 3}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((4, 4, 3), value, np.uint8))
    images = ImageSet.open(tmp_path, groups="pattern:{group}.png")
    distinct = images.distinct()
    assert distinct.image_names == ("a/1.png", "a/2.png", "b/4.png")
    assert distinct.groups is not None
    assert distinct.groups.tolist() == [0, 1, 2]
    (copy,) = distinct.copies
    assert (copy.name, copy.of, copy.label, copy.kept_label) == ("b/3.png", "a/1.png", "b", "a")
    assert distinct.distinct() is distinct


def test_a_file_that_cannot_be_read_is_no_copy(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    images = ImageSet.open(tmp_path)
    (tmp_path / "2.png").unlink()
    assert len(images.distinct()) == 2
