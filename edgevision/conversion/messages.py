"""Messages between the process that asks for a conversion and the one that converts.

The request is a pickle, which the child trusts as it trusts the code that it is started with. What comes back
is JSON, because a hostile source may have taken the child over.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping

import numpy as np

from edgevision.conversion.settings import ConversionRequest
from edgevision.errors import OptionError, first_line
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.records import Evidence
from edgevision.execution.messages import Message
from edgevision.tensors import Array

#: The first protocol of pickle that leaves arrays out, so that they are sent beside it without a copy.
_PROTOCOL = 5
_PICKLE, _BUFFER, _EVIDENCE = "pickle", "buffer/", "evidence"


def request_message(request: ConversionRequest, open_files: int) -> Message:
    """A request for the child, with the limit that it sets for itself.

    Raises:
        OptionError: an argument cannot be sent.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        pickled = pickle.dumps(request, _PROTOCOL, buffer_callback=buffers.append)
    except Exception as error:  # objects of the caller's own classes may raise anything
        raise _not_sent(error) from error
    arrays = {f"{_BUFFER}{place}": np.frombuffer(each.raw(), np.uint8) for place, each in enumerate(buffers)}
    level = logging.getLogger("edgevision").getEffectiveLevel()
    fields = {"open_files": open_files, "log_level": level, "buffers": len(buffers)}
    return Message(fields, {**arrays, _PICKLE: np.frombuffer(pickled, np.uint8)})


def request_in(message: Message) -> ConversionRequest:
    """The request that a message from the parent carries.

    Raises:
        OptionError: it holds an object of a class that this process does not have.
    """
    buffers = (message.arrays[f"{_BUFFER}{place}"] for place in range(message.fields["buffers"]))
    try:
        request = pickle.loads(message.arrays[_PICKLE].tobytes(), buffers=buffers)  # noqa: S301 - the parent's
    except Exception as error:  # as above
        raise _not_sent(error) from error
    assert isinstance(request, ConversionRequest)  # noqa: S101
    return request


def with_evidence(fields: Mapping[str, object], evidence: Evidence | None) -> Message:
    """An answer of the child."""
    if evidence is None:
        return Message(fields)
    arrays: dict[str, Array] = {_EVIDENCE: np.frombuffer(evidence_json(evidence).encode(), np.uint8)}
    return Message(fields, arrays)


def evidence_in(answer: Message, where: str) -> Evidence | None:
    """The evidence that an answer carries, if any.

    Raises:
        BundleError: it is not valid.
    """
    if _EVIDENCE not in answer.arrays:
        return None
    return read_evidence(answer.arrays[_EVIDENCE].tobytes().decode("utf-8", "replace"), where)


def _not_sent(error: Exception) -> OptionError:
    return OptionError(
        f"an argument cannot be sent to the process that converts ({type(error).__name__}: "
        f"{first_line(error)}); pass ConversionSettings(source_limits=None) to convert in your own, without "
        "limits"
    )
