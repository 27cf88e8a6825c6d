"""The ``.xml`` of an IR, parsed from untrusted bytes."""

from __future__ import annotations

from pathlib import PurePath
from xml.etree import ElementTree

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError


def xml_of(artifact: Artifact) -> tuple[str, bytes]:
    """Name and content of the ``.xml`` among the files of an artifact.

    Raises:
        ArtifactError: there is none.
    """
    for name, content in artifact.files.items():
        if PurePath(name).suffix.lower() == ".xml":
            return name, content
    raise ArtifactError(f"{artifact.name}: expected an .xml and a .bin file, got {', '.join(artifact.files)}")


def parsed_xml(artifact: Artifact) -> ElementTree.Element:
    """The network's description.

    Raises:
        ArtifactError: it is missing, or damaged.
    """
    name, content = xml_of(artifact)
    # An IR has no document type, and entities are what makes XML dangerous to parse.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise _damaged(name, "it has a document type, which an IR never has")
    try:
        return ElementTree.fromstring(content)  # noqa: S314  (no entities: checked above)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise _damaged(name, str(error)) from error


def _damaged(name: str, reason: str) -> ArtifactError:
    return ArtifactError(
        f"{name}: not a valid OpenVINO IR (truncated or corrupted?): {reason}; copy or convert it again"
    )
