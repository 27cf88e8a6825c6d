"""Evaluation of the task ``detect``: from a model to its evaluator."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.datasets.image_sets import ImageSet
from edgevision.decoder import family_resize
from edgevision.errors import MissingOptionError, OptionError
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.ground_truth import GroundTruthPaths, annotations_of
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.other_options import refuse_generation_options, refuse_truth
from edgevision.evaluation.source_model import SourceModel
from edgevision.plugins import Registry
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.base import image_outputs
from edgevision.tasks.description import DetectTask
from edgevision.tasks.label_files import stated_labels
from edgevision.tasks.options import TaskOptions
from edgevision.tasks.recognition import DecoderChoice, choose_decoder, unrecognised


class DetectEvaluation:
    """As `TaskEvaluation`, of detectors."""

    def check_stated(self, model: SourceModel, folders: Sequence[str] | None) -> None:
        """As `TaskEvaluation.check_stated`."""
        missing = MissingOptions(model.where)
        with missing.collected():
            model.preprocessing()
        with missing.collected():
            choice = _decoder(model)
            refuse_generation_options(model, "detector")
            with missing.collected():
                _stated_labels(model.where, model.options)
            outputs = image_outputs(model.source.outputs)
            choice.check_stated(outputs, model.input_size_wh, model.options.decoder_settings)
        missing.check()

    def for_source(self, model: SourceModel, examples: ImageSet) -> DetectionEvaluator:
        """As `TaskEvaluation.for_source`."""
        options, choice = model.options, _decoder(model)
        preprocessing = model.preprocessing(family_resize(choice.decoder))
        labels = _stated_labels(model.where, options)
        task = choice.task(options.decoder_settings, options.thresholds)
        truth = None
        if options.annotations is not None:
            truth = annotations_of(examples, options.annotations, labels)
        return DetectionEvaluator(
            *(task, choice.decoder, labels, preprocessing, truth, examples.shown_names),
            groups=examples.groups,
        )

    def for_model(
        self, model: ModelFacts, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
    ) -> DetectionEvaluator:
        """As `TaskEvaluation.for_model`."""
        refuse_truth(paths)
        task: DetectTask = model.task  # type: ignore[assignment]  # the kind's own
        if paths.annotations is None:
            raise OptionError(f"no ground truth for the images in {images.name}; pass --annotations FILE")
        if not model.labels:
            raise OptionError(
                f"{model.path}: the model does not name its classes, which the annotations are compared by; "
                "pass --labels FILE"
            )
        truth = annotations_of(images, paths.annotations, model.labels)
        decoder = plugins.decoder(task.decoder)
        return DetectionEvaluator(
            *(task, decoder, model.labels, model.image_preprocessing, truth, images.shown_names),
            groups=images.groups,
        )


def _decoder(model: SourceModel) -> DecoderChoice:
    outputs = image_outputs(model.source.outputs)
    asked = model.input_size_wh, model.plugins, model.options.decoder
    choice = choose_decoder(model.where, outputs, *asked)
    if choice is None:  # --task detect, for outputs that no decoder recognises
        raise unrecognised(model.where, outputs, model.plugins.decoders())
    return choice


def _stated_labels(where: str, options: TaskOptions) -> tuple[str, ...]:
    """The names of a detector's classes."""
    if options.labels is None:
        raise MissingOptionError(
            where, "the model does not name its classes; pass --labels FILE, one class per line"
        )
    return stated_labels(options.labels)
