"""TFLite Metadata: a flatbuffer of its own within the model's, and files in an archive behind the model.

Field numbers are those of TFLite Support's ``metadata_schema.fbs`` (version 1.5.0) and of MediaPipe's
``object_detector_metadata_schema.fbs``. What each statement means is taken from their readers, the TFLite
Task Library and MediaPipe Tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from edgevision.backend import ArtifactDescription, ScoreSigmoids, UnsupportedMetadata
from edgevision.system.flatbuffer import Flatbuffer
from edgevision_tflite.archive import read_text
from edgevision_tflite.graph_ends import Graph, at

_METADATA_NAME = "TFLITE_METADATA"
_WHERE = "TFLite Metadata"

# AssociatedFileType
_AXIS_LABELS, _VALUE_LABELS, _SCORE_CALIBRATION = 2, 3, 4
_OTHER_FILES = {5: "VOCABULARY", 6: "SCANN_INDEX_FILE"}
_HARMLESS_FILES = (0, 1)

# ProcessUnitOptions
_NORMALIZATION, _CALIBRATION, _THRESHOLDING = 1, 2, 3
_UNITS = {
    _NORMALIZATION: "NormalizationOptions",
    _CALIBRATION: "ScoreCalibrationOptions",
    _THRESHOLDING: "ScoreThresholdingOptions",
    4: "BertTokenizerOptions",
    5: "SentencePieceTokenizerOptions",
    6: "RegexTokenizerOptions",
}
_TRANSFORMATIONS = ("identity", "log", "inverse-logistic")

# ContentProperties, ColorSpaceType, BoundingBoxType, CoordinateType
_IMAGE, _BOXES, _AUDIO = 2, 3, 4
_COLORS = {0: None, 1: "rgb", 2: "gray"}
_BOUNDARIES = 1
_RATIO = 0
#: Top, left, bottom, right, as the detection operator gives them.
_OPERATOR_ORDER = (1, 0, 3, 2)

#: An input of this width and height takes 800 MB.
_LARGEST_SIZE = 8192

_DETECTOR = "DETECTOR_METADATA"
_SEGMENTER = "SEGMENTER_METADATA"


class TFLiteMetadata(NamedTuple):
    """TFLite Metadata of a model's first graph."""

    read: Flatbuffer
    graph: int

    def describe(self, content: bytes, graph: Graph, without: str) -> ArtifactDescription:
        """The description by this metadata.

        Args:
            content: the model, with its archive.
            graph: the graph that it describes.
            without: name of a label file that holds something else.

        Raises:
            DamagedError: it is damaged, or a file that it names.
        """
        return _Reader(self.read, self.graph, content, graph, without).description()


def read_tflite_metadata(model: Flatbuffer, content: bytes) -> TFLiteMetadata | None:
    """The TFLite Metadata of a model; `None` without.

    Raises:
        DamagedError: it is damaged.
    """
    for entry in model.tables(model.root, 6):
        if model.text(entry, 0) == _METADATA_NAME:
            buffer = at(model.tables(model.root, 4), model.scalar(entry, 1, "I"))
            metadata = Flatbuffer(_buffer_content(model, buffer, content), b"M001")
            graphs = metadata.tables(metadata.root, 3)
            return TFLiteMetadata(metadata, graphs[0]) if graphs else None
    return None


def _buffer_content(model: Flatbuffer, buffer: int, content: bytes) -> bytes:
    # Models of more than 2 GB keep their buffers behind the flatbuffer.
    start, size = model.scalar(buffer, 1, "Q"), model.scalar(buffer, 2, "Q")
    return content[start : start + size] if start > 1 else model.content(buffer, 0)


class _Reader:
    """Reads the statements one by one, and keeps those that cannot be obeyed."""

    def __init__(self, read: Flatbuffer, place: int, content: bytes, graph: Graph, without: str) -> None:
        self._read = read
        self._place = place
        self._content = content
        self._graph = graph
        self._without = without
        self._inputs = read.tables(place, 2)
        self._outputs = read.tables(place, 3)
        self._found: dict[str, Any] = {}
        self._unsupported: list[UnsupportedMetadata] = []

    def description(self) -> ArtifactDescription:
        self._check_files()
        self._read_graph_units()
        self._read_custom()
        if self._graph.inputs() == len(self._inputs) == 1:
            self._read_input(self._inputs[0])
        else:
            for tensor in self._inputs:
                self._refuse_units(tensor, "values")
        self._read_outputs()
        return ArtifactDescription(**self._found, unsupported=tuple(self._unsupported))

    # The input

    def _read_input(self, tensor: int) -> None:
        kind, content = self._content_of(tensor)
        if kind == _AUDIO:
            self._found["task"] = "audio"
        if kind == _IMAGE and content is not None:
            self._read_image(content)
        normalizations = []
        for unit, options in self._units(tensor):
            if unit == _NORMALIZATION:
                normalizations.append(self._normalization(options))
            elif unit != _THRESHOLDING or self._read.real(options, 0) != 0:
                self._refuse("values", f"{_unit_name(unit)} of the input", "an image has no such step")
        if len(set(normalizations)) > 1:
            self._refuse("values", "NormalizationOptions of the input", "there are several that differ")
        elif normalizations and normalizations[0] is not None:
            mean, std = normalizations[0]
            self._normalize(mean, std)
        elif not normalizations and kind == _IMAGE and self._graph.takes_uint8():
            self._normalize((0.0,), (1.0,))

    def _normalize(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self._found.update(value_range=(0.0, 255.0), mean=mean, scale=std, integers_as_pixels=True)

    def _normalization(self, options: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        mean, std = (self._read.numbers(options, field, "f") for field in (0, 1))
        valid = all(len(values) in (1, 3) and all(map(math.isfinite, values)) for values in (mean, std))
        if valid and 0 not in std:
            return mean, std
        self._refuse(
            "values",
            f"NormalizationOptions of the input, mean {mean} and standard deviation {std}",
            "expected one finite number or one per channel, and no standard deviation of 0",
        )
        return None

    def _read_image(self, content: int) -> None:
        space = self._read.scalar(content, 0, "b")
        if space in _COLORS:
            self._found["color"] = _COLORS[space]
        else:
            self._refuse("color", f"color space {space} of the input", "expected RGB or GRAYSCALE")
        size = self._read.table(content, 1)
        if size is not None:
            width, height = (self._read.scalar(size, field, "I") for field in (0, 1))
            if max(width, height) > _LARGEST_SIZE:
                self._refuse("size", f"size {width}x{height} of the input", f"more than {_LARGEST_SIZE}")
            elif width and height:
                self._found["size_wh"] = (width, height)

    # The outputs

    def _read_outputs(self) -> None:
        thresholds, calibrations = [], []
        for number, tensor in enumerate(self._outputs):
            for unit, options in self._units(tensor):
                if unit == _THRESHOLDING:
                    thresholds.append(self._read.real(options, 0))
                elif unit == _CALIBRATION:
                    calibrations.append(self._calibration(tensor, options))
                else:
                    where = f"{_unit_name(unit)} of output {number}"
                    self._refuse("scores", where, "scores have no such step")
            self._check_boxes(tensor)
        self._threshold(thresholds)
        if len(calibrations) > 1:
            self._refuse("scores", "ScoreCalibrationOptions", "several outputs have them")
        elif calibrations:
            self._found["score_sigmoids"] = calibrations[0]
        elif list(self._files(_SCORE_CALIBRATION)):
            self._refuse(
                "scores", "a score calibration file", "no ScoreCalibrationOptions say how to apply it"
            )
        self._labels()

    def _threshold(self, thresholds: list[float]) -> None:
        differing = sorted(set(thresholds) - {0.0})
        if len(differing) > 1 or not all(0 <= value <= 1 for value in differing):
            said = ", ".join(f"{value:g}" for value in differing)
            self._refuse("scores", f"score thresholds {said}", "expected one in 0…1")
        elif differing:
            self._found["thresholds"] = {"score_threshold": differing[0]}

    def _calibration(self, tensor: int, options: int) -> ScoreSigmoids | None:
        kind, default = self._read.scalar(options, 0, "b"), self._read.real(options, 1)
        files = [name for name, _ in self._files_of(tensor, _SCORE_CALIBRATION)]
        said = "ScoreCalibrationOptions"
        if not 0 <= kind < len(_TRANSFORMATIONS):
            self._refuse("scores", f"{said} with transformation {kind}", "expected one of 0 to 2")
        elif not 0 <= default <= 1:
            self._refuse("scores", f"{said} with default score {default:g}", "expected 0…1")
        elif len(files) != 1:
            self._refuse("scores", said, f"expected one file with parameters, got {len(files)}")
        else:
            rows = read_text(self._content, files[0]).split("\n")
            while rows and not rows[-1].strip():
                rows.pop()
            parameters = [_sigmoid(row) for row in rows]
            if None not in parameters:
                return ScoreSigmoids(
                    _TRANSFORMATIONS[kind], tuple(row or None for row in parameters), float(default)
                )
            line = parameters.index(None) + 1
            self._refuse(
                "scores",
                f"{files[0]}, line {line}",
                "expected nothing, or scale (0…1), slope, offset and perhaps the lowest score",
            )
        return None

    def _labels(self) -> None:
        files = sorted(
            (bool(locale), output, place, name)
            for output, tensor in enumerate(self._outputs)
            for kind in (_AXIS_LABELS, _VALUE_LABELS)
            for place, (name, locale) in enumerate(self._files_of(tensor, kind))
            if name != self._without
        )
        if not files:
            return
        first = files[0]
        text = read_text(self._content, first[3])
        rivals = {name for _, output, _, name in files if output != first[1]} - {first[3]}
        if any(read_text(self._content, name) != text for name in rivals):
            self._refuse("labels", "label files", "several outputs have different ones")
            return
        labels = [line.strip() for line in text.split("\n")]
        while labels and not labels[-1]:
            labels.pop()
        self._found["labels"] = tuple(labels) or None

    def _check_boxes(self, tensor: int) -> None:
        """Refuse boxes in another form than the detection operator gives them."""
        kind, content = self._content_of(tensor)
        if kind != _BOXES or content is None or not self._graph.detection_places():
            return
        order = self._read.numbers(content, 0, "I") or (0, 1, 2, 3)
        form = self._read.scalar(content, 1, "b"), self._read.scalar(content, 2, "b")
        if order != _OPERATOR_ORDER or form != (_BOUNDARIES, _RATIO):
            self._refuse(
                "decoder",
                f"boxes in the order {order}, of type {form[0]} and coordinate type {form[1]}",
                f"the detection operator gives {_OPERATOR_ORDER}, type {_BOUNDARIES} (boundaries) and "
                f"coordinate type {_RATIO} (ratio)",
            )

    # The graph

    def _check_files(self) -> None:
        files = [*self._associated(self._place, 4), *self._associated(self._read.root, 6)]
        for tensor in (*self._inputs, *self._outputs):
            files += self._associated(tensor, 6)
        for name, kind in files:
            if kind in _OTHER_FILES or kind > max(_OTHER_FILES):
                word = _OTHER_FILES.get(kind, f"type {kind}")
                self._refuse("kind", f"file '{name}' ({word})", "images and their scores need no such file")

    def _read_graph_units(self) -> None:
        for field, side in ((5, "input"), (6, "output")):
            for unit, _ in self._units(self._place, field):
                self._refuse("kind", f"{_unit_name(unit)} of the {side}s", "images have no such step")

    def _refuse_units(self, tensor: int, field: str) -> None:
        for unit, _ in self._units(tensor):
            if unit != _THRESHOLDING:
                self._refuse(field, f"{_unit_name(unit)} of an input", "the network has several inputs")

    def _read_custom(self) -> None:
        for entry in self._read.tables(self._place, 9):
            name = self._read.text(entry, 0)
            if name == _SEGMENTER:
                self._found["task"] = "segment"
            elif name == _DETECTOR:
                self._read_detector(Flatbuffer(self._read.content(entry, 1), b"V001"))

    def _read_detector(self, read: Flatbuffer) -> None:
        """Anchors and scales of a detector that leaves its boxes to be decoded."""
        decoding, anchors = read.table(read.root, 2), self._anchors(read)
        if decoding is None or not anchors:
            self._refuse("decoder", _DETECTOR, "it lacks anchors or decoding options")
            return
        scales = [read.real(decoding, field) for field in (6, 7, 8, 9)]
        if scales[0] != scales[1] or scales[2] != scales[3] or min(scales) <= 0:
            self._refuse("decoder", f"{_DETECTOR}: scales {scales}", "x and y, and w and h, differ")
            return
        if read.scalar(decoding, 2, "i") != 4:
            self._refuse("decoder", f"{_DETECTOR}: num_coords {read.scalar(decoding, 2, 'i')}", "expected 4")
            return
        settings = {
            "anchors": anchors,
            "box_order": "yxhw",
            "background": "none",
            "activation": "sigmoid" if read.scalar(decoding, 11, "B") else "none",
            "sizes": "exponential" if read.scalar(decoding, 10, "B") else "linear",
            "scale_xy": scales[0],
            "scale_wh": scales[2],
        }
        names = [self._read.text(tensor, 0) for tensor in self._outputs]
        self._found["decoders"] = {"ssd": settings}
        if sorted(names) == ["location", "score"]:
            self._found["output_places"] = {"boxes": names.index("location"), "scores": names.index("score")}

    def _anchors(self, read: Flatbuffer) -> list[list[float]]:
        options = read.table(read.root, 1)
        schema = None if options is None else read.table(options, 0)
        tables = [] if schema is None else read.tables(schema, 0)
        return [[read.real(anchor, field) for field in range(4)] for anchor in tables]

    # Tables

    def _content_of(self, tensor: int) -> tuple[int, int | None]:
        """Type and table of the content of a tensor; (0, None) without."""
        content = self._read.table(tensor, 3)
        if content is None:
            return 0, None
        return self._read.scalar(content, 0, "B"), self._read.table(content, 1)

    def _units(self, table: int, field: int = 4) -> Iterator[tuple[int, int]]:
        """Type and options of each process unit."""
        for unit in self._read.tables(table, field):
            options = self._read.table(unit, 1)
            kind = self._read.scalar(unit, 0, "B")
            if kind and options is None:
                self._refuse("kind", f"{_unit_name(kind)} without options", "it says nothing")
            elif options is not None:
                yield kind, options

    def _files(self, kind: int) -> Iterator[tuple[str, str]]:
        return (file for tensor in self._outputs for file in self._files_of(tensor, kind))

    def _files_of(self, tensor: int, kind: int) -> Iterator[tuple[str, str]]:
        """Name and language of each file of one type."""
        for file in self._read.tables(tensor, 6):
            if self._read.scalar(file, 2, "b") == kind:
                yield self._read.text(file, 0), self._read.text(file, 3)

    def _associated(self, table: int, field: int) -> Iterator[tuple[str, int]]:
        for file in self._read.tables(table, field):
            yield self._read.text(file, 0), self._read.scalar(file, 2, "b")

    def _refuse(self, field: str, said: str, reason: str) -> None:
        self._unsupported.append(UnsupportedMetadata(field, f"{_WHERE}: {said}", reason))


def _unit_name(unit: int) -> str:
    return _UNITS.get(unit, f"process unit {unit}")


def _sigmoid(row: str) -> tuple[float, float, float, float] | tuple[()] | None:
    """Scale, slope, offset and lowest score of a line; empty for an empty one, `None` for an invalid one."""
    if not row.strip():
        return ()
    try:
        numbers = [float(part) for part in row.split(",")]
    except ValueError:
        return None
    if len(numbers) not in (3, 4) or not all(map(math.isfinite, numbers)) or not 0 <= numbers[0] <= 1:
        return None
    scale, slope, offset = numbers[:3]
    return scale, slope, offset, numbers[3] if len(numbers) == 4 else -math.inf
