"""Tiny images are read ahead in blocks, large ones left unread one by one; memory is limited."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgevision.errors import InputError
from edgevision.imaging.blocks import image_blocks, read_block
from edgevision.imaging.find import ImageFile
from edgevision.imaging.frame import Frame


def _picture(path: Path, size: int) -> Path:
    pixels = np.random.default_rng(size).integers(0, 256, (size, size, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def _files(*paths: Path) -> list[ImageFile]:
    return [ImageFile(path) for path in paths]


def test_tiny_images_are_read_in_their_order(tmp_path: Path) -> None:
    paths = [_picture(tmp_path / f"{number}.png", 8) for number in range(300)]
    blocks = list(image_blocks(_files(*paths), together=True))
    assert [len(block) for block in blocks] == [128, 128, 44]
    assert [file.path for block in blocks for file, _ in block] == paths
    assert all(isinstance(image, Frame) and image.pixels.shape == (8, 8, 3) for _, image in blocks[0])


def test_large_images_are_left_to_the_workers_one_by_one(tmp_path: Path) -> None:
    tiny, large = _picture(tmp_path / "tiny.png", 8), _picture(tmp_path / "large.png", 300)
    blocks = list(image_blocks(_files(large, tiny, tiny, large, large), together=True))
    assert [len(block) for block in blocks] == [1, 4]
    assert blocks[0] == [(ImageFile(large), None)]


def test_without_a_gain_every_image_is_a_block_of_its_own(tmp_path: Path) -> None:
    (file,) = _files(_picture(tmp_path / "tiny.png", 8))
    assert list(image_blocks([file, file], together=False)) == [[(file, None)]] * 2


def test_an_unreadable_file_keeps_its_place(tmp_path: Path) -> None:
    good, broken = _picture(tmp_path / "good.png", 8), tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    (block,) = image_blocks(_files(good, broken, good), together=True)
    assert [isinstance(image, InputError) for _, image in block] == [False, True, False]
    (gone,) = _files(tmp_path / "gone.png")
    assert list(image_blocks([gone], together=True)) == [[(gone, None)]]


def test_a_block_ends_at_its_limit_of_pixels() -> None:
    image = np.zeros((1000, 1000, 3), np.uint8)
    readers = iter([lambda: image] * 5)
    assert [len(block) for block in iter(lambda: read_block(readers), [])] == [2, 2, 1]
