"""The document about one image that `edgevision predict --json` prints and `edgevision serve` answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgevision.imaging.frame import Frame
from edgevision.streaming.records import ABSTAINED
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.kind import kind_of


def result_document(model: ImageModel[Any], result: Any, top: int = 1) -> dict[str, Any]:
    """A result and what it came from, as JSON values.

    Args:
        model: what gave it.
        result: about one image.
        top: classes to include, for a model that ranks them.
    """
    session = model.session
    run: dict[str, Any] = {"bundle_digest": model.bundle_digest} if model.bundle_digest else {}
    run |= {"backend": session.backend, "device": session.device, "precision": session.precision}
    document = result.to_dict(top) if kind_of(model.task).ranks_classes else result.to_dict()
    abstention = getattr(result, "abstention", "")
    if abstention:
        document = {"status": f"{ABSTAINED}: {abstention}", **document}
    return {**run, **document}


def gate_of_single_images(model: ImageModel[Any]) -> Callable[[Frame], str]:
    """Why an image is not answered, or an empty text: for images that do not follow each other."""
    if model.input_gate is None:  # its module is not imported
        return lambda frame: ""
    from edgevision.imaging.gate import still_image_gate

    return still_image_gate(model.input_gate, model.preprocessing.mapping)
