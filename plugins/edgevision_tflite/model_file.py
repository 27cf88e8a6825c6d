"""A ``.tflite`` file as objects that can be changed, and back; and the archive that may follow it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from edgevision.artifact import Artifact
from edgevision.errors import MissingRuntimeError, first_line
from edgevision_tflite.integrity import invalid

#: Packages with the classes of the format, the lighter one first.
_SCHEMAS = ("ai_edge_litert.schema_py_generated", "tensorflow.lite.python.schema_py_generated")
#: Of the members of an archive, so that the same content gives the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)
_FIRST_BUFFER_BYTES = 1 << 20


def schema() -> Any:
    """The classes of the format.

    Raises:
        MissingRuntimeError: neither LiteRT nor TensorFlow is installed.
    """
    import importlib

    reasons = []
    for module in _SCHEMAS:
        try:
            return importlib.import_module(module)
        except (ImportError, OSError) as error:
            reasons.append(first_line(error))
    raise MissingRuntimeError("tflite", f"writing TFLite files needs LiteRT: {reasons[0]}")


def parsed(artifact: Artifact) -> Any:
    """The model of an artifact, a `ModelT`.

    Raises:
        ArtifactError: the file is damaged.
    """
    classes = schema()
    try:
        return classes.ModelT.InitFromObj(classes.Model.GetRootAs(artifact.content, 0))
    except Exception as error:  # whatever its offsets lead to
        raise invalid(artifact, first_line(error)) from error


def packed(model: Any, members: Mapping[str, bytes] | None = None) -> bytes:
    """The file of a `ModelT`, followed by an archive of `members`, where there are any."""
    import flatbuffers  # installed with LiteRT and with TensorFlow

    builder = flatbuffers.Builder(_FIRST_BUFFER_BYTES)
    builder.Finish(model.Pack(builder), b"TFL3")
    content = bytes(builder.Output())
    if not members:
        return content
    file = io.BytesIO(content)
    # Nothing is compressed: MediaPipe reads no other.
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), member)
    return file.getvalue()


def set_metadata(model: Any, name: str, content: bytes | None) -> None:
    """Put a metadata entry into a `ModelT`, in place of one of the same name; `None` takes it out."""
    classes = schema()
    entries = [entry for entry in model.metadata or [] if entry.name != name.encode()]
    if content is not None:
        buffer = classes.BufferT()
        buffer.data = content
        model.buffers.append(buffer)
        entry = classes.MetadataT()
        entry.name, entry.buffer = name.encode(), len(model.buffers) - 1
        entries.append(entry)
    model.metadata = entries
