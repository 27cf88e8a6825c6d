"""The answer to an inference request, as the bytes of the Open Inference Protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edgevision.descriptions.datatypes import datatype_of
from edgevision.errors import InferenceError
from edgevision.serving.infer_request import WantedOutput
from edgevision.tensors import Array


class Encoded(NamedTuple):
    """A body, and the bytes of JSON at its beginning; `None` if that is all of it."""

    body: bytes
    json_length: int | None


def encode_response(
    head: Mapping[str, object], wanted: Sequence[WantedOutput], outputs: Mapping[str, Array]
) -> Encoded:
    """Encode an answer.

    Args:
        head: the fields before the outputs: the model's name and version, and the request's id.
        wanted: the outputs, in their order.
        outputs: name -> array, of the model.

    Raises:
        InferenceError: an output that is wanted as JSON holds NaN or infinity.
    """
    listed, blocks = [], []
    for spec, binary in wanted:
        values = outputs[spec.name]
        entry: dict[str, object] = {
            "name": spec.name,
            "datatype": datatype_of(spec),
            "shape": list(values.shape),
        }
        if binary:
            blocks.append(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
            entry["parameters"] = {"binary_data_size": len(blocks[-1])}
        elif values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InferenceError(
                f"output '{spec.name}' holds NaN or infinity, which JSON has no form for; ask for binary data"
            )
        else:
            entry["data"] = values.ravel().tolist()
        listed.append(entry)
    document = json.dumps({**head, "outputs": listed}, separators=(",", ":")).encode()
    return Encoded(b"".join([document, *blocks]), len(document) if blocks else None)
