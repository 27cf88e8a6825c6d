"""A photo as a 12-bit camera takes it, on a trained network: its answer by every route, and never another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgevision
from edgevision.errors import InputError
from edgevision.imaging.decode import as_image
from image_files import png, tiff

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


@pytest.mark.parametrize(
    ("name", "label"), [("burger", "cheeseburger"), ("owl", "ruffed grouse"), ("parrot", "macaw")]
)
def test_a_photo_of_twelve_bits_gets_the_answer_of_eight(
    name: str, label: str, shared: Path, tmp_path: Path
) -> None:
    photo = as_image(shared / "images" / f"{name}.jpg")
    deep = (photo.astype(np.uint32) * 4095 // 255).astype(np.uint16)
    (tmp_path / "deep.png").write_bytes(png(deep))
    (tmp_path / "deep.tif").write_bytes(tiff(deep))
    routes: tuple[Any, ...] = (deep, tmp_path / "deep.png", tmp_path / "deep.tif", png(deep))
    file = shared / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite"
    stated = edgevision.BareModel(edgevision.InputOptions(bit_depth=12))
    with edgevision.load(file) as plain, edgevision.load(file, bare=stated) as model:
        expected = plain(photo).top()[0]
        assert expected.label == label
        for route in routes:
            found = model(route).top()[0]
            assert found.label == label
            assert found.score == pytest.approx(expected.score, abs=0.06)
            with pytest.raises(InputError, match="say how values become black and white"):
                plain(route)


@pytest.mark.parametrize("name", ["yuv420", "nv12", "yuyv"])
def test_a_yuv_frame_gets_the_answer_of_the_photo(name: str, shared: Path) -> None:
    photo = as_image(shared / "images" / "burger.jpg")
    height, width = (size // 2 * 2 for size in photo.shape[:2])
    yuv = cv2.cvtColor(np.ascontiguousarray(photo[:height, :width]), cv2.COLOR_RGB2YUV_I420)
    if name == "nv12":
        u, v = yuv[height:].reshape(2, -1)
        yuv = np.concatenate([yuv[:height], np.stack([u, v], axis=1).reshape(height // 2, width)])
    elif name == "yuyv":
        u, v = (
            plane.reshape(height // 2, width // 2).repeat(2, axis=0) for plane in yuv[height:].reshape(2, -1)
        )
        yuv = np.stack([yuv[:height], np.stack([u, v], axis=2).reshape(height, width)], axis=2)
    padded = np.pad(yuv.reshape(yuv.shape[0], -1), ((0, 0), (0, 64))) if name != "yuv420" else None
    with edgevision.load(shared / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite") as model:
        found = [model(yuv, color=name), *model([yuv], color=name)]
        if padded is not None:
            found.append(model(edgevision.YuvFrame(padded, name, size_wh=(width, height))))
        assert [one.top()[0].label for one in found] == ["cheeseburger"] * len(found)
        assert all(one.top()[0].score > 0.9 for one in found)
