"""Values that mean nothing, or too much, as arguments: each kind by name, made from a random source."""

from __future__ import annotations

import decimal
import fractions
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np


class Meaningless:
    """No path, no number, no sequence, and no array."""


class Raises:
    """Every special method by which Python or numpy asks for a form raises."""

    def _raise(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("this object answers no question")

    __fspath__ = __len__ = __iter__ = __getitem__ = __array__ = __index__ = __float__ = __int__ = _raise
    __bool__ = __hash__ = __eq__ = __str__ = __repr__ = _raise  # type: ignore[assignment]

    @property
    def __array_interface__(self) -> Any:
        raise RuntimeError("this object answers no question")


class LongWords:
    """Its text takes megabytes."""

    def __repr__(self) -> str:
        return "x" * 10_000_000

    __str__ = __repr__


class NoText:
    """A path that is not text."""

    def __fspath__(self) -> Any:
        return 5


class Endless:
    """A sequence without an end."""

    def __iter__(self) -> Any:
        while True:
            yield 1


class Subclass(np.ndarray):
    """An array whose subclass answers for it."""


def looped() -> list[Any]:
    values: list[Any] = [1]
    values.append(values)
    return values


def nested() -> list[Any]:
    values: list[Any] = []
    for _ in range(100_000):
        values = [values]
    return values


def memory_map(random: Random, folder: Path, shape: tuple[int, ...] = (64, 64, 3)) -> np.memmap[Any, Any]:
    """An array in a file that is cut after it was mapped: reading it would kill the process."""
    path = folder / f"map{random.randrange(10**9)}"
    path.write_bytes(bytes(int(np.prod(shape))))
    mapped = np.memmap(path, np.uint8, "r", shape=shape)
    with path.open("r+b") as file:
        file.truncate(0)
    return mapped


def view_of_a_map(random: Random, folder: Path) -> np.ndarray[Any, Any]:
    """The same, in an array that is no `np.memmap`."""
    mapped = memory_map(random, folder)
    return random.choice([np.asarray(mapped), np.asarray(mapped)[:8, :8], np.asarray(mapped)[None]])


def pil(mode: str, size: tuple[int, int] = (20, 10)) -> Any:
    from PIL import Image

    return Image.new(mode, size)


def truncated_pil() -> Any:
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.effect_noise((300, 300), 50).save(content, "JPEG")
    return Image.open(io.BytesIO(content.getvalue()[:2000]))


def array(random: Random) -> np.ndarray[Any, Any]:
    shape = tuple(random.choice([0, 1, 2, 3, 4, 8, 16]) for _ in range(random.randrange(7)))
    kinds = ["?", "b", "u1", "i2", "u2", ">u2", "i4", "u4", "i8", "u8", "f2", "f4", ">f4", "f8", "g", "c8"]
    kind = np.dtype(random.choice([*kinds, "O", "U3", "S3", "M8[s]", "m8[s]", "V4", "i4,f4"]))
    values = np.zeros(shape, kind)
    if kind.kind == "f" and values.size and random.random() < 0.5:
        values.flat[random.randrange(values.size)] = random.choice([np.nan, np.inf, -np.inf, 65504])
    return values


#: Kind -> value; the folder is for those that need files.
KINDS: dict[str, Callable[[Random, Path], Any]] = {
    "None": lambda r, f: None,
    "bool": lambda r, f: r.choice([True, False, np.True_]),
    "small number": lambda r, f: r.choice([0, 1, 2, -1, -7, 255, 256, 1.0, -0.0, 0.5]),
    "large number": lambda r, f: r.choice([2**31, 2**32, 2**53, 2**63, 2**64, -(2**63), 10**30, 1e308]),
    "5,000 digits": lambda r, f: r.choice([10**5000, -(10**5000)]),
    "not finite": lambda r, f: r.choice([float("nan"), float("inf"), -np.float32("inf"), np.float16("nan")]),
    "numpy scalar": lambda r, f: r.choice(
        [np.uint8(200), np.int64(-5), np.float16(0.1), np.longdouble("1e4000"), np.datetime64("2026-01-01")]
    ),
    "other number": lambda r, f: r.choice(
        [1j, decimal.Decimal("NaN"), decimal.Decimal("1e999999"), fractions.Fraction(10**400, 3)]
    ),
    "text": lambda r, f: r.choice(["", " ", "nan", "5", "a\nb", "\x1b[31m", "no", "rgb", "../..", "-", "é"]),
    "NUL": lambda r, f: "a\0b",
    "surrogate": lambda r, f: "a\ud800b",
    "long text": lambda r, f: r.choice(["a" * 300, "a" * 5000, "a/" * 3000, "ü" * 1_000_000]),
    "bytes": lambda r, f: r.choice(
        [b"", b"abc", bytearray(b"\xff\xd8"), memoryview(b"12345678"), b"\0" * 100]
    ),
    "strided memory": lambda r, f: memoryview(bytes(100))[::3],
    "list": lambda r, f: r.choice([[], [None], [1, "a"], [[1, 2], [3]], [float("nan")], ["a", "a"], [[]]]),
    "looped list": lambda r, f: looped(),
    "nested list": lambda r, f: nested(),
    "long list": lambda r, f: [0] * 1_000_000,
    "tuple": lambda r, f: r.choice([(), (1,), (1, 2), (1.5, 2), (0, 0), (-1, 5), (10**6, 10**6), (2**40, 1)]),
    "range": lambda r, f: r.choice([range(10**12), range(0), range(-5, 5)]),
    "dictionary": lambda r, f: r.choice([{}, {"a": 1}, {1: 2}, {"a": {"b": [None]}}, {("a",): np.zeros(3)}]),
    "set": lambda r, f: r.choice([set(), {1, 2}, frozenset("ab")]),
    "generator": lambda r, f: r.choice([(i for i in range(3)), iter([]), map(int, ["x"])]),
    "endless": lambda r, f: Endless(),
    "object": lambda r, f: Meaningless(),
    "class": lambda r, f: r.choice([Meaningless, int, np.ndarray]),
    "function": lambda r, f: r.choice([lambda *_: 1, print]),
    "raising object": lambda r, f: Raises(),
    "long words": lambda r, f: LongWords(),
    "no text": lambda r, f: NoText(),
    "path": lambda r, f: r.choice(
        [
            f,
            f / "missing",
            f / "a.png",
            f / "empty",
            f / "text.json",
            f / ("x" * 300),
            Path("/dev/null"),
            Path(),
        ]
    ),
    "array": lambda r, f: array(r),
    "array of sizes": lambda r, f: np.zeros(
        r.choice([(1, 10**6, 3), (10**6, 1, 3), (1, 1), (0, 5, 3)]), np.uint8
    ),
    "masked array": lambda r, f: np.ma.masked_all((8, 8, 3), np.uint8),
    "subclass": lambda r, f: np.zeros((8, 8, 3), np.uint8).view(Subclass),
    "matrix": lambda r, f: np.asmatrix(np.zeros((8, 8), np.uint8)),
    "reversed array": lambda r, f: np.zeros((8, 8, 3), np.uint8)[::-1, :, ::-1],
    "giant": lambda r, f: np.broadcast_to(
        r.choice([np.uint8(0), np.float32(0), np.int64(0)]),
        r.choice([(200_000, 200_000, 3), (2**40, 8, 8, 3), (2**31, 4), (1, 2**20, 2**20, 3), (2**45,)]),
    ),
    "memory map": lambda r, f: memory_map(r, f),
    "view of a memory map": view_of_a_map,
    "objects": lambda r, f: np.array([None, "a", 1.5], dtype=object),
    "PIL image": lambda r, f: pil(r.choice(["1", "L", "P", "RGBA", "CMYK", "I", "F", "LAB", "I;16", "RGBX"])),
    "large PIL image": lambda r, f: pil("1", (12_000, 12_000)),
    "truncated PIL image": lambda r, f: truncated_pil(),
    "open file": lambda r, f: (f / "text.json").open("rb"),
}


def bad_value(random: Random, folder: Path) -> tuple[str, Any]:
    """A kind and a value of it; sometimes wrapped in a sequence or a dictionary."""
    kind = random.choice(list(KINDS))
    value = KINDS[kind](random, folder)
    wrapped = random.random()
    if wrapped < 0.1:
        return f"list of {kind}", [value]
    if wrapped < 0.15:
        return f"tuple of two: {kind}", (value, value)
    if wrapped < 0.2:
        return f"dictionary of {kind}", {"image": value}
    return kind, value
