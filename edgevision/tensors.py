"""Named tensors, the interface to a backend, and the checks of its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError
from edgevision.system.arguments import array as array_argument
from edgevision.system.arguments import real_number, sequence, text, whole_number
from edgevision.system.numeric import is_memory_mapped, is_whole
from edgevision.system.shown import shown

Array = NDArray[Any]

#: The most pixels of an image's side, as in JPEG: more would overflow in libraries, and fills no network.
MAX_SIDE = 65_535
#: Of one tensor in one call. An array that repeats another's memory may have any size.
MOST_TENSOR_BYTES = 2**31
#: Names that an error lists.
_MOST_NAMED = 20


@dataclass(frozen=True)
class Quantization:
    """Per-tensor affine quantization: ``real = (integer - zero_point) * scale``."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", real_number(self.scale, "scale", finite=False))
        object.__setattr__(self, "zero_point", whole_number(self.zero_point, "zero_point"))


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of an artifact.

    Attributes:
        name: its name in the artifact; unique among the inputs, and among the outputs.
        shape: sizes, ``None`` for an open size. At the interface to a backend only the first size, the
            batch, may be open.
        dtype: the numpy name, such as ``float32`` or ``int8``.
        quantization: scale and zero point of an integer tensor that represents real numbers, else ``None``.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", text(self.name, "name"))
        object.__setattr__(self, "dtype", text(self.dtype, "dtype"))
        sizes = sequence(self.shape, f"shape of '{self.name}'", "sizes")
        shape = tuple(None if size is None else whole_number(size, "size", least=0) for size in sizes)
        object.__setattr__(self, "shape", shape)

    @property
    def dynamic_batch(self) -> bool:
        """True if the first size is open."""
        return bool(self.shape) and self.shape[0] is None

    def with_batch(self, batch: int) -> tuple[int, ...]:
        """The shape with `batch` in place of open sizes."""
        batch = whole_number(batch, "batch", least=0)
        return tuple(batch if size is None else size for size in self.shape)

    def describe(self) -> str:
        """Shape and dtype in words, such as ``(batch, 32, 32, 3) float32``."""
        return f"({_sizes(self.shape)}) {self.dtype}"

    def dequantize(self, values: Array) -> NDArray[np.float32]:
        """The real numbers, float32, that `values` of this tensor represent.

        Raises:
            OptionError: `values` is not an array of numbers.
        """
        array_argument(values, "values")
        if self.quantization is None:
            return np.asarray(values, np.float32)
        real = np.subtract(values, np.float32(self.quantization.zero_point), dtype=np.float32)
        real *= np.float32(self.quantization.scale)
        return np.asarray(real, np.float32)  # np.subtract returns a scalar for a single number

    def quantize(self, values: Array) -> Array:
        """Convert real numbers to this tensor's dtype: the inverse of `dequantize`.

        As in the runtimes, integers are rounded half to even and saturate at the limits of the dtype.
        Without a quantization, an integer tensor represents the integers themselves.

        Raises:
            OptionError: `values` is not an array of numbers.
        """
        array_argument(values, "values")
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            return values.astype(dtype, copy=False)
        affine = self.quantization or Quantization(1.0, 0)
        integers = np.rint(values / affine.scale) + affine.zero_point
        limits = np.iinfo(dtype)
        return np.asarray(integers.clip(limits.min, limits.max).astype(dtype))


def dequantizer(
    spec: TensorSpec, then: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
) -> Callable[[Array], NDArray[np.float32]]:
    """A function that computes `TensorSpec.dequantize` faster, for many calls.

    float32 is returned as it is. An 8-bit tensor has 256 possible values, so their real numbers are
    computed once and looked up.

    Args:
        spec: the tensor's spec.
        then: an elementwise function that is applied to the real numbers.
    """
    if spec.dtype in ("int8", "uint8"):
        numbers = spec.dequantize(np.arange(256, dtype=np.uint8).view(spec.dtype))
        table = numbers if then is None else then(numbers)
        return lambda values: table.take(values.view(np.uint8))
    if then is not None:
        return lambda values: then(spec.dequantize(values))
    return (lambda values: values) if spec.dtype == "float32" else spec.dequantize


def is_always_finite(spec: TensorSpec) -> bool:
    """Return whether every value of a tensor is a finite number: 8 bits, and no scale that overflows."""
    if spec.dtype not in ("int8", "uint8"):
        return False
    with np.errstate(all="ignore"):
        return all_finite(spec.dequantize(np.arange(256, dtype=np.uint8).view(spec.dtype)))


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> int:
    """Check tensors against an artifact's inputs, before a runtime reads them.

    Returns:
        The batch size: the common first size of all inputs with an open batch, else 1.

    Raises:
        InputError: a tensor is missing, unknown, of another shape or dtype, contains NaN or
            infinity, or two of them differ in their batch.
    """
    names = {spec.name for spec in specs}
    if not isinstance(inputs, Mapping):
        raise InputError(f"inputs: expected a mapping of names to arrays, got {shown(inputs)}")
    if set(inputs) != names:
        raise InputError(f"inputs are named {_names(inputs)}; expected {_names(names)}")
    batches: dict[str, int] = {}
    for spec in specs:
        array = inputs[spec.name]
        _check_tensor(spec, array, "input")
        if array.dtype.kind == "f" and not all_finite(array):
            raise InputError(f"input '{spec.name}': contains NaN or infinity; expected finite numbers")
        if spec.dynamic_batch:
            batches[spec.name] = array.shape[0]
    if len(set(batches.values())) > 1:
        raise InputError(f"inputs differ in their batch: {batches}; expected one size for all")
    return next(iter(batches.values()), 1)


def check_outputs(specs: Sequence[TensorSpec], outputs: Mapping[str, Array]) -> None:
    """Check tensors that a caller passes as the outputs of a run.

    Raises:
        InputError: an output is missing, or of another shape or dtype.
    """
    if not isinstance(outputs, Mapping):
        raise InputError(f"outputs: expected a mapping of names to arrays, got {shown(outputs)}")
    for spec in specs:
        if spec.name not in outputs:
            raise InputError(f"outputs are named {_names(outputs)}; expected '{spec.name}' among them")
        _check_tensor(spec, outputs[spec.name], "output")


def _check_tensor(spec: TensorSpec, array: Any, what: str) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"{what} '{spec.name}': expected a numpy array, got {type(array).__name__}")
    same_shape = len(array.shape) == len(spec.shape) and all(
        expected in (None, got) for expected, got in zip(spec.shape, array.shape, strict=True)
    )
    if not same_shape or array.dtype.name != spec.dtype or array.size == 0:
        got = f"({_sizes(array.shape)}) {array.dtype.name}"
        raise InputError(f"{what} '{spec.name}': expected {spec.describe()}, got {got}")
    if array.nbytes > MOST_TENSOR_BYTES:
        raise InputError(
            f"{what} '{spec.name}': {array.nbytes} bytes; expected {MOST_TENSOR_BYTES} at most in one call"
        )
    if is_memory_mapped(array):
        raise InputError(f"{what} '{spec.name}': is in a mapped file; pass numpy.array(…)")


def is_size_wh(value: object) -> bool:
    """Return whether a value is a width and a height of an image: two whole numbers, 1 to `MAX_SIDE`."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return all(is_whole(side, 1) and side <= MAX_SIDE for side in value)


def all_finite(array: Array) -> bool:
    """Return whether no element is NaN or infinite.

    The sum of squares of finite numbers is finite unless it overflows, and costs half as much as a
    test of each element, so the elements are tested only where that sum is not finite.
    """
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def _sizes(shape: Sequence[int | None]) -> str:
    names = ["batch" if position == 0 else "any" for position in range(len(shape))]
    return ", ".join(name if size is None else str(size) for name, size in zip(names, shape, strict=True))


def _names(names: Any) -> str:
    return ", ".join(sorted(shown(name) for name in islice(names, _MOST_NAMED))) or "(none)"
