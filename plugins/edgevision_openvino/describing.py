"""The description of a model in OpenVINO's ``rt_info``: EdgeVision's own, and Model API's ``model_info``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from xml.etree import ElementTree

from edgevision.artifact import Artifact
from edgevision.description import KEY, DescribedArtifact, ModelDescription, description_from_json
from edgevision.descriptions.written import left_out, model_api_description
from edgevision.errors import ArtifactError

_EXPORT = "run edgevision export --for openvino-model-api"
_MODEL_INFO = "model_info"


def write_description(artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
    """As `edgevision.description.SelfDescribingFormat.write_description`."""
    name, root = read_xml(artifact)
    model_api = model_api_description(description, output_names(root))
    notes = list(model_api.notes)
    if model_api.obstacles:
        notes.append(left_out("OpenVINO Model API", model_api.obstacles, _EXPORT))
    information = root.find("rt_info")
    if information is None:
        information = ElementTree.SubElement(root, "rt_info")
    for element in list(information):
        if element.tag in (KEY, _MODEL_INFO):
            information.remove(element)
    ElementTree.SubElement(information, KEY, value=description.to_json())
    if model_api.values:
        group = ElementTree.SubElement(information, _MODEL_INFO)
        for key, value in model_api.values.items():
            ElementTree.SubElement(group, key, value=value)
    text = bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
    files = {**artifact.files, name: text.replace(b" />", b"/>")}
    return DescribedArtifact(replace(artifact, files=files), tuple(notes))


def read_description(artifact: Artifact) -> ModelDescription | None:
    """As `edgevision.description.SelfDescribingFormat.read_description`."""
    if f"<{KEY} ".encode() not in _xml(artifact)[1]:
        return None
    element = read_xml(artifact)[1].find(f"rt_info/{KEY}")
    if element is None:
        return None
    return description_from_json(element.get("value", "").encode(), artifact.name)


def read_xml(artifact: Artifact) -> tuple[str, ElementTree.Element]:
    """(file name, root) of the network's description.

    Raises:
        ArtifactError: it is missing, or damaged.
    """
    name, content = _xml(artifact)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ArtifactError(f"{name}: has a document type, which OpenVINO never writes; convert it again")
    try:
        return name, ElementTree.fromstring(content)  # noqa: S314 - without a document type, no entity expands
    except (ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
        raise ArtifactError(f"{name}: is not valid XML: {error}; copy or convert it again") from error


def output_names(root: ElementTree.Element) -> list[str]:
    """Names of the outputs, one per ``Result`` layer."""
    return [layer.get("name", "") for layer in root.iter("layer") if layer.get("type") == "Result"]


def _xml(artifact: Artifact) -> tuple[str, bytes]:
    for name, content in artifact.files.items():
        if PurePath(name).suffix.lower() == ".xml":
            return name, content
    raise ArtifactError(f"{artifact.name}: expected an .xml and a .bin file, got {', '.join(artifact.files)}")
