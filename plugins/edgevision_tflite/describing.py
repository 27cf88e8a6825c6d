"""The description of a model in a ``.tflite`` file: EdgeVision's own, and what other programs read.

Every file gets a signature. TFLite Metadata is written where what MediaPipe Tasks makes of it is what the
bundle does: it stretches RGB images, normalizes them, and takes the scores as they are.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from edgevision.artifact import Artifact
from edgevision.description import KEY, DescribedArtifact, ModelDescription, description_from_json
from edgevision.descriptions.written import (
    left_out,
    resized_bilinearly,
    ultralytics_description,
    unknown_preprocessing,
)
from edgevision.system.flatbuffer import DamagedError, Flatbuffer
from edgevision_tflite.integrity import check_complete, invalid
from edgevision_tflite.model_file import packed, parsed, schema, set_metadata
from edgevision_tflite.tflite_metadata import (
    NAME,
    ImageMetadata,
    OutputMetadata,
    TfliteMetadata,
    associated_files,
    metadata_buffer,
)

_SIGNATURE = b"serving_default"
_EXPORT = "run edgevision export --for mediapipe"
#: Of which the export format ``mediapipe`` makes a form that MediaPipe Tasks takes.
EXPORTED_TASKS = ("classify", "detect")


def write_description(artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
    """As `edgevision.description.SelfDescribingFormat.write_description`."""
    check_complete(artifact)
    model = parsed(artifact)
    strip_description(model)
    add_signature(model)
    set_metadata(model, KEY, description.to_json().encode())
    notes: list[str] = []
    members: dict[str, bytes] = {}
    obstacles = metadata_obstacles(model, description)
    if obstacles:
        remedy = _EXPORT if description.task["name"] in EXPORTED_TASKS else ""
        notes.append(left_out("MediaPipe Tasks", obstacles, remedy))
    else:
        how = description.preprocessing or {}
        if how["interpolation"] != "bilinear":
            notes.append(resized_bilinearly("MediaPipe Tasks", how["interpolation"]))
        if any(len({*values}) > 1 for values in description.pixel_normalization or ()):
            notes.append(f"MediaPipe Tasks refuses a normalization per channel; {_EXPORT}")
        temperature = description.temperature
        outputs = [OutputMetadata(_name(model, model.subgraphs[0].outputs[0]), "scores", temperature)]
        set_metadata(model, NAME, metadata_buffer(classifier_metadata(model, description, outputs)))
        members.update(associated_files(description.labels, len(description.labels), temperature))
    ultralytics = ultralytics_description(description, output_names(model), "share", "nhwc")
    if ultralytics is not None and ultralytics.obstacles:
        notes.append(left_out("Ultralytics", ultralytics.obstacles))
    elif ultralytics is not None:
        members["metadata.json"] = json.dumps(_plain(ultralytics.values)).encode()
    written = replace(artifact, files={artifact.name: packed(model, members)})
    return DescribedArtifact(written, tuple(notes))


def read_description(artifact: Artifact) -> ModelDescription | None:
    """As `edgevision.description.SelfDescribingFormat.read_description`; needs no library."""
    try:
        model = Flatbuffer(artifact.content, b"TFL3")
        buffers = model.tables(model.root, 4)
        for entry in model.tables(model.root, 6):
            if model.text(entry, 0) == KEY:
                number = model.scalar(entry, 1, "I")
                if not number < len(buffers):
                    raise DamagedError(f"a reference to buffer {number} of {len(buffers)}")
                return description_from_json(model.content(buffers[number], 0), artifact.name)
    except DamagedError as error:
        raise invalid(artifact, error) from error
    return None


def metadata_obstacles(model: Any, description: ModelDescription) -> list[str]:
    """Properties of a model that TFLite Metadata cannot say: its readers would answer otherwise."""
    task, how = description.task, description.preprocessing
    if task["name"] == "generate" or how is None:
        return ["a network that generates images"]
    obstacles = unknown_preprocessing(how)
    if how["resize"] != "stretch":
        obstacles.append(f"resizing by {how['resize']}")
    if how["color"] == "bgr":
        obstacles.append("BGR images")
    if how["layout"] != "nhwc":
        obstacles.append("channels before rows")
    if task["name"] != "classify":
        boxes = task["name"] == "detect"
        return [*obstacles, "boxes in this form" if boxes else f"the task '{task['name']}'"]
    if len(model.subgraphs[0].outputs) != 1:
        obstacles.append("several outputs")
    if task["score_kind"] == "logits":
        obstacles.append("a softmax of its logits")
    elif description.temperature is not None and not has_independent_scores(description):
        obstacles.append("a temperature of scores that sum to 1")
    return obstacles


def has_independent_scores(description: ModelDescription) -> bool:
    """True if each score can be calibrated on its own: of two that sum to 1, the other follows."""
    return description.task["score_kind"] == "sigmoid" or len(description.labels) == 2


def classifier_metadata(
    model: Any, description: ModelDescription, outputs: list[OutputMetadata]
) -> TfliteMetadata:
    """The metadata of a model whose image is prepared as TFLite Metadata can say."""
    how, normalization = description.preprocessing, description.pixel_normalization
    if how is None or normalization is None:
        raise ValueError("a model without an image input has no such metadata")
    width, height = how["size_wh"]
    name = _name(model, model.subgraphs[0].inputs[0])
    image = ImageMetadata(name, how["color"], *normalization, (width, height))
    return TfliteMetadata("EdgeVision " + description.task["name"], image, outputs)


def add_signature(model: Any) -> None:
    """Give a model without one a signature, with the names of its input and output tensors."""
    graph = model.subgraphs[0]
    if model.signatureDefs:
        return
    names = {number: _name(model, number) for number in (*graph.inputs, *graph.outputs)}
    if len(set(graph.outputs)) != len(graph.outputs) or len(set(names.values())) != len(names):
        return  # a signature cannot name one tensor twice, nor two alike
    classes = schema()
    signature = classes.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
    signature.inputs, signature.outputs = (
        [_tensor_map(classes, names[number], number) for number in numbers]
        for numbers in (graph.inputs, graph.outputs)
    )
    model.signatureDefs = [signature]


def output_names(model: Any) -> list[str]:
    """Names of the outputs."""
    return [_name(model, number) for number in model.subgraphs[0].outputs]


def strip_description(model: Any) -> None:
    """Take out what `write_description` wrote before, and the buffers that only it used."""
    names = (KEY.encode(), NAME.encode())
    taken = {entry.buffer for entry in model.metadata or [] if entry.name in names}
    for name in (KEY, NAME):
        set_metadata(model, name, None)
    # Written last, they are the last: no other buffer changes its number.
    while model.buffers and len(model.buffers) - 1 in taken:
        model.buffers.pop()


def _tensor_map(classes: Any, name: str, number: int) -> Any:
    entry = classes.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(number)
    return entry


def _name(model: Any, tensor: int) -> str:
    return str(model.subgraphs[0].tensors[tensor].name.decode())


def _plain(values: Any) -> dict[str, Any]:
    """Ultralytics' values as JSON has them, not as text."""
    import ast

    plain = {}
    for name, value in values.items():
        try:
            plain[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            plain[name] = value
    return plain
