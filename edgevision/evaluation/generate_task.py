"""Evaluation of the task ``generate``: from a model to its evaluator."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import MissingOptionError, OptionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.generation import GenerationEvaluator
from edgevision.evaluation.ground_truth import GroundTruthPaths, truth_images
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.run import Examples
from edgevision.evaluation.source_model import SourceModel
from edgevision.plugins import Registry
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation_settings import ImageToImageSettings
from edgevision.tasks.label_files import stated_labels


class GenerateEvaluation:
    """As `TaskEvaluation`, of models that generate images."""

    def check_stated(self, model: SourceModel, folders: Sequence[str] | None) -> None:
        """As `TaskEvaluation.check_stated`."""
        missing = MissingOptions(model.where)
        with missing.collected():
            model.preprocessing()
        with missing.collected():
            _output_range(model)
        missing.check()

    def for_source(self, model: SourceModel, examples: Examples) -> Evaluator:
        """As `TaskEvaluation.for_source`, on images or on seeds."""
        options = model.options
        if isinstance(examples, ImageSet):
            return _image_to_image(model, examples)
        if options.generation is None:
            raise OptionError(f"{model.where}: no description of how it generates images; pass --task FILE")
        labels = () if options.labels is None else stated_labels(options.labels)
        return GenerationEvaluator(options.generation, labels, examples.shown_names)

    def for_model(
        self, model: ModelFacts, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
    ) -> ImageToImageEvaluator:
        """As `TaskEvaluation.for_model`."""
        task: GenerateTask = model.task  # type: ignore[assignment]  # the kind's own
        if paths.annotations is not None:
            raise OptionError(
                f"--annotations {paths.annotations}: the model generates images; pass --truth FOLDER instead"
            )
        if paths.truth is None:
            raise OptionError(
                f"no ground truth for the images in {images.name}; pass --truth FOLDER, with images of the "
                f"same names"
            )
        expected = truth_images(paths.truth, images)
        return ImageToImageEvaluator(
            task, model.image_preprocessing, expected, images.shown_names, groups=images.groups
        )


def _image_to_image(model: SourceModel, images: ImageSet) -> ImageToImageEvaluator:
    preprocessing, options, output = model.preprocessing(), model.options, model.source.outputs[0]
    low, high = _output_range(model)
    color = (
        "gray" if output.shape[3] == 1 else preprocessing.color if preprocessing.color != "gray" else "rgb"
    )
    # Sixteen pixels of overlap, or as much as a small network has room for.
    overlap = min(16, min(preprocessing.size_wh) // 4) if options.overlap is None else options.overlap
    settings = ImageToImageSettings(options.fit, overlap)
    task = GenerateTask("image-to-image", output.name, (low, high), color, settings)
    truth = None if options.truth is None else truth_images(options.truth, images)
    return ImageToImageEvaluator(task, preprocessing, truth, images.shown_names, groups=images.groups)


def _output_range(model: SourceModel) -> Sequence[float]:
    """The values of black and white in the output images."""
    if model.options.output_range is None:
        raise MissingOptionError(
            model.where,
            "the model does not say which values black and white have in its output images; "
            "pass --output-range 0..1, --output-range 0..255, or --output-range=-1..1",
        )
    return model.options.output_range
