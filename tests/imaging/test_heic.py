"""HEIC pictures of phones: upright by every door, refused with more bits, or told what to install."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgevision.errors import InputError
from edgevision.imaging.decode import as_image

pi_heif = pytest.importorskip("pi_heif")

FILES = Path(__file__).parents[1] / "data" / "heic"
CENTRES = np.array([[(250, 10, 10), (10, 250, 10)], [(10, 10, 250), (120, 120, 120)]])


@pytest.mark.parametrize("name", ["quarters.heic", "quarters_turned.heic"])
def test_a_picture_is_upright_by_path_bytes_and_pil(name: str) -> None:
    pi_heif.register_heif_opener()
    path = FILES / name
    with Image.open(path) as opened:
        for value in (path, path.read_bytes(), opened):
            pixels = as_image(value)
            assert pixels.shape == (48, 64, 3)
            assert np.abs(pixels[12::24, 16::32].astype(int) - CENTRES).max() < 8


def test_more_than_eight_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pi_heif.register_heif_opener()
    with pytest.raises(InputError, match=r"10_bits\.heic: .* it has 10 bits per channel"):
        as_image(FILES / "quarters_10_bits.heic")
    with (
        Image.open(FILES / "quarters_10_bits.heic") as opened,
        pytest.raises(InputError, match="more than 8 bits per channel, which PIL cuts"),
    ):
        as_image(opened)


@pytest.mark.parametrize("cut", [40, 300, 600])
def test_a_file_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(InputError, match="image: damaged or not supported"):
        as_image((FILES / "quarters.heic").read_bytes()[:cut])


def test_a_large_picture_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_MAX_PIXELS", "3000")
    with pytest.raises(InputError, match="has 64 x 48 pixels, more than the limit of 3000"):
        as_image(FILES / "quarters.heic")


def test_without_pi_heif_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: Any = sys.modules
    monkeypatch.setitem(modules, "pi_heif", None)
    with pytest.raises(
        InputError, match=r'run: pip install "edgevision\[heic\]"; or convert it: heif-convert'
    ):
        as_image(FILES / "quarters.heic")
