"""A set of images has a fixed order, labels from its folders, and a digest of its contents."""

from __future__ import annotations

import contextlib
import hashlib
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgevision.datasets import image_sets
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.imaging.frame import Frame
from image_files import dicom, ramp, tiff
from image_files import png as deep_png


def pixels(number: int) -> NDArray[np.uint8]:
    return np.full((4, 6, 3), number, np.uint8)


def png(number: int) -> bytes:
    return bytes(cv2.imencode(".png", pixels(number))[1])


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


CLASSES = {"dog/1.png": png(10), "cat/2.png": png(20), "cat/1.png": png(30), "dog/deep/0.png": png(40)}


@pytest.fixture(params=["folder", "zip"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def open_set(files: dict[str, bytes]) -> ImageSet:
        if request.param == "folder":
            return ImageSet.open(write_tree(tmp_path / "set", files))
        return ImageSet.open(write_zip(tmp_path / "set.zip", files))

    return open_set


def first_pixels(images: ImageSet) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


def test_folders_are_classes_in_sorted_order(make: Any) -> None:
    images = make({**CLASSES, "notes.txt": b"", "cat/.thumb.png": b"", "__MACOSX/cat/._1.txt": b""})
    assert images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.labels.dtype == np.int64
    assert images.image_names == ("cat/1.png", "cat/2.png", "dog/1.png", "dog/deep/0.png")
    assert first_pixels(images) == [30, 20, 10, 40]
    assert first_pixels(images) == [30, 20, 10, 40]
    assert len(images) == 4


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png"],
        ["all/1.png", "all/2.png"],
        ["cat/1.png", "dog/1.png", "stray.png"],
        ["data/all/1.png", "data/all/2.png"],
    ],
)
def test_images_that_are_not_all_in_two_or_more_class_folders_have_no_labels(
    names: list[str], make: Any
) -> None:
    images = make({name: png(number) for number, name in enumerate(names)})
    assert images.class_names == ()
    assert images.labels is None


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["cat/1.png", "cat/2.png"], "cat"),
        (["cat/1.png", "cat/deep/2.png"], "cat"),
        (["data/all/1.png", "data/all/2.png"], "all"),
        (["1.png", "2.png"], None),
        (["cat/1.png", "stray.png"], None),
        (["cat/1.png", "dog/1.png"], None),
    ],
)
def test_the_only_folder_is_the_one_that_holds_all_images(
    names: list[str], folder: str | None, make: Any
) -> None:
    assert make({name: png(number) for number, name in enumerate(names)}).only_folder == folder


def test_a_parent_of_the_class_folders_is_skipped(make: Any) -> None:
    images = make({f"data/test/{name}": content for name, content in CLASSES.items()})
    assert images.class_names == ("cat", "dog")


def test_a_zip_in_any_order_is_the_same_set_as_its_folder(tmp_path: Path) -> None:
    folder = ImageSet.open(write_tree(tmp_path / "set", CLASSES))
    archive = ImageSet.open(write_zip(tmp_path / "set.zip", dict(reversed(CLASSES.items()))))
    assert folder.digests == archive.digests
    assert folder.digest == archive.digest
    assert folder.digests[0] == hashlib.sha256(CLASSES["cat/1.png"]).hexdigest()


def test_members_are_sorted_by_their_normalized_paths(tmp_path: Path) -> None:
    names = ("./dog//2.png", "cat-b/1.png", "cat/1.png", "__MACOSX/cat/1.png", "cat/.1.png", "dog/notes.txt")
    images = ImageSet.open(write_zip(tmp_path / "set.zip", dict.fromkeys(names, png(1))))
    assert images.image_names == ("cat/1.png", "cat-b/1.png", "./dog//2.png")
    assert images.class_names == ("cat", "cat-b", "dog")


def test_the_digest_of_a_set_changes_with_contents_classes_and_order(make: Any, tmp_path: Path) -> None:
    digest = make(CLASSES).digest
    others = [
        {**CLASSES, "dog/1.png": png(11)},
        {**CLASSES, "dog/9.png": png(10)},
        {name.replace("dog", "wolf"): content for name, content in CLASSES.items()},
        {**CLASSES, "cat/1.png": CLASSES["cat/2.png"], "cat/2.png": CLASSES["cat/1.png"]},
    ]
    for number, files in enumerate(others):
        assert ImageSet.open(write_zip(tmp_path / f"{number}.zip", files)).digest != digest


def test_arrays_in_memory_are_a_set() -> None:
    arrays = [pixels(3), pixels(1)[:, :, 0], pixels(2)]
    images = ImageSet.from_arrays(arrays, [1, 0, 1], ["no", "yes"])
    assert first_pixels(images) == [3, 1, 2]
    assert [image.shape for image in images] == [(4, 6, 3)] * 3
    assert next(iter(images)) is arrays[0]
    assert images.class_names == ("no", "yes")
    assert len(ImageSet.from_arrays(np.zeros((5, 4, 4, 3), np.uint8))) == 5
    assert ImageSet.from_arrays(arrays, np.array([0, 2, 1])).class_names == ("class 0", "class 1", "class 2")
    assert ImageSet.from_arrays(arrays).labels is None


def test_arrays_with_the_same_bytes_and_different_shapes_have_different_digests() -> None:
    flat, tall = np.zeros((2, 6, 3), np.uint8), np.zeros((6, 2, 3), np.uint8)
    assert len(set(ImageSet.from_arrays([flat, tall, flat.copy()]).digests)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), r"arrays: expected at least one image"),
        (([pixels(1).astype(np.int64)],), r"arrays\[0\]: image: expected uint8"),
        (([pixels(1), "a.jpg"],), r"arrays\[1\]: expected a \(h, w, 3\) uint8 array, got str"),
        (([pixels(1)], [0, 1]), r"labels: expected 1 whole numbers of 0 or more"),
        (([pixels(1)], [0.5]), r"labels: expected 1 whole numbers of 0 or more: .* got 0.5"),
        (([pixels(1)], np.array([0.5])), r"labels: .* got float64"),
        (([pixels(1)], [-1]), r"labels: expected 1 whole numbers of 0 or more"),
        (([pixels(1)], [2], ["a", "b"]), r"label 2 has no name \(2 class names\)"),
    ],
)
def test_invalid_arrays_and_labels_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageSet.from_arrays(*arguments)


def labelled(counts: list[int]) -> ImageSet:
    labels = np.repeat(np.arange(len(counts)), counts)
    return ImageSet.from_arrays([pixels(n % 256) for n in range(len(labels))], labels)


@pytest.mark.parametrize("count", [1, 7, 20, 99])
def test_a_sample_is_stratified_by_class(count: int) -> None:
    images = labelled([50, 30, 20])
    sample = images.sample(count)
    assert len(sample) == count
    assert sample.labels is not None
    share = np.bincount(sample.labels, minlength=3) - np.array([50, 30, 20]) * count / 100
    assert np.abs(share).max() <= 1
    assert sample.class_names == images.class_names


def test_a_sample_is_the_same_for_the_same_seed_and_keeps_the_order() -> None:
    images = labelled([50, 50])
    assert images.sample(20).digest == images.sample(20).digest
    assert images.sample(20).digest != images.sample(20, seed=1).digest
    assert first_pixels(images.sample(20)) == sorted(first_pixels(images.sample(20)))
    assert len(set(first_pixels(images.sample(99)))) == 99


def test_a_sample_of_a_set_without_labels_is_drawn_from_all_of_it() -> None:
    sample = ImageSet.from_arrays([pixels(n) for n in range(100)]).sample(10)
    assert len(sample) == 10
    assert sample.labels is None
    assert max(first_pixels(sample)) > 50


@pytest.mark.parametrize("kind", [str, Path])
def test_a_set_is_opened_by_text_and_by_path(tmp_path: Path, kind: type) -> None:
    folder = write_tree(tmp_path / "set", CLASSES)
    assert ImageSet.open(kind(folder)).name == str(folder)


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_labels_and_class_names_may_be_lists_tuples_and_arrays(kind: Any) -> None:
    images = ImageSet.from_arrays([pixels(1), pixels(2)], kind([1, 0]), kind(["cat", "dog"]))
    assert images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [1, 0]


def test_one_text_is_not_a_sequence_of_class_names() -> None:
    with pytest.raises(OptionError, match="arrays: class_names: expected a sequence of names, got 'ab'"):
        ImageSet.from_arrays([pixels(1), pixels(2)], [1, 0], "ab")


@pytest.mark.parametrize("count", [2.5, "2", True], ids=repr)
def test_the_size_of_a_sample_is_a_whole_number(count: Any) -> None:
    images = labelled([3, 4])
    assert len(images.sample(np.int64(2))) == 2
    with pytest.raises(OptionError, match="sample of arrays: expected"):
        images.sample(count)


def test_a_sample_of_more_than_there_are_is_all_and_of_none_is_an_error() -> None:
    images = labelled([3, 4])
    assert images.sample(8) is images
    with pytest.raises(OptionError, match="sample of arrays: expected a whole number, 1 or more, got 0"):
        images.sample(0)


def test_images_of_another_set_can_be_left_out(make: Any) -> None:
    images = make({**CLASSES, "dog/again.png": png(30)})
    rest = images.without([hashlib.sha256(png(30)).hexdigest(), "0" * 64])
    assert rest.image_names == ("cat/2.png", "dog/1.png", "dog/deep/0.png")
    assert rest.labels.tolist() == [0, 1, 1]
    assert rest.class_names == images.class_names
    assert len(images.without(images.digests)) == 0


def test_a_broken_image_is_named_when_it_is_read(make: Any) -> None:
    images = iter(make({"1.png": png(1), "2.png": png(2)[:30]}))
    assert next(images).shape == (4, 6, 3)
    with pytest.raises(InputError, match=r"2\.png: damaged or cut short"):
        next(images)


def test_a_path_without_images_and_one_that_is_neither_folder_nor_zip_are_refused(
    tmp_path: Path, make: Any
) -> None:
    with pytest.raises(InputError, match="no images found"):
        make({"notes.txt": b""})
    (tmp_path / "photo.png").write_bytes(png(1))
    with pytest.raises(InputError, match=r"photo\.png: expected a folder of images or a \.zip archive"):
        ImageSet.open(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"gone: cannot read a folder or \.zip archive of images: No such"):
        ImageSet.open(tmp_path / "gone")


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"1.png": png(1)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(
        InputError, match=r"set\.zip: '1\.png' is encrypted, which is not supported; unpack the archive"
    ):
        ImageSet.open(path)


def test_an_archive_with_unsupported_compression_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("1.png", png(1))
    with pytest.raises(
        InputError, match=r"'1\.png' has an unsupported compression \(expected stored or deflate\); unpack"
    ):
        ImageSet.open(tmp_path / "set.zip")


def test_a_member_that_unpacks_to_more_than_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_sets, "MOST_MEMBER_BYTES", 10_000)
    path = write_zip(tmp_path / "set.zip", {"1.png": bytes(10_001)})
    with pytest.raises(InputError, match=r"1\.png: unpacked size of 10001 bytes exceeds the limit of 10000"):
        ImageSet.open(path)


def test_a_member_with_a_false_size_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"1.png": bytes(1_000_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 1_000_000), struct.pack("<I", 100)))
    with pytest.raises(InputError, match=r"set\.zip: 1\.png: the archive is damaged"):
        next(iter(ImageSet.open(path)))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"1.png": np.random.default_rng(0).bytes(1000)})
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"1\.png: the archive is damaged"):
        next(iter(ImageSet.open(path)))


def test_an_archive_with_any_byte_changed_is_read_or_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a/1.png": png(1), "b/2.png": png(2)})
    data = path.read_bytes()
    for position in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            path.write_bytes(data[:position] + bytes([data[position] ^ change]) + data[position + 1 :])
            with contextlib.suppress(InputError):
                assert len(list(ImageSet.open(path))) > 0


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", CLASSES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"set\.zip: expected a folder of images"):
        ImageSet.open(path)


def test_cifar10_is_read_from_its_zip(shared: Path) -> None:
    images = ImageSet.open(shared / "data" / "cifar10-test.zip")
    assert len(images) == 5000
    assert images.class_names[0] == "airplane"
    assert images.labels is not None
    sample = images.sample(100)
    assert np.bincount(sample.labels).tolist() == [10] * 10
    assert all(image.shape == (32, 32, 3) for image in sample)
    assert len(images.without(sample.digests)) == 4900


def test_photos_in_one_folder_have_no_labels(shared: Path) -> None:
    assert ImageSet.open(shared / "data" / "bccd.zip").labels is None


def _written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def _zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_has_what_it_leaves_out(packed: bool, tmp_path: Path) -> None:
    files = {"a/1.png": png(1), "a/film.mp4": b"", "b/2.png": png(2), "b/notes.txt": b""}
    folder = _written(tmp_path / "set", files)
    images = ImageSet.open(_zipped(folder) if packed else folder)
    assert len(images) == 2
    assert [left.path.name for left in images.left_out] == ["film.mp4", "notes.txt"]
    assert images.left_out[0].reason.startswith("video")
    assert images.sample(1).left_out == images.left_out


@pytest.mark.parametrize("packed", [False, True])
def test_images_of_more_bits_are_frames_and_others_arrays(packed: bool, tmp_path: Path) -> None:
    deep = ramp(12)
    folder = _written(tmp_path / "set", {"1.png": deep_png(deep), "2.tif": tiff(deep), "3.png": png(3)})
    first, second, third = ImageSet.open(_zipped(folder) if packed else folder)
    for frame in (first, second):
        assert isinstance(frame, Frame)
        np.testing.assert_array_equal(frame.pixels, deep)
    assert isinstance(third, np.ndarray)
    arrays = ImageSet.from_arrays([deep, deep.astype(np.float32), pixels(3)])
    assert [isinstance(image, Frame) for image in arrays] == [True, True, False]
    assert len(set(arrays.digests)) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_frames_of_dicom_files_are_images_whose_names_are_not_shown(packed: bool, tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    series = dicom(np.stack([ramp(12), ramp(12)[::-1]]), bits=12)
    folder = _written(
        tmp_path / "set", {"a/Doe.dcm": series, "b/1.png": png(1), "b/Doe.png": dicom(ramp(12))}
    )
    images = ImageSet.open(_zipped(folder) if packed else folder)
    assert images.image_names == ("a/Doe.dcm#0", "a/Doe.dcm#1", "b/1.png", "b/Doe.png")
    assert images.class_names == ("a", "b")
    assert images.private
    assert not images.at([2]).private
    assert not replace(images, released=True).private
    assert images.at([3]).private, "by its content, whatever its name"
    assert len(set(images.digests)) == len(set(images.shown_names)) == 4
    assert ImageSet.from_arrays(list(images)).private
    assert "Doe" not in "".join(images.shown_names)
    first, second, *_ = images
    np.testing.assert_array_equal(first.pixels, second.pixels[::-1])
