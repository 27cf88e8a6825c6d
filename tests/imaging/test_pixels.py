"""Every way of writing pixels gives the entries of the table."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgevision.imaging.pixels import straight_line, writer
from edgevision.imaging.preprocess import Preprocessing, pixel_table
from edgevision.tensors import Quantization, TensorSpec

EVERY_PIXEL = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)

#: Value range, scale and zero point: of two MobileNets that are in use, with a step left out and one doubled;
#: pixels spread over fewer integers; clipped above; clipped below, where no line leads.
ON_A_LINE = [
    ((-1.0, 1.0), 0.007843137718737125, 127),
    ((-1.0, 1.0), 0.0078125, 128),
    ((0.0, 1.0), 0.0186, 14),
    ((0.0, 1.0), 0.003, 0),
]
ON_NONE = ((-1.0, 1.0), 0.01, 50)


def _table(
    value_range: tuple[float, float], scale: float, zero_point: int, dtype: str
) -> NDArray[np.generic]:
    zero_point -= 128 if dtype == "int8" else 0
    spec = TensorSpec("image", (None, 16, 16, 3), dtype, Quantization(scale, zero_point))
    return pixel_table(Preprocessing((16, 16), value_range), spec)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("case", [*ON_A_LINE, ON_NONE])
def test_every_pixel_becomes_its_entry_also_in_its_own_memory(
    case: tuple[tuple[float, float], float, int], dtype: str
) -> None:
    table = _table(*case, dtype)
    out = EVERY_PIXEL.copy().view(dtype)
    writer(table)(out.view(np.uint8), out)
    np.testing.assert_array_equal(out, table[EVERY_PIXEL, 0])


@pytest.mark.parametrize("case", ON_A_LINE)
def test_a_line_is_found_if_one_gives_every_entry(case: tuple[tuple[float, float], float, int]) -> None:
    table = _table(*case, "uint8")[:, 0]
    line = straight_line(table)
    assert line is not None
    result = cv2.convertScaleAbs(np.arange(256, dtype=np.uint8), None, *line)
    np.testing.assert_array_equal(result.ravel(), table)


@pytest.mark.parametrize("value", [0, 255])
def test_a_constant_table_gives_its_value_to_every_pixel(value: int) -> None:
    out = EVERY_PIXEL.copy()
    writer(np.full((256, 1), value, np.uint8))(out, out)
    assert (out == value).all()


def test_a_bent_table_has_no_line() -> None:
    bends = [_table(*ON_NONE, "uint8")[:, 0], np.arange(256)[::-1] // 2 * 2, np.sqrt(np.arange(256) * 255)]
    assert [straight_line(table.astype(np.uint8)) for table in bends] == [None] * 3
