"""The files with weights that an ONNX artifact names."""

from __future__ import annotations

from edgevision.artifact import Artifact
from edgevision.backend import Companion
from edgevision.system.onnx_file import external_files, invalid, relative_name
from edgevision.system.protobuf import WireError


def weight_files(artifact: Artifact) -> list[Companion]:
    """The files with weights of an ONNX artifact.

    Raises:
        ArtifactError: the file is damaged, or names a file outside its folder.
    """
    try:
        return [Companion(relative_name(name)) for name in external_files(artifact.content)]
    except WireError as error:
        raise invalid(artifact.name, error) from error
