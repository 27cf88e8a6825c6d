"""What a task brings to a conversion: how its answers are given, compared and chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownInputs
from edgevision.converter import CalibrationData
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.comparison import Comparison
from edgevision.metrics.measures import Measures
from edgevision.session import CheckedSession
from edgevision.tasks.description import Task


class Evaluator(Protocol):
    """Proves artifacts of one task against their source.

    An example is what an answer is given to: an image (height, width, 3) uint8 RGB, or, of networks
    that make images of nothing else, a seed.

    Attributes:
        task: what the network does, as the manifest will say it.
        labels: one name a class.
        preprocessing: from an image to the source's input; `None` for networks that take no image.
        least_agreement: precision -> what an artifact must reach where the caller does not say.
    """

    @property
    def task(self) -> Task: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def preprocessing(self) -> Preprocessing | None: ...
    @property
    def least_agreement(self) -> Mapping[str, float]: ...

    def model(self, session: CheckedSession) -> Any:
        """The task's model on a session of the source or of one of its artifacts.

        Raises:
            OptionError: the session's tensors are not what the task needs.
        """
        ...

    def answers(self, model: Any, examples: Sequence[Any]) -> Sequence[Any]:
        """One answer an example, in their order."""
        ...

    def network_inputs(self, source: Session, examples: Any) -> CalibrationData:
        """What the source's network is given for a set: once or more often for each example.

        Args:
            source: the source as a session.
            examples: an `ImageSet` or a `SeedSet`.
        """
        ...

    def known_inputs(self, source: Session, examples: Any, places: Sequence[int]) -> KnownInputs:
        """What a self-test asks of the network: about the examples at `places` of a set."""
        ...

    def compare(self, source: Sequence[Any], artifact: Sequence[Any]) -> Comparison:
        """Hold an artifact's answers on the whole evaluation set against the source's."""
        ...

    def representative(self, source: Sequence[Any], count: int) -> list[int]:
        """Places of up to `count` examples that show as much of what the network knows as can be."""
        ...


class MeasuringEvaluator(Evaluator, Protocol):
    """A evaluator that can also tell what one model reaches by itself, against the truth."""

    def measure(self, answers: Sequence[Any]) -> Measures | None:
        """What answers on the whole evaluation set reach; `None` where the truth is not known."""
        ...
