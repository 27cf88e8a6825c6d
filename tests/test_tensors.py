"""Quantization of tensors, and the numbers that their integers represent."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.tensors import Quantization, TensorSpec, all_finite, dequantizer


@pytest.mark.parametrize("quantization", [None, Quantization(0.00390625, -128), Quantization(0.1, 3)])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_the_fast_dequantizer_computes_what_dequantize_does(
    dtype: str, quantization: Quantization | None
) -> None:
    spec = TensorSpec("scores", (1, 2, 256), dtype, quantization)
    values = np.arange(512, dtype=np.int64).astype(dtype).reshape(1, 2, 256)
    real = dequantizer(spec)(values)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, spec.dequantize(values))
    np.testing.assert_array_equal(dequantizer(spec)(values[0, 0, ::3]), spec.dequantize(values[0, 0, ::3]))


def test_float32_is_returned_as_it_is() -> None:
    values = np.array([[0.25, -1.0]], np.float32)
    np.testing.assert_array_equal(dequantizer(TensorSpec("scores", (1, 2), "float32"))(values), values)
    half = dequantizer(TensorSpec("scores", (1, 2), "float16"))(values.astype(np.float16))
    assert half.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_single_nan_or_infinity_is_found_and_large_numbers_are_finite(
    dtype: type[np.floating],
) -> None:
    values = np.full((3, 40), np.finfo(dtype).max, dtype)
    assert all_finite(values)
    for wrong in (np.nan, np.inf, -np.inf):
        values[1, 7] = wrong
        assert not all_finite(values)
        assert not all_finite(values[:, ::7])
    assert all_finite(values[:0])


def test_a_spec_with_numbers_of_numpy_is_the_same_and_goes_into_json() -> None:
    plain = TensorSpec("scores", (None, 2), "int8", Quantization(0.5, -3))
    numpy = TensorSpec("scores", [None, np.int64(2)], "int8", Quantization(np.float32(0.5), np.int8(-3)))  # type: ignore[arg-type]
    assert numpy == plain
    assert hash(numpy) == hash(plain)
    assert json.dumps(asdict(numpy)) == json.dumps(asdict(plain))
    assert numpy.with_batch(np.int64(4)) == (4, 2)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="zero_point: expected a whole number, got 0.5"):
        Quantization(0.5, 0.5)  # type: ignore[arg-type]
