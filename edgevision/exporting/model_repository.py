"""Parts that the model repositories of several servers share: ``NAME/1/model.*``, and a note for clients."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from edgevision.artifact import Artifact
from edgevision.export_format import ExportedModel

#: The only version that an export has.
VERSION = "1"
_STEM = "model"


def repository_name(model: ExportedModel) -> str:
    """The name of a model, as a folder and an address can have it."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", model.name).strip(".") or _STEM


def version_folder(model: ExportedModel) -> str:
    """The folder of the network's files, below that of the repository."""
    return f"{repository_name(model)}/{VERSION}"


def renamed(artifact: Artifact) -> Artifact:
    """An artifact with the file names that servers look for: ``model`` with the suffixes of its format.

    Files that the first one names itself (external data of ONNX) keep their names.
    """
    stem = PurePosixPath(artifact.name).stem
    files = {
        f"{_STEM}{PurePosixPath(name).suffix}" if PurePosixPath(name).stem == stem else name: content
        for name, content in artifact.files.items()
    }
    return replace(artifact, files=files)


def takes_any_batch(model: ExportedModel) -> bool:
    """True if the first size of every input and output is open."""
    return all(spec.dynamic_batch for spec in (*model.inputs, *model.outputs))


def client_note(model: ExportedModel, server: str) -> str:
    """The work that a server for tensors leaves to its clients, in a sentence."""
    how = model.description.preprocessing or {}
    width, height = how["size_wh"]
    low, high = how["value_range"]
    means, scales = how["mean"], how["scale"]
    moved = "" if set(means) == {0.0} and set(scales) == {1.0} else f", minus {means}, divided by {scales}"
    return (
        f"{server} takes the network's tensors: a client resizes to {width}x{height}, passes {how['color']} "
        f"values {low:g} to {high:g}{moved} as {how['layout']}, and decodes the outputs itself; "
        "edgevision serve also takes images"
    )
