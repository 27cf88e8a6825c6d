"""The evaluator for a model that runs on a device: an artifact of a bundle, or a bare file."""

from __future__ import annotations

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.evaluation.evaluator import MeasuringEvaluator
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.task_evaluation import TaskEvaluation
from edgevision.plugins import Registry
from edgevision.tasks.kind import kind_of


def evaluator_for_model(
    model: ModelFacts, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
) -> MeasuringEvaluator:
    """The evaluator for a model on `images`, with their ground truth.

    Args:
        model: its task and its description.
        images: one or more.
        paths: annotations, or images to compare with.
        plugins: provide the decoder.

    Raises:
        OptionError: the ground truth is missing, or is not for the task of the model.
        InputError: the ground truth cannot be used, or is missing from the image set.
    """
    if model.preprocessing is None:
        raise OptionError(
            f"{model.path}: the model generates images from a seed, which have no ground truth; "
            f"to inspect them, run: edgevision generate {model.path} -o DIR"
        )
    evaluation: TaskEvaluation = kind_of(model.task).evaluation()
    return evaluation.for_model(model, images, paths, plugins)
