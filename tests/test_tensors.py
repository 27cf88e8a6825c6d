"""From a tensor's integers to the real numbers that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.tensors import Quantization, TensorSpec, all_finite, dequantizer


@pytest.mark.parametrize("how", [None, Quantization(0.00390625, -128), Quantization(0.1, 3)])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_numbers_made_ready_for_many_calls_are_those_of_one(dtype: str, how: Quantization | None) -> None:
    spec = TensorSpec("scores", (1, 2, 256), dtype, how)
    values = np.arange(512, dtype=np.int64).astype(dtype).reshape(1, 2, 256)
    got = dequantizer(spec)(values)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, spec.dequantize(values))
    np.testing.assert_array_equal(dequantizer(spec)(values[0, 0, ::3]), spec.dequantize(values[0, 0, ::3]))


def test_real_numbers_are_given_back_as_they_are() -> None:
    values = np.array([[0.25, -1.0]], np.float32)
    np.testing.assert_array_equal(dequantizer(TensorSpec("scores", (1, 2), "float32"))(values), values)
    half = dequantizer(TensorSpec("scores", (1, 2), "float16"))(values.astype(np.float16))
    assert half.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_number_that_is_none_is_found_and_large_ones_are_numbers(dtype: type[np.floating]) -> None:
    values = np.full((3, 40), np.finfo(dtype).max, dtype)
    assert all_finite(values)
    for wrong in (np.nan, np.inf, -np.inf):
        values[1, 7] = wrong
        assert not all_finite(values)
        assert not all_finite(values[:, ::7])
    assert all_finite(values[:0])
