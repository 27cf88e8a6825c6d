"""A base for evaluators of tasks whose models answer about images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgevision.evaluation.network_inputs import ImageInputs
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.comparison import Comparison, pair, pair_classes, result_details
from edgevision.metrics.intervals import Groups, share_by_image
from edgevision.metrics.measures import LastMeasures, Measures, MetricValue
from edgevision.session import CheckedSession
from edgevision.tasks.kind import ModelParts, kind_of
from edgevision.tasks.single_run import SingleRunModel

Self = TypeVar("Self", bound="ImageEvaluator")


class ImageEvaluator(ImageInputs):
    """Compares the models of a task with their source; see `edgevision.evaluation.evaluator.Evaluator`.

    A subclass says how answers are compared (`compare`) and measured (`measured`).

    Args:
        task: the task's description.
        labels: one name per class, or none.
        preprocessing: from an image to the source's input.
        truth: the ground truth of each evaluation image, a sequence or an array; `None` without.
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
        truth: Any = None,
        image_names: Sequence[str] = (),
        groups: Groups | None = None,
    ) -> None:
        self.task = task
        self.labels = labels
        self.preprocessing = preprocessing
        self.truth = truth
        self.image_names = image_names
        self.groups = groups
        self._measures = LastMeasures(self.measured)

    def at(self: Self, places: Sequence[int]) -> Self:
        """As `SampledEvaluator.at`."""
        rows = list(places)
        chosen = self._copy()
        if self.truth is not None:
            chosen.truth = _rows(self.truth, rows)
        chosen.image_names = [self.image_names[place] for place in rows] if self.image_names else ()
        chosen.groups = None if self.groups is None else self.groups[rows]
        return chosen

    def seeing(self: Self, preprocessing: Preprocessing) -> Self:
        """The same evaluator for a network that sees images in another way."""
        other = self._copy()
        other.preprocessing = preprocessing
        return other

    def _copy(self: Self) -> Self:
        other = copy(self)
        other._measures = LastMeasures(other.measured)
        return other

    def model(self, session: CheckedSession) -> Any:
        """As `Evaluator.model`: what the task's kind makes of the session."""
        return kind_of(self.task).model(session, self.task, ModelParts(self.preprocessing, self.labels))

    def answers(self, model: Any, images: Sequence[Any]) -> Sequence[Any]:
        """The model's result for each image."""
        results: Sequence[Any] = model(list(images))
        return results

    def resized_answers(
        self, model: Any, frames: Sequence[Frame], sizes_wh: Sequence[tuple[int, int]]
    ) -> Sequence[Any] | None:
        """As `SampledEvaluator.resized_answers`, of a model that runs once per image."""
        if not isinstance(model, SingleRunModel):
            return None
        pairs = zip(frames, sizes_wh, strict=True)
        return [model.resized_result(frame, size_wh) for frame, size_wh in pairs]

    @abstractmethod
    def compare(self, source: Sequence[Any], artifact: Sequence[Any]) -> Comparison:
        """As `Evaluator.compare`."""

    def measure(self, answers: Sequence[Any]) -> Measures | None:
        """As `MeasuringEvaluator.measure`."""
        return None if self.truth is None else self._measures(answers)

    @abstractmethod
    def measured(self, answers: Sequence[Any]) -> Measures:
        """The metrics of answers on the whole evaluation set, compared with `truth`, which is known.

        Raises:
            InputError: the ground truth cannot be compared with them.
        """

    def compared(
        self,
        source: Sequence[Any],
        artifact: Sequence[Any],
        alike: NDArray[np.float64],
        differences: NDArray[np.float64],
        texts: Sequence[str],
        likeness: Mapping[str, MetricValue] | None = None,
    ) -> Comparison:
        """The comparison of an artifact's answers with the source's, with the metrics of both.

        Args:
            source, artifact: the answers, one per image.
            alike: float ``(images,)``: how much of each image's answer both agree on, 0…1.
            differences: float ``(images,)``: how far the two are apart; 0 is the same.
            texts: what each difference is, in words.
            likeness: further measures of both against each other, by name.
        """
        before, after = self.measure(source), self.measure(artifact)
        others = likeness or {}
        return Comparison(
            images=len(alike),
            agreement=float(alike.mean()),
            largest_difference=float(differences.max()),
            mean_difference=float(differences.mean()),
            metrics=pair(before.metrics, after.metrics) if before and after else (),
            likeness={name: one.value for name, one in others.items()},
            agreement_interval=share_by_image(alike, groups=self.groups),
            likeness_intervals={
                name: one.interval for name, one in others.items() if one.interval is not None
            },
            by_class=pair_classes(before.by_class, after.by_class) if before and after else (),
            details=result_details(
                self.task.name, np.minimum(differences, 1.0).tolist(), texts, self.image_names
            ),
            notes=after.notes if after else (),
        )

    def representative(self, source: Sequence[Any], count: int) -> list[int]:
        """Evenly spread places: a subclass knows which images represent the set better."""
        step = max(1, len(source) // count)
        return list(range(0, len(source), step))[:count]


def _rows(truth: Any, places: list[int]) -> Any:
    return truth[places] if isinstance(truth, np.ndarray) else [truth[place] for place in places]
