"""A photo as a 12-bit camera takes it, on a trained network: its answer by every route, and never another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
