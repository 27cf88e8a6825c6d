"""Which task a source does, and how its artifacts are proved: found in it, or said by the caller."""

from __future__ import annotations

from edgevision.converter import Source
from edgevision.datasets.annotations import read_annotations
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.decoder import nms_applied
from edgevision.errors import OptionError, SourceError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.generation import GenerationEvaluator
from edgevision.evaluation.ground_truth import classify_truth, truth_images
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.imaging.input_options import StatedNormalization, resolve_preprocessing
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import Registry
from edgevision.tasks.classify import class_count, score_output
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask
from edgevision.tasks.detect import image_outputs
from edgevision.tasks.generation_settings import ImageToImageSettings
from edgevision.tasks.labels import network_labels, read_labels
from edgevision.tasks.options import TaskOptions
from edgevision.tasks.recognition import DecoderChoice, recognise_decoder, unrecognised


def evaluator_for_source(
    source: Source, options: TaskOptions, examples: ImageSet | SeedSet, plugins: Registry
) -> Evaluator:
    """How artifacts of `source` are proved on images, or on seeds where `options.generation` is given.

    Raises:
        OptionError: what is neither found nor said, or does not fit; names the option to type.
        InputError: the annotations cannot be used.
        SourceError: it takes something else than an image.
    """
    if isinstance(examples, ImageSet):
        return _evaluator_on_images(source, options, examples, plugins)
    if options.generation is None:
        raise OptionError(f"{source.path}: nothing says what it makes of a seed; type --task FILE")
    labels = () if options.labels is None else read_labels(options.labels)
    return GenerationEvaluator(options.generation, labels, examples.image_names)


def _evaluator_on_images(
    source: Source, options: TaskOptions, images: ImageSet, plugins: Registry
) -> Evaluator:
    where = str(source.path)
    _check_takes_image(source)
    found = None if source.facts.pixel_range is None else StatedNormalization(source.facts.pixel_range)
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
) -> ImageToImageEvaluator:
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
    return ImageToImageEvaluator(task, preprocessing, truth, images.image_names)


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
) -> ClassificationEvaluator:
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
    return ClassificationEvaluator(task, labels, preprocessing, truth, images.image_names)


def _detect(
    choice: DecoderChoice,
    options: TaskOptions,
    preprocessing: Preprocessing,
    images: ImageSet,
    where: str,
) -> DetectionEvaluator:
    if options.labels is None:
        raise OptionError(f"{where}: nothing names its classes; type --labels FILE, a class a line")
    labels = read_labels(options.labels)
    thresholds = dict(options.thresholds)
    if nms_applied(choice.decoder):
        # NMS that the network has applied itself is not applied again, unless the caller asks for it.
        thresholds.setdefault("iou_threshold", 1.0)
    task = DetectTask(choice.decoder.name, {**choice.settings, **options.decoder_settings}, **thresholds)
    truth = None
    if options.annotations is not None:
        truth = read_annotations(options.annotations, images.image_names, labels)
    return DetectionEvaluator(task, choice.decoder, labels, preprocessing, truth, images.image_names)
