"""The description of a model in an ONNX file's ``metadata_props``, in place of an earlier one."""

from __future__ import annotations

from dataclasses import replace

from edgevision.artifact import Artifact
from edgevision.description import KEY, DescribedArtifact, ModelDescription, description_from_json
from edgevision.descriptions.written import left_out, model_api_description, ultralytics_description
from edgevision.system.onnx_file import invalid, output_names, property_pairs, with_properties
from edgevision.system.protobuf import WireError

#: Prefix of Model API's keys.
_MODEL_INFO = "model_info "
#: Ultralytics' keys, which an earlier description may have written.
_ULTRALYTICS = ("task", "names", "imgsz", "stride", "batch", "channels", "end2end")


def write_description(artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
    """As `edgevision.description.SelfDescribingFormat.write_description`."""
    try:
        outputs = output_names(artifact.content)
        added, notes = _properties_of(description, outputs)
        written = with_properties(artifact.content, added, _is_ours)
    except WireError as error:
        raise invalid(artifact.name, error) from error
    return DescribedArtifact(replace(artifact, files={artifact.name: written}), tuple(notes))


def read_description(artifact: Artifact) -> ModelDescription | None:
    """As `edgevision.description.SelfDescribingFormat.read_description`; of two the later counts."""
    try:
        found = dict(property_pairs(artifact.content)).get(KEY)
    except WireError as error:
        raise invalid(artifact.name, error) from error
    return None if found is None else description_from_json(found.encode(), artifact.name)


def _properties_of(description: ModelDescription, outputs: list[str]) -> tuple[dict[str, str], list[str]]:
    """The properties by which a model is described, and what they cannot say of it."""
    added = {KEY: description.to_json()}
    model_api = model_api_description(description, outputs)
    notes = list(model_api.notes)
    if model_api.obstacles:
        notes.append(left_out("OpenVINO Model API", model_api.obstacles))
    added.update({_MODEL_INFO + name: value for name, value in model_api.values.items()})
    ultralytics = ultralytics_description(description, outputs, "pixels", "nchw")
    if ultralytics is not None and ultralytics.obstacles:
        notes.append(left_out("Ultralytics", ultralytics.obstacles))
    elif ultralytics is not None:
        added.update(ultralytics.values)
    return added, notes


def _is_ours(key: str) -> bool:
    return key == KEY or key.startswith(_MODEL_INFO) or key in _ULTRALYTICS
