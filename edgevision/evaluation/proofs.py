"""Which task a source does, and how its artifacts are proved: found in it, or said by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.converter import Source
from edgevision.errors import OptionError
from edgevision.evaluation.annotations import read_annotations
from edgevision.evaluation.classify_proof import ClassifyProof, Decisions
from edgevision.evaluation.detect_proof import DetectProof
from edgevision.evaluation.image_sets import ImageSet
from edgevision.evaluation.proof import TaskProof
from edgevision.input_options import FoundNormalization, InputOptions, resolve_preprocessing
from edgevision.labels import network_labels, read_labels
from edgevision.plugins import Registry
from edgevision.preprocess import Preprocessing
from edgevision.tasks.classify import class_count, score_output
from edgevision.tasks.description import ClassifyTask, DetectTask
from edgevision.tasks.detect import image_outputs
from edgevision.tasks.recognition import DecoderChoice, recognise_decoder, unrecognised


@dataclass(frozen=True)
class TaskOptions:
    """What the caller says of a network's task. `None` leaves a field to what is found.

    Attributes:
        image: what its input takes.
        labels: a text file with a class a line.
        output: of a classifier: name of the output with the scores, where there are several.
        score_kind: of a classifier: ``softmax``, ``sigmoid`` or ``logits``.
        decoder: of a detector: name of the decoder.
        decoder_settings: of a detector: what the decoder is to know beside what it recognises.
        annotations: of a detector: the objects in the evaluation images: a COCO JSON file, or a
            folder of Pascal VOC XML files.
        thresholds: of a detector: ``score_threshold``, ``iou_threshold``, ``max_detections``.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: Path | None = None
    output: str | None = None
    score_kind: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)
    annotations: Path | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)


def proof_of(source: Source, options: TaskOptions, images: ImageSet, plugins: Registry) -> TaskProof:
    """How artifacts of `source` are proved on `images`.

    Raises:
        OptionError: what is neither found nor said, or does not fit; names the option to type.
        InputError: the annotations cannot be used.
    """
    where = str(source.path)
    found = None if source.facts.pixel_range is None else FoundNormalization(source.facts.pixel_range)
    preprocessing = resolve_preprocessing(source.inputs[0], options.image, found, where)
    choice = _decoder(source, options, preprocessing.size_wh, plugins)
    if choice is None:
        return _classify(source, options, preprocessing, images)
    return _detect(choice, options, preprocessing, images, where)


def _decoder(
    source: Source, options: TaskOptions, size_wh: tuple[int, int], plugins: Registry
) -> DecoderChoice | None:
    """The decoder of a detector; `None` for a classifier."""
    outputs = image_outputs(source.outputs)
    if options.decoder is not None:
        decoder = plugins.decoder(options.decoder)
        return DecoderChoice(decoder, decoder.recognise(outputs, size_wh) or {})
    if options.output or options.score_kind or (len(outputs) == 1 and len(outputs[0].shape) == 1):
        return None
    found = recognise_decoder(outputs, size_wh, plugins.decoders())
    if found is None:
        raise unrecognised(str(source.path), outputs, plugins.decoders())
    return found


def _classify(
    source: Source, options: TaskOptions, preprocessing: Preprocessing, images: ImageSet
) -> ClassifyProof:
    where = str(source.path)
    score_kind = options.score_kind or source.facts.score_kind
    if score_kind is None:
        raise OptionError(
            f"{where}: nothing tells what its output holds; type --scores softmax, sigmoid or logits"
        )
    output = score_output(source.outputs, options.output)
    labels = network_labels(options.labels, images.class_names, class_count(output), where)
    task = ClassifyTask(output.name, score_kind)
    return ClassifyProof(task, labels, preprocessing, _class_ids(images, labels))


def _class_ids(images: ImageSet, labels: tuple[str, ...]) -> Decisions | None:
    """The place of each image's class among the network's classes; `None` without labels."""
    if images.labels is None:
        return None
    places = np.array([labels.index(name) for name in images.class_names], np.int64)
    return np.asarray(places[images.labels], np.int64)


def _detect(
    choice: DecoderChoice,
    options: TaskOptions,
    preprocessing: Preprocessing,
    images: ImageSet,
    where: str,
) -> DetectProof:
    if options.labels is None:
        raise OptionError(f"{where}: nothing names its classes; type --labels FILE, a class a line")
    labels = read_labels(options.labels)
    thresholds = dict(options.thresholds)
    if choice.decoder.thinned:
        # What the network has thinned itself is not thinned once more, unless the caller asks for it.
        thresholds.setdefault("iou_threshold", 1.0)
    task = DetectTask(choice.decoder.name, {**choice.settings, **options.decoder_settings}, **thresholds)
    truth = None
    if options.annotations is not None:
        truth = read_annotations(options.annotations, images.image_names, labels)
    return DetectProof(task, choice.decoder, labels, preprocessing, truth)
