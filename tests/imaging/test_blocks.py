"""Tiny pictures come read and many at a time, large ones one by one and unread; memory stays bounded."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgevision.errors import InputError
from edgevision.imaging.blocks import image_blocks, read_block


def _picture(path: Path, size: int) -> Path:
    pixels = np.random.default_rng(size).integers(0, 256, (size, size, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def test_tiny_pictures_come_read_in_their_order(tmp_path: Path) -> None:
    paths = [_picture(tmp_path / f"{number}.png", 8) for number in range(300)]
    blocks = list(image_blocks(paths, together=True))
    assert [len(block) for block in blocks] == [128, 128, 44]
    assert [path for block in blocks for path, _ in block] == paths
    assert all(isinstance(image, np.ndarray) and image.shape == (8, 8, 3) for _, image in blocks[0])


def test_large_pictures_are_left_to_the_workers_one_by_one(tmp_path: Path) -> None:
    tiny, large = _picture(tmp_path / "tiny.png", 8), _picture(tmp_path / "large.png", 300)
    blocks = list(image_blocks([large, tiny, tiny, large, large], together=True))
    assert [len(block) for block in blocks] == [1, 4]
    assert blocks[0] == [(large, None)]


def test_where_it_does_not_pay_every_picture_comes_alone(tmp_path: Path) -> None:
    path = _picture(tmp_path / "tiny.png", 8)
    assert list(image_blocks([path, path], together=False)) == [[(path, None)]] * 2


def test_what_cannot_be_read_keeps_its_place(tmp_path: Path) -> None:
    good, broken = _picture(tmp_path / "good.png", 8), tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    (block,) = image_blocks([good, broken, good], together=True)
    assert [isinstance(image, InputError) for _, image in block] == [False, True, False]
    assert list(image_blocks([tmp_path / "gone.png"], together=True)) == [[(tmp_path / "gone.png", None)]]


def test_a_block_ends_where_its_pixels_become_many() -> None:
    image = np.zeros((1000, 1000, 3), np.uint8)
    readers = iter([lambda: image] * 5)
    assert [len(block) for block in iter(lambda: read_block(readers), [])] == [2, 2, 1]
