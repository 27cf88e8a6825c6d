"""A score of one image, explained at the size of the network's input: there, several models are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevision.explaining.attribution import Attribution, MaskedRuns, attribution
from edgevision.explaining.explanation import Explanation
from edgevision.explaining.settings import ExplainSettings
from edgevision.imaging.frame import Frame
from edgevision.tasks.explainable_model import ExplainableModel
from edgevision.tasks.explained import Aim, explanation_of, masked_runs, seen_xyxy


@dataclass(frozen=True, eq=False)
class ExplainedInput:
    """A score of one image by one model.

    Attributes:
        model: whose score it is.
        frame: the image.
        aim: the score.
        runs: its values with parts of the image hidden.
    """

    model: ExplainableModel[Any]
    frame: Frame
    aim: Aim
    runs: MaskedRuns

    @classmethod
    def of(
        cls, model: ExplainableModel[Any], frame: Frame, target: Any, settings: ExplainSettings
    ) -> ExplainedInput:
        """The score of a class or an object in an image; raises as `ExplainableModel.explain`."""
        model = model.unobserved()
        aim = model._aim(frame, target)
        return cls(model, frame, aim, masked_runs(model.session, frame, aim, settings.fill))

    @property
    def seen_xyxy(self) -> tuple[int, int, int, int]:
        """The part of the network's input that the image covers."""
        return seen_xyxy(self.aim.preprocess, self.frame.size_wh)

    def map(self, settings: ExplainSettings) -> Attribution:
        """The parts that the score rests on, over the part of the network's input that the image covers."""
        return attribution(self.runs, settings, None)

    def explanation(self, found: Attribution, settings: ExplainSettings) -> Explanation:
        """A map of `map`, in pixels of the image."""
        return explanation_of(found, self.model.session, self.frame, self.aim, settings)

    def target_of(self, explanation: Explanation) -> Any:
        """The target of `of` with which another model explains the same class or object."""
        return self.model._target_of(explanation)
