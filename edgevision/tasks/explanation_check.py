"""Is one map an explanation? It is compared with random maps, and with itself drawn again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from edgevision.explaining.explanation import Explanation
from edgevision.explaining.faithfulness import rank_correlation
from edgevision.explaining.masks import random_map
from edgevision.imaging.frame import Frame
from edgevision.tasks.explainable_model import ExplainableModel

#: Random maps, and points of a curve.
_RANDOM, _STEPS = 10, 16


@dataclass(frozen=True)
class ExplanationCheck:
    """A map compared with random ones of the same smoothness.

    Attributes:
        insertion, deletion: mean score while pixels are shown, or hidden, those that matter most first.
        random_insertion, random_deletion: the same of the random maps, on average.
        ahead: the share of random maps that the map is ahead of in both, 0…1.
        stability: rank correlation with a map of as many other masks, -1…1; `None` of a method without masks.
    """

    insertion: float
    random_insertion: float
    deletion: float
    random_deletion: float
    ahead: float
    stability: float | None

    @classmethod
    def of(cls, model: ExplainableModel[Any], frame: Frame, explanation: Explanation) -> ExplanationCheck:
        """Check an explanation; raises as `ExplainableModel.explanation_curves`.

        Args:
            model: that it explains.
            frame: the image.
            explanation: of this image.
        """
        settings = explanation.settings
        seeds = range(int(settings.seed), int(settings.seed) + _RANDOM)
        maps = [random_map(explanation.map.shape, int(settings.cells), seed) for seed in seeds]
        own, *random = (
            model.explanation_curves(frame, each, steps=_STEPS)
            for each in (explanation, *(replace(explanation, map=found) for found in maps))
        )
        ahead = [
            own.insertion_area > one.insertion_area and own.deletion_area < one.deletion_area
            for one in random
        ]
        return cls(
            own.insertion_area,
            sum(one.insertion_area for one in random) / _RANDOM,
            own.deletion_area,
            sum(one.deletion_area for one in random) / _RANDOM,
            sum(ahead) / _RANDOM,
            _stability(model, frame, explanation),
        )

    def to_dict(self) -> dict[str, float | None]:
        """JSON values."""
        return asdict(self)


def _stability(model: ExplainableModel[Any], frame: Frame, explanation: Explanation) -> float | None:
    if explanation.settings.method != "rise":
        return None
    settings = explanation.settings
    again = replace(settings, seed=settings.seed + 1, budget=max(16, explanation.samples), reliability=1.0)
    target = model._target_of(explanation)
    return rank_correlation(explanation.map, model.explain(frame, target, settings=again).map)
