"""A model's result as JSON values, to be kept with the frame's digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevision.errors import EdgeVisionError, OptionError, first_line
from edgevision.system.arguments import mapping
from edgevision.system.shown import shown
from edgevision.tasks.classify import Classification
from edgevision.tasks.generation.images import GeneratedImages

#: Classes of one answer that are kept: all of most networks, and never a thousand.
_MOST_CLASSES = 100


def document_of(result: Any) -> Mapping[str, Any]:
    """The values of a result, or of what has a ``to_dict()``; of generated images, their digest.

    Raises:
        OptionError: it is something else, or its ``to_dict()`` fails.
    """
    if isinstance(result, Mapping):
        return result
    if isinstance(result, GeneratedImages):
        return _of_images(result)
    to_dict = getattr(result, "to_dict", None)
    if isinstance(result, type) or not callable(to_dict):
        raise OptionError(f"answer: expected a result, or a mapping of JSON values, got {shown(result)}")
    try:
        if isinstance(result, Classification) and len(result.labels) > _MOST_CLASSES:
            return {**result.to_dict(_MOST_CLASSES), "class_count": len(result.labels)}
        values = to_dict()
    except EdgeVisionError:
        raise
    except Exception as error:  # of an object that only looks like a result
        told = f"{type(error).__name__}: {first_line(error)}"
        raise OptionError(f"answer: its to_dict() failed: {told}") from error
    return mapping(values, "answer.to_dict()")


def _of_images(result: GeneratedImages) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(result.images).data).hexdigest()
    return {
        "shape": list(result.images.shape),
        "sha256": digest,
        "seeds": list(result.seeds),
        "settings": dict(result.settings),
    }
