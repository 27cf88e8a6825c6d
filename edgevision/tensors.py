"""What crosses the border to a backend: named tensors, and the checks that they pass first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Quantization:
    """How integers stand for real numbers: ``real = (integer - zero_point) * scale``, one pair a tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of an artifact.

    Attributes:
        name: as the artifact has it; unique among the inputs, and among the outputs.
        shape: sizes, ``None`` where the artifact leaves a size open. Only the first, the
            batch, may be open at the border to a backend.
        dtype: the numpy name, such as ``float32`` or ``int8``.
        quantization: for integer tensors that stand for real numbers, else ``None``.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None = None

    @property
    def dynamic_batch(self) -> bool:
        """Whether the first size is open."""
        return bool(self.shape) and self.shape[0] is None

    def with_batch(self, batch: int) -> tuple[int, ...]:
        """The shape in full, with `batch` where the artifact leaves a size open."""
        return tuple(batch if size is None else size for size in self.shape)

    def describe(self) -> str:
        """Such as ``(batch, 32, 32, 3) float32``."""
        return f"({_sizes(self.shape)}) {self.dtype}"

    def dequantize(self, values: Array) -> NDArray[np.float32]:
        """The real numbers, float32, that `values` of this tensor stand for."""
        if self.quantization is None:
            return np.asarray(values, np.float32)
        real = np.subtract(values, np.float32(self.quantization.zero_point), dtype=np.float32)
        real *= np.float32(self.quantization.scale)
        return np.asarray(real, np.float32)  # of a single number numpy makes no array

    def quantize(self, values: Array) -> Array:
        """The inverse of `dequantize`: `values` in this tensor's dtype.

        Integers are rounded half to even and clipped to those that there are, as the runtimes do.
        An integer tensor without a quantization stands for its integers.
        """
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            return values.astype(dtype, copy=False)
        how = self.quantization or Quantization(1.0, 0)
        integers = np.rint(values / how.scale) + how.zero_point
        limits = np.iinfo(dtype)
        return np.asarray(integers.clip(limits.min, limits.max).astype(dtype))


def dequantizer(
    spec: TensorSpec, then: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
) -> Callable[[Array], NDArray[np.float32]]:
    """`TensorSpec.dequantize`, made ready for many calls: the same numbers, sooner.

    Real numbers are given back as they are. Of 8 bits there are 256 values, so what each stands for
    is computed once.

    Args:
        spec: of the tensor.
        then: makes another number of each, whatever the others are.
    """
    if spec.dtype in ("int8", "uint8"):
        numbers = spec.dequantize(np.arange(256, dtype=np.uint8).view(spec.dtype))
        table = numbers if then is None else then(numbers)
        return lambda values: table.take(values.view(np.uint8))
    if then is not None:
        return lambda values: then(spec.dequantize(values))
    return (lambda values: values) if spec.dtype == "float32" else spec.dequantize


def is_always_finite(spec: TensorSpec) -> bool:
    """Whether all that a tensor can hold stands for finite numbers: it has 8 bits, and no wild scale."""
    if spec.dtype not in ("int8", "uint8"):
        return False
    with np.errstate(all="ignore"):
        return all_finite(spec.dequantize(np.arange(256, dtype=np.uint8).view(spec.dtype)))


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> int:
    """Check tensors against what an artifact takes, before a runtime sees them.

    Returns:
        The batch: the common first size of all inputs whose batch is open, else 1.

    Raises:
        InputError: a tensor is missing, unknown, of another shape or dtype, holds NaN or
            infinity, or two of them differ in their batch.
    """
    expected = {spec.name for spec in specs}
    if set(inputs) != expected:
        raise InputError(f"inputs are named {_names(inputs)}; expected {_names(expected)}")
    batches: dict[str, int] = {}
    for spec in specs:
        array = inputs[spec.name]
        if not isinstance(array, np.ndarray):
            raise InputError(f"input '{spec.name}': expected a numpy array, got {type(array).__name__}")
        fits = len(array.shape) == len(spec.shape) and all(
            wanted in (None, got) for wanted, got in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or array.dtype.name != spec.dtype or array.size == 0:
            got = f"({_sizes(array.shape)}) {array.dtype.name}"
            raise InputError(f"input '{spec.name}': expected {spec.describe()}, got {got}")
        if array.dtype.kind == "f" and not all_finite(array):
            raise InputError(f"input '{spec.name}': holds NaN or infinity; expected finite numbers")
        if spec.dynamic_batch:
            batches[spec.name] = array.shape[0]
    if len(set(batches.values())) > 1:
        raise InputError(f"inputs differ in their batch: {batches}; expected one size for all")
    return next(iter(batches.values()), 1)


def all_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite.

    The sum of finite squares is finite but for overflow, and costs half of looking at each: so
    only a sum that is not finite is looked at twice.
    """
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def _sizes(shape: Sequence[int | None]) -> str:
    names = ["batch" if position == 0 else "any" for position in range(len(shape))]
    return ", ".join(name if size is None else str(size) for name, size in zip(names, shape, strict=True))


def _names(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in sorted(map(str, names))) or "(none)"
