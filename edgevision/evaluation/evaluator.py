"""The interface of an evaluator: how the answers of a task are computed, compared and chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownInputs
from edgevision.converter import CalibrationData
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.comparison import Comparison
from edgevision.metrics.measures import Measures
from edgevision.session import CheckedSession
from edgevision.tasks.description import Task


class Evaluator(Protocol):
    """Compares the artifacts of one task with their source.

    An example is an image (height, width, 3) uint8 RGB, or, for models that generate images without an
    input image, a seed. An answer is the model's result for one example.

    Attributes:
        task: the task, as in the manifest.
        labels: one name per class.
        preprocessing: from an image to the source's input; `None` for models that take no image.
        default_agreement: precision -> agreement that is required unless the caller sets another.
    """

    @property
    def task(self) -> Task: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def preprocessing(self) -> Preprocessing | None: ...
    @property
    def default_agreement(self) -> Mapping[str, float]: ...

    def model(self, session: CheckedSession) -> Any:
        """The task's model on a session of the source or of one of its artifacts.

        Raises:
            OptionError: the session's tensors are not what the task needs.
        """
        ...

    def answers(self, model: Any, examples: Sequence[Any]) -> Sequence[Any]:
        """One answer per example, in their order."""
        ...

    def network_inputs(self, source: Session, examples: Any) -> CalibrationData:
        """The network inputs of the source for a set: one or more per example.

        Args:
            source: the source as a session.
            examples: an `ImageSet` or a `SeedSet`.
        """
        ...

    def known_inputs(self, source: Session, examples: Any, places: Sequence[int]) -> KnownInputs:
        """The network inputs of a self-test, from the examples at `places` of a set."""
        ...

    def compare(self, source: Sequence[Any], artifact: Sequence[Any]) -> Comparison:
        """Compare an artifact's answers on the whole evaluation set with the source's."""
        ...

    def representative(self, source: Sequence[Any], count: int) -> list[int]:
        """Places of up to `count` examples that represent the set best."""
        ...


@runtime_checkable
class SampledEvaluator(Evaluator, Protocol):
    """An evaluator of images that can also compare answers to some of the evaluation images.

    Optional: test it with `isinstance(evaluator, SampledEvaluator)`.
    """

    def at(self, places: Sequence[int]) -> Evaluator:
        """The evaluator of the evaluation images with these indices."""
        ...

    def resized_answers(
        self, model: Any, frames: Sequence[Frame], sizes_wh: Sequence[tuple[int, int]]
    ) -> Sequence[Any] | None:
        """The answers about images that have been resized already, in coordinates of the images themselves.

        Args:
            model: a result of `model`.
            frames: the images, at the size of the network's input.
            sizes_wh: width and height of each image before that.

        Returns:
            `None` for a model that does not resize its images.
        """
        ...


class MeasuringEvaluator(Evaluator, Protocol):
    """An evaluator that can also measure a single model against ground truth."""

    def measure(self, answers: Sequence[Any]) -> Measures | None:
        """The metrics of answers on the whole evaluation set; `None` without ground truth."""
        ...
