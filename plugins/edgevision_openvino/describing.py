"""The description of a model in OpenVINO's ``rt_info``: EdgeVision's own, and Model API's ``model_info``."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from edgevision.artifact import Artifact
from edgevision.description import KEY, DescribedArtifact, ModelDescription, description_from_json
from edgevision.descriptions.written import left_out, model_api_description
from edgevision_openvino.ir_file import parsed_xml, xml_of

_EXPORT = "run edgevision export --for openvino-model-api"
_MODEL_INFO = "model_info"
#: Of which the export format ``openvino-model-api`` makes a form that Model API takes.
EXPORTED_TASKS = ("classify", "detect")


def write_description(artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
    """As `edgevision.description.SelfDescribingFormat.write_description`."""
    (name, _), root = xml_of(artifact), parsed_xml(artifact)
    model_api = model_api_description(description, output_names(root))
    notes = list(model_api.notes)
    if model_api.obstacles:
        remedy = _EXPORT if description.task["name"] in EXPORTED_TASKS else ""
        notes.append(left_out("OpenVINO Model API", model_api.obstacles, remedy))
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
    if f"<{KEY} ".encode() not in xml_of(artifact)[1]:
        return None
    element = parsed_xml(artifact).find(f"rt_info/{KEY}")
    if element is None:
        return None
    return description_from_json(element.get("value", "").encode(), artifact.name)


def output_names(root: ElementTree.Element) -> list[str]:
    """Names of the outputs, one per ``Result`` layer."""
    return [layer.get("name", "") for layer in root.iter("layer") if layer.get("type") == "Result"]
