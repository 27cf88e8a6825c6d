"""The interface of an export format: a bundle's artifact in the form that another program expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np

from edgevision.artifact import Artifact
from edgevision.decoder import Decoder
from edgevision.description import ModelDescription
from edgevision.errors import ConversionError
from edgevision.graph import EditableGraph, GraphBoxes, GraphDecoder, scaled
from edgevision.tensors import TensorSpec

#: Name of the output of `with_yolov8_output`, as Ultralytics calls it.
YOLOV8_OUTPUT = "output0"


@dataclass(frozen=True)
class ExportedModel:
    """An artifact of a bundle, as an export format gets it.

    Attributes:
        id: of the artifact in its bundle, such as ``tflite-int8``.
        artifact: its files.
        description: the model, with the score calibration of this artifact.
        inputs, outputs: its tensors.
        decoder: of a detector's outputs; `None` for other tasks.
        graph: opens the artifact for operations to be appended; `None` if no backend of its format can.
        name: of the bundle, without its suffix.
        backends: those that the artifact was converted for or measured on.
    """

    id: str
    artifact: Artifact
    description: ModelDescription
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    decoder: Decoder | None = None
    graph: Callable[[], EditableGraph] | None = None
    name: str = "model"
    backends: tuple[str, ...] = ()

    @property
    def input_size_wh(self) -> tuple[int, int]:
        """Width and height of the image input."""
        width, height = (self.description.preprocessing or {})["size_wh"]
        return width, height

    @property
    def outputs_of_one_image(self) -> tuple[TensorSpec, ...]:
        """The outputs without the batch dimension, as decoders expect them."""
        return tuple(
            TensorSpec(each.name, each.shape[1:], each.dtype, each.quantization) for each in self.outputs
        )


@dataclass(frozen=True)
class ExportedFiles:
    """The result of an export format.

    Attributes:
        artifact: the exported network. It is run on the bundle's known images, as it describes itself.
        description: of the exported network, to be written into it; `None` if it has one already.
        others: name -> content of further files, such as a reader's configuration.
        notes: what the caller must know, in sentences.
        folder: below the output, for the files of the network; empty for the output itself.
    """

    artifact: Artifact
    description: ModelDescription | None = None
    others: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folder: str = ""


class ExportFormat(Protocol):
    """The form of a model that another program expects, provided by a plugin.

    Attributes:
        name: for ``edgevision export --for``.
        summary: the program and the form, in one line.
        formats: formats of the artifacts that it starts from, the preferred one first.
    """

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def formats(self) -> tuple[str, ...]: ...

    def export(self, model: ExportedModel) -> ExportedFiles:
        """Write an artifact in this form.

        Raises:
            ConversionError: the program cannot take this model; says what of it.
            ArtifactError: the artifact is damaged.
            MissingRuntimeError: a library that writes the form is not installed.
        """
        ...


def refusal(model: ExportedModel, reader: str, obstacle: str, remedy: str = "") -> str:
    """The message that a program cannot take a model."""
    return f"{model.id}: {reader} cannot take {obstacle}" + (f"; {remedy}" if remedy else "")


def boxes_in_graph(model: ExportedModel, graph: EditableGraph, reader: str) -> GraphBoxes:
    """Append the decoding of a detector's outputs to its graph.

    Args:
        model: the detector.
        graph: of its artifact.
        reader: the program that it is exported for, for errors.

    Raises:
        ConversionError: the decoder cannot be written in a graph, or the labels are not its classes.
    """
    task, labels, decoder = model.description.task, model.description.labels, model.decoder
    if not isinstance(decoder, GraphDecoder):
        raise ConversionError(refusal(model, reader, f"the outputs of decoder '{task['decoder']}'"))
    found = decoder.in_graph(graph, model.outputs_of_one_image, model.input_size_wh, task["decoder_settings"])
    classes = graph.shape(found.scores)[2]
    if len(labels) != classes:
        raise ConversionError(refusal(model, reader, f"{classes} classes with {len(labels)} labels"))
    return found


def with_softmax_output(model: ExportedModel, graph: EditableGraph, least_score: float) -> ModelDescription:
    """Give a graph the scores of a classifier, with softmax and temperature applied, as its output.

    Args:
        model: a classifier whose scores are a softmax, or logits.
        graph: of its artifact.
        least_score: the smallest score whose logarithm is taken.

    Returns:
        The description of the network in this form.
    """
    description, task = model.description, model.description.task
    temperature, is_softmax = description.temperature, task["score_kind"] == "softmax"
    scores = graph.output(task["output"])
    if temperature is not None or not is_softmax:
        logits = scores
        if is_softmax:
            floor = graph.constant(np.asarray([least_score], np.float32))
            logits = graph.unary("log", graph.binary("maximum", scores, floor))
        if temperature is not None:
            share = graph.constant(np.asarray([1 / temperature], np.float32))
            logits = graph.binary("multiply", logits, share)
        scores = graph.unary("softmax", logits)
    graph.set_outputs({task["output"]: scores})
    calibration = description.score_calibration
    return replace(
        description,
        task={**task, "score_kind": "softmax"},
        score_calibration=None if calibration is None else {**calibration, "temperature": None},
    )


class YOLOv8Form(NamedTuple):
    """A network with the output of YOLOv8.

    Attributes:
        description: of the network in this form.
        boxes: number of boxes.
    """

    description: ModelDescription
    boxes: int


def with_yolov8_output(model: ExportedModel, graph: EditableGraph, reader: str) -> YOLOv8Form:
    """Give a graph the output of YOLOv8: (1, 4 + classes, boxes), centre and size in pixels, then scores.

    Raises:
        ConversionError: the decoder cannot be written in a graph.
    """
    description, task = model.description, model.description.task
    found = boxes_in_graph(model, graph, reader)
    count = graph.shape(found.scores)[1]
    width, height = model.input_size_wh
    boxes = scaled(graph, found.boxes, (width, height, width, height))
    rows = graph.concatenate([boxes, found.scores], 2)
    graph.set_outputs({YOLOV8_OUTPUT: graph.transpose(rows, (0, 2, 1))})
    settings = {
        "output": YOLOV8_OUTPUT,
        "transposed": True,
        "objectness": False,
        "box_unit": "pixels",
        "activation": "none",
    }
    described = replace(description, task={**task, "decoder": "yolo", "decoder_settings": settings})
    return YOLOv8Form(described, count)
