"""Which task a source does, and how its artifacts are proved: found in it, or said by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.converter import Source
from edgevision.datasets.annotations import read_annotations, shown_classes
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import InputError, OptionError, SourceError
from edgevision.evaluation.classification import ClassifyProof
from edgevision.evaluation.detection import DetectProof
from edgevision.evaluation.evaluator import TaskProof
from edgevision.evaluation.generation import SeededProof
from edgevision.evaluation.image_to_image import ImageToImageProof
from edgevision.imaging.input_options import FoundNormalization, InputOptions, resolve_preprocessing
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.classification import Truth
from edgevision.metrics.image_similarity import Pixels
from edgevision.plugins import Registry
from edgevision.tasks.classify import class_count, score_output
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask
from edgevision.tasks.detect import image_outputs
from edgevision.tasks.generation.settings import ImageToImageSettings
from edgevision.tasks.labels import network_labels, read_labels
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
        annotations: of a detector, or of a classifier with independent scores: the objects in the
            evaluation images: a COCO JSON file, or a folder of Pascal VOC XML files.
        thresholds: of a detector: ``score_threshold``, ``iou_threshold``, ``max_detections``.
        output_range: of a network that makes images: (low, high), the values of black and white.
        fit, overlap: of such a network: as in `ImageToImageSettings`.
        truth: of such a network: a folder or zip with what it should make of each evaluation
            image, under the same name.
        generation: of a network that makes images of a vector or of noise: what it does, of the
            kind ``latent`` or ``diffusion``.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: Path | None = None
    output: str | None = None
    score_kind: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)
    annotations: Path | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    output_range: tuple[float, float] | None = None
    fit: str = "tiles"
    overlap: int | None = None
    truth: Path | None = None
    generation: GenerateTask | None = None

    def __post_init__(self) -> None:
        if self.generation is not None and self.generation.kind == "image-to-image":
            raise OptionError(
                "generation: expected a task of the kind latent or diffusion; a network that makes an image "
                "of an image needs --output-range alone"
            )


def proof_of(
    source: Source, options: TaskOptions, examples: ImageSet | SeedSet, plugins: Registry
) -> TaskProof:
    """How artifacts of `source` are proved on images, or on seeds where `options.generation` is given.

    Raises:
        OptionError: what is neither found nor said, or does not fit; names the option to type.
        InputError: the annotations cannot be used.
        SourceError: it takes something else than an image.
    """
    if isinstance(examples, ImageSet):
        return _proof_on_images(source, options, examples, plugins)
    if options.generation is None:
        raise OptionError(f"{source.path}: nothing says what it makes of a seed; type --task FILE")
    labels = () if options.labels is None else read_labels(options.labels)
    return SeededProof(options.generation, labels, examples.image_names)


def _proof_on_images(source: Source, options: TaskOptions, images: ImageSet, plugins: Registry) -> TaskProof:
    where = str(source.path)
    _check_takes_image(source)
    found = None if source.facts.pixel_range is None else FoundNormalization(source.facts.pixel_range)
    preprocessing = resolve_preprocessing(source.inputs[0], options.image, found, where)
    if options.decoder is None and _makes_images(source):
        return _image_to_image(source, options, preprocessing, images)
    choice = _decoder(source, options, preprocessing.size_wh, plugins)
    if choice is None:
        return _classify(source, options, preprocessing, images)
    return _detect(choice, options, preprocessing, images, where)


def _check_takes_image(source: Source) -> None:
    if len(source.inputs) != 1:
        names = ", ".join(spec.name for spec in source.inputs)
        raise SourceError(
            f"{source.path}: has {len(source.inputs)} inputs ({names}); expected one, an image: save a model "
            "of the part that takes the image, or, if it makes images of a seed, say how with --task FILE"
        )
    spec = source.inputs[0]
    if len(spec.shape) != 4:
        raise SourceError(
            f"{source.path}: input '{spec.name}' is {spec.describe()}; expected an image, "
            "(batch, height, width, channels); if it makes images of a vector, say how with --task FILE"
        )


def _makes_images(source: Source) -> bool:
    """Whether the only output is an image: no other head of one output has this shape."""
    return (
        len(source.outputs) == 1
        and len(source.outputs[0].shape) == 4
        and source.outputs[0].shape[3] in (1, 3)
    )


def _image_to_image(
    source: Source, options: TaskOptions, preprocessing: Preprocessing, images: ImageSet
) -> ImageToImageProof:
    if options.output_range is None:
        raise OptionError(
            f"{source.path}: makes images, and nothing tells the values of black and white in them; "
            f"type --output-range 0..1, --output-range 0..255 or --output-range=-1..1"
        )
    output = source.outputs[0]
    color = (
        "gray" if output.shape[3] == 1 else preprocessing.color if preprocessing.color != "gray" else "rgb"
    )
    # Sixteen pixels of overlap, or what a small network leaves room for.
    overlap = min(16, min(preprocessing.size_wh) // 4) if options.overlap is None else options.overlap
    settings = ImageToImageSettings(options.fit, overlap)
    task = GenerateTask("image-to-image", output.name, options.output_range, color, settings)
    truth = None if options.truth is None else truth_images(options.truth, images)
    return ImageToImageProof(task, preprocessing, truth, images.image_names)


def truth_images(path: Path, images: ImageSet) -> list[Pixels]:
    """What a network should make of each image: the images of `path` that have the same names.

    Raises:
        InputError: there is none of a name, or one cannot be read.
    """
    truth = ImageSet.open(path)
    places = {name: place for place, name in enumerate(truth.image_names)}
    missing = [name for name in images.image_names if name not in places]
    if missing:
        raise InputError(f"{path}: holds no image '{missing[0]}', which {images.name} holds")
    all_images = list(truth)
    return [all_images[places[name]] for name in images.image_names]


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
    multi_label = score_kind == "sigmoid" and output.shape[-1] != 1
    truth = classify_truth(images, labels, options.annotations, multi_label)
    return ClassifyProof(task, labels, preprocessing, truth, images.image_names)


def classify_truth(
    images: ImageSet, labels: tuple[str, ...], annotations: Path | None, multi_label: bool
) -> Truth | None:
    """The place of each image's class among the labels, int64 ``(images,)``; `None` where nothing tells it.

    Of a network with independent scores and with annotations: every class that an image shows, bool
    ``(images, classes)``.

    Raises:
        OptionError: there are annotations for a network that tells one class an image.
        InputError: a class of the images is none of the network's, or the annotations cannot be used.
    """
    if annotations is not None:
        if not multi_label:
            raise OptionError(
                f"--annotations {annotations}: this network tells one class an image; "
                f"sort the images into a folder a class, and leave it out"
            )
        return shown_classes(read_annotations(annotations, images.image_names, labels), len(labels))
    if images.labels is None:
        return None
    unknown = [name for name in images.class_names if name not in labels]
    if unknown:
        told = ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")
        raise InputError(f"{images.name}: class '{unknown[0]}' is none of the labels: {told}")
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
    return DetectProof(task, choice.decoder, labels, preprocessing, truth, images.image_names)
