"""Arrays of others are checked before anything is allocated."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest

from edgevision.system.array_files import read_npy, read_npz


def _npy(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values), allow_pickle=True)
    return buffer.getvalue()


def _declaring(header: str) -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24, dtype=">i4").reshape(2, 3, 4),
        np.asfortranarray(np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)),
        np.array(3.5),
        np.zeros((0, 3), np.uint8),
        np.array([True, False]),
    ],
)
def test_what_numpy_writes_is_read_as_numpy_reads_it(values: np.ndarray) -> None:
    read = read_npy(_npy(values))
    assert read.dtype == values.dtype
    assert read.shape == values.shape
    assert np.array_equal(read, values)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"a/b": values})
    assert np.array_equal(read_npz(buffer.getvalue(), 10_000)["a/b"], values)


REFUSED = [
    (b"", "is not an array"),
    (b"\x93NUMPY\x01\x00", "is not an array"),
    (_npy([1.5])[:-1], "declares 8 bytes of values and has 7"),
    (_npy([1.5]) + b"x", "declares 8 bytes of values and has 9"),
    (_npy(["text"]), "holds <U4, expected numbers"),
    (_npy(np.array([{}], object)), "holds object, expected numbers"),
    (_declaring("{'descr': '<f8', 'fortran_order': False, 'shape': (10**18,)}"), "header cannot be read"),
    (_declaring("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}"), "declares 8,000,"),
    (_declaring("{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}"), "declares the shape"),
    (_declaring("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3)}"), "declares the shape"),
    (_declaring("{'descr': '<f8', 'fortran_order': 1, 'shape': (3,)}"), "declares the shape"),
    (_declaring("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}"), "holds object"),
    (_declaring("{'descr': '<f8'"), "header cannot be read"),
    (_declaring("[" * 110), "header cannot be read"),
    (_declaring("__import__('os').abort()"), "header cannot be read"),
]


@pytest.mark.parametrize(("content", "reason"), REFUSED)
def test_what_is_no_array_of_numbers_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_npy(content)


def test_damage_anywhere_is_a_value_error_or_an_array() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.arange(60, dtype=np.float32), other=np.arange(9))
    good, choose = buffer.getvalue(), random.Random(3)  # noqa: S311
    for _ in range(400):
        damaged = bytearray(good)
        for _ in range(choose.choice((1, 3))):
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        try:
            read_npz(bytes(damaged), 10_000)
        except ValueError:
            continue


def test_more_than_the_limit_is_refused_before_it_is_unpacked() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.zeros(10_000_000, np.uint8))
    with pytest.raises(ValueError, match="unpacks to 10,000,128 bytes, expected 1,000 at most"):
        read_npz(buffer.getvalue(), 1000)
