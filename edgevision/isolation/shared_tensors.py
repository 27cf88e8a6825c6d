"""Tensors in memory that two processes share.

The memory has no name: it is passed on as a descriptor, and is gone with the last process that has it,
however that ends.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from edgevision.errors import InferenceError
from edgevision.tensors import Array, TensorSpec

#: Bytes between the starts of two tensors: a cache line, which vector instructions are aligned to.
_ALIGNMENT = 64


class SharedTensors:
    """The inputs and outputs of one slot, in shared memory.

    Args:
        descriptor: of memory from `allocate`; this object keeps a copy of it.
        inputs, outputs: specs of the tensors, the same in both processes.
        batch: in place of open sizes.

    Attributes:
        inputs, outputs: name -> array in the memory.
    """

    def __init__(
        self, descriptor: int, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], batch: int
    ) -> None:
        memory = mmap.mmap(descriptor, size_of(inputs, outputs, batch))
        starts = iter(_starts(inputs, outputs, batch))
        self.inputs: Mapping[str, Array] = {
            spec.name: _array(memory, next(starts), spec, batch) for spec in inputs
        }
        self.outputs: Mapping[str, Array] = {
            spec.name: _array(memory, next(starts), spec, batch) for spec in outputs
        }


def size_of(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], batch: int) -> int:
    """Bytes of the memory for these tensors."""
    return max(1, _starts(inputs, outputs, batch)[-1])


def allocate(size: int) -> int:
    """A descriptor of memory without a name.

    The pages are there from the start: where a page of such memory cannot be had later, the system ends the
    process that writes to it.

    Args:
        size: in bytes.

    Raises:
        InferenceError: there is not so much memory.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("edgevision", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, size)
    except OSError as error:
        os.close(descriptor)
        raise InferenceError(
            f"no memory for {size} bytes of tensors that two processes share: {error.strerror or error}"
        ) from error
    return descriptor


def _starts(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], batch: int) -> list[int]:
    """The first byte of each tensor, and the end."""
    starts = [0]
    for spec in (*inputs, *outputs):
        size = prod(spec.with_batch(batch)) * np.dtype(spec.dtype).itemsize
        starts.append(-(-(starts[-1] + size) // _ALIGNMENT) * _ALIGNMENT)
    return starts


def _array(memory: mmap.mmap, start: int, spec: TensorSpec, batch: int) -> Array:
    shape = spec.with_batch(batch)
    return np.frombuffer(memory, spec.dtype, prod(shape), start).reshape(shape)
