"""Evaluation of the task ``classify``: from a model to its evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.ground_truth import GroundTruthPaths, classify_truth, has_independent_scores
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.other_options import refuse_generation_options, refuse_truth
from edgevision.evaluation.score_kinds import score_kind_of
from edgevision.evaluation.source_model import SourceModel
from edgevision.plugins import Registry
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.classify import class_count, score_output
from edgevision.tasks.description import ClassifyTask
from edgevision.tasks.label_files import stated_labels
from edgevision.tasks.labels import network_labels


class ClassifyEvaluation:
    """As `TaskEvaluation`, of classifiers."""

    def check_stated(self, model: SourceModel, folders: Sequence[str] | None) -> None:
        """As `TaskEvaluation.check_stated`."""
        options, missing = model.options, MissingOptions(model.where)
        with missing.collected():
            model.preprocessing()
        with missing.collected():
            if options.decoder_settings or options.thresholds:
                raise OptionError(
                    f"{model.where}: decoder settings and thresholds are for detectors, and this model is "
                    "read as a classifier; pass --decoder NAME as well, or remove them"
                )
            refuse_generation_options(model, "classifier")
            if folders is not None:
                score_kind_of(
                    model.source, score_output(model.source.outputs, options.output), options, folders
                )
        missing.check()

    def for_source(self, model: SourceModel, examples: ImageSet) -> ClassificationEvaluator:
        """As `TaskEvaluation.for_source`."""
        source, options = model.source, model.options
        preprocessing = model.preprocessing()
        output = score_output(source.outputs, options.output)
        score_kind, notes = score_kind_of(source, output, options, examples.class_names)
        stated = None if options.labels is None else stated_labels(options.labels)
        file = str(options.labels) if isinstance(options.labels, Path) else "labels"
        labels = network_labels(stated, examples.class_names, class_count(output), model.where, file)
        task = ClassifyTask(output.name, score_kind)
        independent = has_independent_scores(task, output)
        truth = classify_truth(examples, labels, options.annotations, independent)
        return ClassificationEvaluator(
            *(task, labels, preprocessing, truth, examples.shown_names),
            source_notes=notes,
            groups=examples.groups,
        )

    def for_model(
        self, model: ModelFacts, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
    ) -> ClassificationEvaluator:
        """As `TaskEvaluation.for_model`."""
        refuse_truth(paths)
        task: ClassifyTask = model.task  # type: ignore[assignment]  # the kind's own
        unnamed = all(label == f"class {number}" for number, label in enumerate(model.labels))
        if unnamed and not set(images.class_names) <= set(model.labels):
            raise OptionError(
                f"{model.path}: the model does not name its classes, which the folders of {images.name} are "
                "compared by; pass --labels FILE, with the names in the network's order"
            )
        independent = has_independent_scores(task, score_output(model.outputs, task.output))
        truth = classify_truth(images, model.labels, paths.annotations, independent)
        if truth is None:
            raise InputError(
                f"no ground truth for the images in {images.name}; sort them into one folder per class"
            )
        return ClassificationEvaluator(
            *(task, model.labels, model.image_preprocessing, truth, images.shown_names),
            model.score_calibration,
            groups=images.groups,
        )
