"""TFLite Metadata, as MediaPipe Tasks and others read it: version 1.5.0 of ``metadata_schema.fbs``.

Field numbers are those of that schema, and of MediaPipe's ``object_detector_metadata_schema.fbs``. Their own
writers do not import from the wheels that have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgevision_tflite.tables import Field, Tables

NAME = "TFLITE_METADATA"
LABEL_FILE = "labels.txt"
CALIBRATION_FILE = "score_calibration.txt"

# Unions and enumerations of the schema.
_NORMALIZATION, _SCORE_CALIBRATION = 1, 2
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES, _BOX_PROPERTIES = 1, 2, 3
_AXIS_LABELS, _AXIS_CALIBRATION = 2, 4
_COLOR_SPACES = {"rgb": 1, "gray": 2}
_INVERSE_LOGISTIC = 2
#: MediaPipe expects this type of all detectors, also of those whose boxes have a centre and a size.
_BOUNDARIES, _RATIO = 1, 0


@dataclass(frozen=True)
class ImageMetadata:
    """The image input.

    Attributes:
        name: of the tensor.
        color: ``rgb`` or ``gray``.
        mean, std: of pixels 0…255, one or one per channel; empty for an input that takes pixels as they are.
        size_wh: width and height.
    """

    name: str
    color: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size_wh: tuple[int, int]


@dataclass(frozen=True)
class OutputMetadata:
    """An output.

    Attributes:
        name: of the tensor.
        content: ``scores``, one per class; ``boxes``, or ``other``.
        temperature: of independent scores: calibrated ones are ``sigmoid(logit(score) / temperature)``.
    """

    name: str
    content: str = "other"
    temperature: float | None = None


@dataclass(frozen=True)
class DetectionOutputs:
    """Two outputs of a detector: boxes of centre and size as shares, and a score per class.

    Attributes:
        classes: number of classes.
        boxes: number of boxes.
    """

    classes: int
    boxes: int


@dataclass(frozen=True)
class TfliteMetadata:
    """The metadata of a model with one image input.

    Attributes:
        name: of the model, for people.
        image: its input.
        outputs: its outputs, in the order of the graph.
        detection: its outputs of boxes; `None` for a classifier.
        description: for people.
    """

    name: str
    image: ImageMetadata
    outputs: Sequence[OutputMetadata]
    detection: DetectionOutputs | None = None
    description: str = ""


def metadata_buffer(metadata: TfliteMetadata) -> bytes:
    """The flatbuffer of the metadata."""
    write = Tables()
    inputs = write.vector("offset", [_image(write, metadata.image)])
    outputs = write.vector("offset", [_output(write, each) for each in metadata.outputs])
    graph: list[Field] = [(2, "offset", inputs), (3, "offset", outputs)]
    if metadata.detection is not None:
        options = detector_options(metadata.detection)
        name, data = write.text("DETECTOR_METADATA"), write.aligned_bytes(options, 16)
        custom = write.table((0, "offset", name), (1, "offset", data))
        graph.append((9, "offset", write.vector("offset", [custom])))
    graphs = write.vector("offset", [write.table(*graph)])
    name, description = write.text(metadata.name), write.text(metadata.description)
    version = write.text("1.0.0" if metadata.detection is None else "1.5.0")
    root = write.table(
        (0, "offset", name), (1, "offset", description), (3, "offset", graphs), (7, "offset", version)
    )
    return write.finish(root, b"M001")


def associated_files(labels: Sequence[str], classes: int, temperature: float | None) -> Mapping[str, bytes]:
    """The files that the metadata refers to: name -> content."""
    files = {LABEL_FILE: "".join(f"{label}\n" for label in labels).encode()}
    if temperature is not None:
        # scale, slope, offset: scale / (1 + exp(-(slope * logit(score) + offset)))
        # MediaPipe takes an empty last line for one class more.
        files[CALIBRATION_FILE] = "\n".join([f"1.0,{1 / temperature!r},0.0"] * classes).encode()
    return files


def detector_options(outputs: DetectionOutputs) -> bytes:
    """MediaPipe's ``DETECTOR_METADATA`` for decoded boxes: each anchor is the whole image."""
    write = Tables()
    anchor = write.table(*((number, "float", value) for number, value in enumerate((0.0, 0.0, 1.0, 1.0))))
    anchors = write.table((0, "offset", write.vector("offset", [anchor] * outputs.boxes)))
    grid = write.table((0, "offset", anchors))
    decoding = write.table(
        (0, "int", outputs.classes),
        (1, "int", outputs.boxes),
        (2, "int", 4),
        (3, "int", 0),
        (4, "int", 0),
        (5, "int", 2),
        *((number, "float", 1.0) for number in (6, 7, 8, 9)),
        (10, "bool", False),
        (11, "bool", False),
    )
    version = write.text("1.0.0")
    return write.finish(
        write.table((0, "offset", version), (1, "offset", grid), (2, "offset", decoding)), b"V001"
    )


def _image(write: Tables, image: ImageMetadata) -> int:
    name = write.text(image.name)
    size = write.table(*((number, "uint", value) for number, value in enumerate(image.size_wh)))
    properties = write.table((0, "byte", _COLOR_SPACES[image.color]), (1, "offset", size))
    content = write.table((0, "ubyte", _IMAGE_PROPERTIES), (1, "offset", properties))
    fields: list[Field] = [(0, "offset", name), (3, "offset", content)]
    if image.mean:
        mean, std = (write.vector("float", values) for values in (image.mean, image.std))
        options = write.table((0, "offset", mean), (1, "offset", std))
        unit = write.table((0, "ubyte", _NORMALIZATION), (1, "offset", options))
        fields.append((4, "offset", write.vector("offset", [unit])))
    return write.table(*fields)


def _output(write: Tables, output: OutputMetadata) -> int:
    name, files, units = write.text(output.name), [], []
    if output.content == "scores":
        files.append(_file(write, LABEL_FILE, _AXIS_LABELS))
    if output.temperature is not None:
        files.append(_file(write, CALIBRATION_FILE, _AXIS_CALIBRATION))
        options = write.table((0, "byte", _INVERSE_LOGISTIC), (1, "float", 0.0))
        units.append(write.table((0, "ubyte", _SCORE_CALIBRATION), (1, "offset", options)))
    content = _boxes(write) if output.content == "boxes" else _feature(write)
    fields: list[Field] = [(0, "offset", name), (3, "offset", content)]
    if units:
        fields.append((4, "offset", write.vector("offset", units)))
    if files:
        fields.append((6, "offset", write.vector("offset", files)))
    return write.table(*fields)


def _feature(write: Tables) -> int:
    return write.table((0, "ubyte", _FEATURE_PROPERTIES), (1, "offset", write.table()))


def _boxes(write: Tables) -> int:
    index = write.vector("uint", [0, 1, 2, 3])
    properties = write.table((0, "offset", index), (1, "byte", _BOUNDARIES), (2, "byte", _RATIO))
    return write.table((0, "ubyte", _BOX_PROPERTIES), (1, "offset", properties))


def _file(write: Tables, name: str, kind: int) -> int:
    text = write.text(name)
    return write.table((0, "offset", text), (2, "byte", kind))
