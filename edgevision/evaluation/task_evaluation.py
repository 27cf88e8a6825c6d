"""The interface of a task's evaluation: from a trained model, or one on a device, to its evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation.evaluator import Evaluator, MeasuringEvaluator
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.source_model import SourceModel
from edgevision.imaging.pixels import Pixels
from edgevision.plugins import Registry


class TaskEvaluation(Protocol):
    """The evaluation of a kind of task, from `edgevision.tasks.kind.TaskKind.evaluation`."""

    def check_stated(self, model: SourceModel, folders: Sequence[str] | None) -> None:
        """Check that all that a trained model does not say is stated.

        Args:
            model: the trained model with the caller's options.
            folders: names of the class folders of the evaluation set; `None` if that is not known yet.

        Raises:
            MissingOptionError: names everything that is missing.
            OptionError: the options contradict the model, or are another task's.
        """
        ...

    def for_source(self, model: SourceModel, examples: Any) -> Evaluator:
        """The evaluator for artifacts of a trained model.

        Args:
            model: the trained model with the caller's options.
            examples: the evaluation set: an `ImageSet`, or a `SeedSet` for tasks that take no image.

        Raises:
            OptionError: as `check_stated`.
            InputError: the ground truth cannot be used.
        """
        ...

    def for_model(
        self, model: ModelFacts, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
    ) -> MeasuringEvaluator:
        """The evaluator for a model that runs on a device, with ground truth.

        Args:
            model: its task and its description.
            images: one or more.
            paths: the ground truth that was passed.
            plugins: provide the decoder.

        Raises:
            OptionError: the ground truth is missing, or is not for this task.
            InputError: the ground truth cannot be used.
        """
        ...


@runtime_checkable
class PicturingEvaluator(Protocol):
    """An evaluator that draws an answer into its image, for reports and ``evaluate --save``.

    Optional: without it, reports show the images alone.
    """

    def picture(self, image: Pixels, answer: Any) -> Pixels:
        """An image (h, w, 3) uint8 RGB with an answer drawn into it, owned by the caller."""
        ...

    def truth_picture(self, image: Pixels, place: int) -> Pixels | None:
        """The image with its ground truth, by its place in the set; `None` without ground truth."""
        ...


#: The most examples of which generated images are kept, and pixels of their longer side.
GENERATED_PICTURES = 12, 256


@runtime_checkable
class ComparingEvaluator(Protocol):
    """An evaluator that shows how the answers about one example differ, for the pictures of a bundle.

    Optional: without it, these are the pictures of `PicturingEvaluator`, or the images alone.

    Attributes:
        picture_limits: the most examples, and the pixels of a picture's longer side.
    """

    picture_limits: tuple[int, int]

    def compared_pictures(
        self, image: Pixels | None, place: int, source: Any, artifacts: Mapping[str, Any]
    ) -> Mapping[str, Pixels]:
        """Pictures by name: `edgevision.bundle.pictures.INPUT`, `TRUTH`, `SOURCE`, and each artifact.

        Args:
            image: (h, w, 3) uint8 RGB; `None` for a seed.
            place: of the example in the set.
            source: the source's answer.
            artifacts: artifact -> its answer.
        """
        ...
