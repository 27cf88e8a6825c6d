"""The answer of `edgevision predict` about the bytes of one image, for a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import decode_frame
from edgevision.streaming.records import ABSTAINED
from edgevision.system.arguments import instance
from edgevision.system.shown import shown
from edgevision.system.strict_json import JsonError, read_json
from edgevision.tasks.base import TaskModel
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.kind import kind_of
from edgevision.tasks.result_document import gate_of_single_images, result_document

#: Name of an image without one, as `edgevision predict` has it for standard input.
_NAME = "-"
_TOP, _FRAME = "top", "frame"
_MOST_TOP = 100_000


class PredictCall(NamedTuple):
    """The parameters of a request.

    Attributes:
        top: classes to answer, of a model that ranks them.
        frame: index of the frame or page of a file with several; `None` for a file with one.
        arguments: of the model's call, such as thresholds.
    """

    top: int
    frame: int | None
    arguments: dict[str, Any]


def read_call(model: TaskModel, query: Sequence[tuple[str, str]]) -> PredictCall:
    """The parameters in the address of a request.

    Args:
        model: what is asked.
        query: names and values, in their order.

    Raises:
        OptionError: the model takes no image or no such parameter; one is there twice or invalid.
    """
    kind = kind_of(model.task)
    if not isinstance(model, ImageModel) or not kind.takes_images:
        raise OptionError("this model takes no image; use infer with its tensors")
    known = [_FRAME, *([_TOP] if kind.ranks_classes else ()), *model.call_arguments]
    values: dict[str, Any] = {}
    for name, text in query:
        if name not in known:
            raise OptionError(f"unknown parameter {shown(name)}; this model takes {', '.join(known)}")
        if name in values:
            raise OptionError(f"parameter '{name}' is there twice")
        try:
            values[name] = read_json(text)
        except JsonError as error:
            raise OptionError(f"{name}: expected a number, got {shown(text)}") from error
    for name, least in ((_TOP, 1), (_FRAME, 0)):
        value = values.get(name, least)
        if type(value) is not int or not least <= value <= _MOST_TOP:
            raise OptionError(f"{name}: expected a whole number, {least} to {_MOST_TOP}, got {shown(value)}")
    return PredictCall(values.pop(_TOP, 1), values.pop(_FRAME, None), values)


def predict(model: TaskModel, image: bytes, call: PredictCall) -> dict[str, Any]:
    """The document that ``edgevision predict --json -`` prints about an image.

    Raises:
        InputError: the bytes are not an image that the model can use.
        OptionError: an argument of the call has an invalid value.
    """
    network = instance(model, ImageModel, "model")
    if not image:
        raise InputError("the request is empty; expected the bytes of an image, such as JPEG or PNG")
    frame = decode_frame(image, _NAME, call.frame)
    name = _NAME if call.frame is None else f"{_NAME}#{call.frame}"
    refusal = gate_of_single_images(network)(frame)
    if refusal:
        return {"image": name, "status": f"{ABSTAINED}: {refusal}"}
    (result,) = network([frame], **call.arguments)
    return {"image": name, **result_document(network, result, call.top)}
