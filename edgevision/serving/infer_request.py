"""An inference request of the Open Inference Protocol, from its bytes to checked tensors.

The body is JSON; with the binary tensor extension, bytes of tensors follow it, and the header
``Inference-Header-Content-Length`` says where they begin. Sizes and shapes are compared with the model's
before anything of their size is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import numpy as np

from edgevision.descriptions.datatypes import datatype_of
from edgevision.errors import InputError
from edgevision.system.shown import shown
from edgevision.system.strict_json import JsonError, read_json
from edgevision.tensors import Array, TensorSpec, check_inputs

#: Of a request's ``id``, which is repeated in the answer.
_MOST_ID = 1000
_US_PER_S = 1e6
_MOST_DIGITS = 20


@dataclass(frozen=True)
class TensorLimits:
    """The tensors that a model takes and gives.

    Attributes:
        inputs, outputs: specs of the model's tensors.
        most_rows: rows of an input with an open batch, at most.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    most_rows: int

    @property
    def most_body_bytes(self) -> int:
        """Bytes of a request that a valid one can have: each number as JSON of 25 characters, and names."""
        elements = sum(prod(spec.with_batch(self.most_rows)) for spec in self.inputs)
        sizes = sum(prod(spec.with_batch(self.most_rows)[:-1]) for spec in self.inputs)
        return _JSON_NUMBER * elements + _JSON_BRACKETS * sizes + _JSON_REST


#: Characters of a number and the comma and space after it; of the brackets of a row; of everything else.
_JSON_NUMBER, _JSON_BRACKETS, _JSON_REST = 27, 4, 65_536


class WantedOutput(NamedTuple):
    """An output that is answered, and whether as bytes after the JSON."""

    spec: TensorSpec
    binary: bool


class InferRequest(NamedTuple):
    """A request whose tensors are right.

    Attributes:
        inputs: name -> array, read-only where it is in the request's own memory.
        rows: the batch; 1 if the model has no open one.
        outputs: what is answered, in this order.
        id: the caller's; `None` for none.
        timeout_s: seconds that it may wait for its turn; `None` for the server's limit.
    """

    inputs: Mapping[str, Array]
    rows: int
    outputs: tuple[WantedOutput, ...]
    id: str | None
    timeout_s: float | None


def read_infer_request(body: bytes, json_length: str | None, limits: TensorLimits) -> InferRequest:
    """Read a request.

    Args:
        body: all of it.
        json_length: the header ``Inference-Header-Content-Length``; `None` where it is missing.
        limits: of the model.

    Raises:
        InputError: it is not valid, or its tensors are not the model's.
    """
    length = json_bytes(json_length, body)
    if json_length is not None and not 0 < length <= len(body):
        raise InputError(
            f"Inference-Header-Content-Length: expected the bytes of the JSON, 1 to {len(body)} (all), "
            f"got {shown(json_length)}"
        )
    try:
        document = read_json(body[:length])
    except JsonError as error:
        raise InputError(f"the request is not valid JSON: {error}") from error
    fields = _fields(document, "the request", {"inputs"}, {"id", "parameters", "outputs"})
    parameters = _parameters(fields, "the request", {"binary_data_output", "timeout"})
    rest = None if json_length is None else memoryview(body)[length:]
    inputs = _inputs(fields["inputs"], rest, limits)
    rows = check_inputs(limits.inputs, inputs)
    return InferRequest(
        inputs,
        rows,
        _outputs(fields.get("outputs"), _flag(parameters, "binary_data_output"), limits.outputs),
        _id(fields.get("id")),
        _timeout_s(parameters.get("timeout")),
    )


def json_bytes(json_length: str | None, body: bytes) -> int:
    """The bytes of JSON at the beginning of a request, as its header says; 0 if that is not a number."""
    if json_length is None:
        return len(body)
    is_number = json_length.isascii() and json_length.isdigit() and len(json_length) < _MOST_DIGITS
    return int(json_length) if is_number else 0


def _fields(value: Any, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    """The fields of an object; optional ones that are null are left out."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a JSON object, got {shown(value)}")
    missing, unknown = required - set(value), set(value) - required - optional
    if missing:
        raise InputError(f"{where}: '{min(missing)}' is missing")
    if unknown:
        raise InputError(
            f"{where}: unknown field {shown(min(unknown))}; expected {', '.join(sorted(required | optional))}"
        )
    return {name: one for name, one in value.items() if one is not None or name in required}


def _parameters(fields: Mapping[str, Any], where: str, known: set[str]) -> dict[str, Any]:
    parameters = fields.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InputError(f"{where}: parameters: expected a JSON object, got {shown(parameters)}")
    for name in parameters:
        if name not in known:
            # Such as a priority, a sequence, shared memory: what is not done is not passed over.
            raise InputError(
                f"{where}: parameter {shown(name)} is not supported; supported: {', '.join(sorted(known))}"
            )
    return parameters


def _flag(parameters: Mapping[str, Any], name: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"parameter '{name}': expected true or false, got {shown(value)}")
    return value


def _id(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > _MOST_ID):
        raise InputError(f"id: expected a text of at most {_MOST_ID} characters, got {shown(value)}")
    return value or None


def _timeout_s(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise InputError(f"parameter 'timeout': expected microseconds, 0 or more, got {shown(value)}")
    return value / _US_PER_S or None


def _inputs(listed: Any, rest: memoryview | None, limits: TensorLimits) -> dict[str, Array]:
    if not isinstance(listed, list):
        raise InputError(f"inputs: expected a JSON array, got {shown(listed)}")
    specs = {spec.name: spec for spec in limits.inputs}
    found: dict[str, Array] = {}
    offset = 0
    for position, entry in enumerate(listed):
        where = f"inputs[{position}]"
        fields = _fields(entry, where, {"name", "shape", "datatype"}, {"data", "parameters"})
        name = fields["name"]
        spec = specs.get(name) if isinstance(name, str) else None
        if spec is None:
            raise InputError(f"{where}: no input {shown(name)}; the model has {', '.join(specs)}")
        if name in found:
            raise InputError(f"{where}: input '{name}' is there twice")
        where = f"input '{name}'"
        shape = _shape(fields, spec, where, limits.most_rows)
        parameters = _parameters(fields, where, {"binary_data_size", "content_type"})
        if parameters.get("content_type", "np") != "np":
            raise InputError(f"{where}: content_type: expected np, got {shown(parameters['content_type'])}")
        size = parameters.get("binary_data_size")
        if (size is None) == ("data" not in fields):
            raise InputError(f"{where}: expected either data, or the parameter binary_data_size")
        if size is None:
            found[name] = _from_json(fields["data"], shape, spec, where)
            continue
        found[name] = _from_bytes(rest, offset, size, shape, spec, where)
        offset += size
    if rest is not None and offset != len(rest):
        raise InputError(
            f"{len(rest)} bytes follow the JSON, of which {offset} are tensors; the header "
            "Inference-Header-Content-Length or a binary_data_size is wrong"
        )
    return found


def _shape(fields: Mapping[str, Any], spec: TensorSpec, where: str, most_rows: int) -> tuple[int, ...]:
    """The shape of an input, as the model takes it."""
    datatype, shape = fields["datatype"], fields["shape"]
    if datatype != datatype_of(spec):
        raise InputError(f"{where}: expected datatype {datatype_of(spec)}, got {shown(datatype)}")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InputError(f"{where}: shape: expected a JSON array of whole numbers, got {shown(shape)}")
    same = len(shape) == len(spec.shape) and all(
        own in (None, size) for own, size in zip(spec.shape, shape, strict=True)
    )
    if not same:
        expected = [-1 if size is None else size for size in spec.shape]
        raise InputError(f"{where}: expected shape {expected}, got {shown(shape)}")
    if spec.dynamic_batch and not 1 <= shape[0] <= most_rows:
        raise InputError(f"{where}: expected a batch of 1 to {most_rows}, got {shape[0]}")
    return tuple(shape)


def _from_bytes(
    rest: memoryview | None, offset: int, size: Any, shape: tuple[int, ...], spec: TensorSpec, where: str
) -> Array:
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    expected = prod(shape) * dtype.itemsize
    if type(size) is not int or size != expected:
        raise InputError(f"{where}: binary_data_size: expected {expected}, got {shown(size)}")
    if rest is None:
        raise InputError(
            f"{where}: has binary data, but the header Inference-Header-Content-Length is missing"
        )
    if offset + size > len(rest):
        raise InputError(f"{where}: expected {size} bytes, and {len(rest) - offset} are left of the request")
    block = rest[offset : offset + size]
    if dtype.kind == "b":
        bits = np.frombuffer(block, np.uint8)
        if bits.size and bits.max() > 1:
            raise InputError(f"{where}: expected bytes of 0 or 1, got {bits.max()}")
    return np.frombuffer(block, dtype).reshape(shape).astype(spec.dtype, copy=False)


#: Kind of dtype -> what its elements are in JSON. Of others, whole numbers.
_ELEMENTS: Mapping[str, tuple[str, frozenset[type]]] = {
    "b": ("true or false", frozenset({bool})),
    "f": ("numbers", frozenset({int, float})),
}


def _from_json(data: Any, shape: tuple[int, ...], spec: TensorSpec, where: str) -> Array:
    flat = _flat(data, shape, where)
    kinds = set(map(type, flat))
    dtype = np.dtype(spec.dtype)
    expected, allowed = _ELEMENTS.get(dtype.kind, ("whole numbers", frozenset({int})))
    if not kinds <= allowed:
        wrong = next(one for one in flat if type(one) not in allowed)
        raise InputError(f"{where}: data: expected {expected}, got {shown(wrong)}")
    if dtype.kind in "iu":
        return _whole(flat, dtype, where).reshape(shape)
    with np.errstate(over="ignore"):  # what is too large for it is infinite, which no model takes
        values = np.array(flat, np.float64 if dtype.kind == "f" else dtype)
        return values.astype(dtype, copy=False).reshape(shape)


def _whole(flat: Sequence[int], dtype: np.dtype[Any], where: str) -> Array:
    limits = np.iinfo(dtype)
    wide = np.dtype(np.uint64 if dtype == np.uint64 else np.int64)
    try:
        # numpy 1 takes a negative number for a large one.
        values = None if wide.kind == "u" and min(flat, default=0) < 0 else np.array(flat, wide)
    except OverflowError:
        values = None
    if values is None or (values.size and not limits.min <= values.min() <= values.max() <= limits.max):
        wrong = next(one for one in flat if not limits.min <= one <= limits.max)
        raise InputError(f"{where}: data: expected {limits.min} to {limits.max}, got {shown(wrong)}")
    return values.astype(dtype, copy=False)


def _flat(data: Any, shape: tuple[int, ...], where: str) -> Sequence[Any]:
    """The elements in row-major order, of a flat array or one that is nested as the shape says."""
    if not isinstance(data, list):
        raise InputError(f"{where}: data: expected a JSON array, got {shown(data)}")
    level: list[Any] = data
    if level and type(level[0]) is list and len(shape) > 1:
        nested = len(level) == shape[0]
        for size in shape[1:]:
            if not nested or not all(type(one) is list and len(one) == size for one in level):
                raise InputError(f"{where}: data: expected a flat array, or one nested as {list(shape)}")
            level = list(chain.from_iterable(level))
    if len(level) != prod(shape):
        raise InputError(f"{where}: data: expected {prod(shape)} values, got {len(level)}")
    return level


def _outputs(listed: Any, binary: bool, specs: tuple[TensorSpec, ...]) -> tuple[WantedOutput, ...]:
    if listed is None or listed == []:
        return tuple(WantedOutput(spec, binary) for spec in specs)
    if not isinstance(listed, list):
        raise InputError(f"outputs: expected a JSON array, got {shown(listed)}")
    by_name = {spec.name: spec for spec in specs}
    wanted: dict[str, WantedOutput] = {}
    for position, entry in enumerate(listed):
        where = f"outputs[{position}]"
        fields = _fields(entry, where, {"name"}, {"parameters"})
        name = fields["name"]
        if not isinstance(name, str) or name not in by_name:
            raise InputError(f"{where}: no output {shown(name)}; the model has {', '.join(by_name)}")
        if name in wanted:
            raise InputError(f"{where}: output '{name}' is there twice")
        parameters = _parameters(fields, where, {"binary_data"})
        wanted[name] = WantedOutput(by_name[name], _flag(parameters, "binary_data", binary))
    return tuple(wanted.values())
