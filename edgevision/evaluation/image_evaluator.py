"""A base for evaluators of tasks whose models answer about images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownImages
from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation.network_inputs import PreprocessedImages, known_images
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.comparison import Comparison
from edgevision.metrics.intervals import Groups
from edgevision.metrics.measures import Measures
from edgevision.session import CheckedSession
from edgevision.tasks.kind import ModelParts, kind_of


class ImageEvaluator:
    """Compares the models of a task with their source; see `edgevision.evaluation.evaluator.Evaluator`.

    A subclass says how answers are compared and measured. What it compares with is its own.

    Args:
        task: the task's description.
        labels: one name per class, or none.
        preprocessing: from an image to the source's input.
        image_names: names of the evaluation images, in their order.
        groups: group of each evaluation image, `None` if every image is its own.
    """

    #: Rounding alone changes few results; integers differ by the resolution of 8 bits.
    default_agreement: Mapping[str, float] = {
        "float32": 0.999,
        "float16": 0.99,
        "int16x8": 0.97,
        "int8-dynamic": 0.97,
        "int8-mixed": 0.95,
        "int8-float-io": 0.95,
        "int8": 0.95,
    }

    def __init__(
        self,
        task: Any,
        labels: tuple[str, ...],
        preprocessing: Preprocessing,
        image_names: Sequence[str] = (),
        groups: Groups | None = None,
    ) -> None:
        self.task = task
        self.labels = labels
        self.preprocessing = preprocessing
        self.image_names = image_names
        self.groups = groups

    def model(self, session: CheckedSession) -> Any:
        """As `Evaluator.model`: what the task's kind makes of the session."""
        return kind_of(self.task).model(session, self.task, ModelParts(self.preprocessing, self.labels))

    def answers(self, model: Any, images: Sequence[Any]) -> Sequence[Any]:
        """The model's result for each image."""
        results: Sequence[Any] = model(list(images))
        return results

    def network_inputs(self, source: Session, examples: ImageSet) -> PreprocessedImages:
        """As `Evaluator.network_inputs`."""
        return PreprocessedImages(source.inputs[0], self.preprocessing, examples)

    def known_inputs(self, source: Session, examples: ImageSet, places: Sequence[int]) -> KnownImages:
        """As `Evaluator.known_inputs`."""
        return known_images(self.preprocessing, examples, places)

    @abstractmethod
    def compare(self, source: Sequence[Any], artifact: Sequence[Any]) -> Comparison:
        """As `Evaluator.compare`."""

    @abstractmethod
    def measure(self, answers: Sequence[Any]) -> Measures | None:
        """As `MeasuringEvaluator.measure`."""

    def representative(self, source: Sequence[Any], count: int) -> list[int]:
        """Evenly spread places: a subclass knows which images represent the set better."""
        step = max(1, len(source) // count)
        return list(range(0, len(source), step))[:count]
