"""Datatypes of the Open Inference Protocol and of the servers that speak it, and numpy's names for them."""

from __future__ import annotations

from edgevision.errors import OptionError
from edgevision.tensors import TensorSpec

#: Datatype -> numpy's name. The protocol also has BF16 and BYTES, which no tensor of a backend has.
NUMPY_NAMES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_DATATYPES = {name: datatype for datatype, name in NUMPY_NAMES.items()}


def datatype_of(spec: TensorSpec) -> str:
    """The datatype of a tensor.

    Raises:
        OptionError: the protocol has none for it.
    """
    if spec.dtype not in _DATATYPES:
        raise OptionError(
            f"tensor '{spec.name}': the Open Inference Protocol has no datatype for {spec.dtype}; it has "
            f"{', '.join(NUMPY_NAMES)}"
        )
    return _DATATYPES[spec.dtype]


def tensor_metadata(spec: TensorSpec) -> dict[str, object]:
    """A tensor as the protocol's metadata has it: an open size is -1."""
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": spec.name, "datatype": datatype_of(spec), "shape": shape}
