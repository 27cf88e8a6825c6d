"""The evaluator for a trained model: its task is found in the model, or stated by the caller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from edgevision.converter import Source, SourceFacts
from edgevision.datasets.image_sets import ImageSet
from edgevision.decoder import family_resize
from edgevision.errors import MissingOptionError, OptionError, SourceError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.generation import GenerationEvaluator
from edgevision.evaluation.ground_truth import (
    annotations_of,
    classify_truth,
    has_independent_scores,
    truth_images,
)
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.evaluation.run import Examples
from edgevision.evaluation.score_kinds import score_kind_of
from edgevision.imaging.input_options import StatedNormalization, image_layout, resolve_preprocessing
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import Registry
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.classify import class_count, score_output
from edgevision.tasks.description import ClassifyTask, GenerateTask
from edgevision.tasks.detect import image_outputs
from edgevision.tasks.generation_settings import ImageToImageSettings
from edgevision.tasks.label_files import stated_labels
from edgevision.tasks.labels import network_labels
from edgevision.tasks.options import TaskOptions
from edgevision.tasks.recognition import DecoderChoice, choose_decoder
from edgevision.tensors import TensorSpec


def evaluator_for_source(
    source: Source, options: TaskOptions, examples: Examples, plugins: Registry
) -> Evaluator:
    """The evaluator for artifacts of `source`, on images, or on seeds with `options.generation`.

    Args:
        source: the trained model.
        options: the task, where the model itself does not say.
        examples: the evaluation set.
        plugins: provide decoders.

    Raises:
        OptionError: the task cannot be inferred and is not stated, or the options contradict the model.
        InputError: the annotations cannot be used.
        SourceError: the model takes something else than an image.
    """
    if isinstance(examples, ImageSet):
        return _evaluator_on_images(source, options, examples, plugins)
    if options.generation is None:
        raise OptionError(f"{source.path}: no description of how it generates images; pass --task FILE")
    labels = () if options.labels is None else stated_labels(options.labels)
    return GenerationEvaluator(options.generation, labels, examples.shown_names)


def _evaluator_on_images(
    source: Source, options: TaskOptions, images: ImageSet, plugins: Registry
) -> Evaluator:
    _check_takes_image(source)
    check_stated(source, options, images.class_names, plugins)
    stated = stated_normalization(source.facts)
    preprocessing = resolve_preprocessing(source.inputs[0], options.image, stated, str(source.path))
    if options.decoder is None and _generates_images(source):
        return _image_to_image(source, options, preprocessing, images)
    choice = _decoder(source, options, preprocessing.size_wh, plugins)
    if choice is None:
        return _classification(source, options, preprocessing, images)
    family = family_resize(choice.decoder)
    preprocessing = resolve_preprocessing(source.inputs[0], options.image, stated, str(source.path), family)
    return _detection(source, choice, options, preprocessing, images)


def check_stated(
    source: Source, options: TaskOptions, folders: Sequence[str] | None, plugins: Registry
) -> None:
    """Check that all that a model on images does not say is stated.

    Args:
        source: the trained model.
        options: the caller's statements.
        folders: names of the class folders of the evaluation set; `None` if that is not known yet.
        plugins: provide decoders.

    Raises:
        MissingOptionError: names everything that is missing.
        OptionError: the options contradict the model.
        SourceError: the model takes something else than an image.
    """
    _check_takes_image(source)
    where, spec = str(source.path), source.inputs[0]
    missing = MissingOptions(where)
    with missing.collected():
        resolve_preprocessing(spec, options.image, stated_normalization(source.facts), where)
    if options.decoder is None and _generates_images(source):
        with missing.collected():
            _output_range(source, options)
        return missing.check()
    with missing.collected():
        size_wh = image_layout(spec, where)[1]
        choice = _decoder(source, options, size_wh, plugins)
        _check_options_of_another_task(where, options, is_classifier=choice is None)
        if choice is None and folders is not None:
            score_kind_of(source, score_output(source.outputs, options.output), options, folders)
        if choice is not None:
            with missing.collected():
                _stated_labels(source, options)
            choice.check_stated(image_outputs(source.outputs), size_wh, options.decoder_settings)
    return missing.check()


def _check_options_of_another_task(where: str, options: TaskOptions, is_classifier: bool) -> None:
    """Refuse options that would change nothing, for a model that does not generate images."""
    if is_classifier and (options.decoder_settings or options.thresholds):
        raise OptionError(
            f"{where}: decoder settings and thresholds are for detectors, and this model is read as a "
            "classifier; pass --decoder NAME as well, or remove them"
        )
    if options.output_range is not None or options.truth is not None or options.overlap is not None:
        task = "classifier" if is_classifier else "detector"
        raise OptionError(
            f"{where}: output range, truth and overlap are for models that generate images, and this model "
            f"is read as a {task}; remove them"
        )


def _decoder(
    source: Source, options: TaskOptions, size_wh: tuple[int, int], plugins: Registry
) -> DecoderChoice | None:
    """The decoder of a detector; `None` for a classifier."""
    if options.decoder is None and (options.output or options.score_kind):
        return None
    return choose_decoder(str(source.path), image_outputs(source.outputs), size_wh, plugins, options.decoder)


def stated_normalization(facts: SourceFacts) -> StatedNormalization | None:
    """The facts of a source about its input: of its preprocessor, which comes first, else of its layers."""
    own = facts.preprocessing
    if own is not None:
        return StatedNormalization(
            own.value_range,
            own.mean,
            own.scale,
            color=None,
            resize=own.resize,
            interpolation=own.interpolation,
        )
    if facts.pixel_range is None and facts.interpolation is None:
        return None
    return StatedNormalization(
        facts.pixel_range, color=facts.color, resize=facts.resize, interpolation=facts.interpolation
    )


def _check_takes_image(source: Source) -> None:
    if len(source.inputs) != 1:
        names = ", ".join(spec.name for spec in source.inputs)
        raise SourceError(
            f"{source.path}: has {len(source.inputs)} inputs ({names}); expected one, an image; save the "
            f"part of the model that takes the image, or, if it generates images from seeds, pass --task FILE"
        )
    spec = source.inputs[0]
    if len(spec.shape) != 4 or not {1, 3}.intersection((spec.shape[1], spec.shape[3])):
        raise SourceError(
            f"{source.path}: input '{spec.name}' is {spec.describe()}; expected an image, (batch, height, "
            f"width, 1 or 3); {_instead_of_image(spec)}"
        )


def _instead_of_image(spec: TensorSpec) -> str:
    """The next step for an input that is not an image."""
    sizes = spec.shape[1:]
    if len(sizes) == 1 and sizes[0] is not None:
        sides = {channels: math.isqrt(sizes[0] // channels) for channels in (1, 3)}
        flat = [side for channels, side in sides.items() if side * side * channels == sizes[0] and side > 1]
        size = f"{flat[0]}x{flat[0]}" if flat else "WIDTHxHEIGHT"
        return (
            f"if the values are those of an image, row by row, pass --input-size {size}; if it generates "
            "images from a vector, pass --task FILE"
        )
    if len(sizes) == 3 and sizes[2] == 4:
        height, width = sizes[:2]
        return (
            "EdgeVision has no alpha channel; save a model that adds an opaque one, here for pixels in "
            "0..255: "
            f"image = keras.Input(({height}, {width}, 3)); alpha = keras.ops.ones_like(image[..., :1]) * "
            "255; "
            "keras.Model(image, model(keras.ops.concatenate([image, alpha], axis=-1))).save('NAME.keras')"
        )
    if len(sizes) == 4:
        return "video is not supported; save the part of the model that takes one frame"
    return "if it generates images from a vector, pass --task FILE"


def _generates_images(source: Source) -> bool:
    """True if the only output is an image: no other task has an output of this shape."""
    return (
        len(source.outputs) == 1
        and len(source.outputs[0].shape) == 4
        and source.outputs[0].shape[3] in (1, 3)
    )


def _image_to_image(
    source: Source, options: TaskOptions, preprocessing: Preprocessing, images: ImageSet
) -> ImageToImageEvaluator:
    low, high = _output_range(source, options)
    output = source.outputs[0]
    color = (
        "gray" if output.shape[3] == 1 else preprocessing.color if preprocessing.color != "gray" else "rgb"
    )
    # Sixteen pixels of overlap, or as much as a small network has room for.
    overlap = min(16, min(preprocessing.size_wh) // 4) if options.overlap is None else options.overlap
    settings = ImageToImageSettings(options.fit, overlap)
    task = GenerateTask("image-to-image", output.name, (low, high), color, settings)
    truth = None if options.truth is None else truth_images(options.truth, images)
    return ImageToImageEvaluator(task, preprocessing, truth, images.shown_names, groups=images.groups)


def _output_range(source: Source, options: TaskOptions) -> Sequence[float]:
    """The values of black and white in the output images."""
    if options.output_range is None:
        raise MissingOptionError(
            str(source.path),
            "the model does not say which values black and white have in its output images; "
            "pass --output-range 0..1, --output-range 0..255, or --output-range=-1..1",
        )
    return options.output_range


def _classification(
    source: Source, options: TaskOptions, preprocessing: Preprocessing, images: ImageSet
) -> ClassificationEvaluator:
    output = score_output(source.outputs, options.output)
    score_kind, notes = score_kind_of(source, output, options, images.class_names)
    stated = None if options.labels is None else stated_labels(options.labels)
    file = str(options.labels) if isinstance(options.labels, Path) else "labels"
    labels = network_labels(stated, images.class_names, class_count(output), str(source.path), file)
    task = ClassifyTask(output.name, score_kind)
    truth = classify_truth(images, labels, options.annotations, has_independent_scores(task, output))
    return ClassificationEvaluator(
        *(task, labels, preprocessing, truth, images.shown_names), source_notes=notes, groups=images.groups
    )


def _stated_labels(source: Source, options: TaskOptions) -> tuple[str, ...]:
    """The names of a detector's classes."""
    if options.labels is None:
        raise MissingOptionError(
            str(source.path), "the model does not name its classes; pass --labels FILE, one class per line"
        )
    return stated_labels(options.labels)


def _detection(
    source: Source,
    choice: DecoderChoice,
    options: TaskOptions,
    preprocessing: Preprocessing,
    images: ImageSet,
) -> DetectionEvaluator:
    labels = _stated_labels(source, options)
    task = choice.task(options.decoder_settings, options.thresholds)
    truth = None
    if options.annotations is not None:
        truth = annotations_of(images, options.annotations, labels)
    return DetectionEvaluator(
        *(task, choice.decoder, labels, preprocessing, truth, images.shown_names), groups=images.groups
    )
