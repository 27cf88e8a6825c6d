"""The specification of an operating point: what its threshold must keep, and with which guarantee."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevision.errors import OptionError
from edgevision.metrics.binomial import checked_confidence
from edgevision.system.arguments import one_of, real_number
from edgevision.system.shown import shown
from edgevision.tasks.score_calibration import OPERATING_METRICS

#: Places on the scale of scores from which Learn-then-Test looks for thresholds that keep a precision: so
#: many shares of the risk. In logits, relative to a score equal to the required precision, where the scores
#: of a calibrated model keep it.
LOGIT_STARTS = (4.0, 2.0, 0.0, -2.0)


@dataclass(frozen=True)
class OperatingPointSpecification:
    """The metric that the threshold on the score of a class of interest must keep.

    Attributes:
        positive: name of the class of interest.
        metric: ``sensitivity``, ``specificity`` or ``precision``.
        at_least: required value of that metric, above 0 and below 1.
        confidence: probability with which the threshold keeps the required value on all images of this kind,
            over calibration sets that are drawn alike: 0.5 or more, and below 1. The lower limit that the
            evaluation set must show is at this confidence, too. `None`: the metric is at least the required
            value on average over calibration sets, by conformal risk control (Angelopoulos et al. 2022); on
            nearly every second set it is less, and the evaluation set must show 0.95. Not for a precision,
            which is no mean over images.

    Raises:
        OptionError: the metric is unknown, a number is out of range, or a precision has no confidence.
    """

    positive: str
    metric: str
    at_least: float
    confidence: float | None = 0.95

    def __post_init__(self) -> None:
        if not isinstance(self.positive, str):
            raise OptionError(f"positive: expected the name of a class, got {shown(self.positive)}")
        one_of(self.metric, OPERATING_METRICS, "metric")
        at_least = real_number(self.at_least, self.metric)
        if not 0 < at_least < 1:
            raise OptionError(f"{self.metric}: expected above 0 and below 1, got {at_least:g}")
        object.__setattr__(self, "at_least", at_least)
        if self.confidence is not None:
            object.__setattr__(self, "confidence", checked_confidence(self.confidence))
        elif self.metric == "precision":
            raise OptionError(
                "precision: is no mean over images, so it cannot be kept on average; state a confidence, "
                "such as 0.95 (on the command line: remove --on-average)"
            )

    @property
    def evaluation_confidence(self) -> float:
        """Of the one-sided lower limit that the evaluation set must show."""
        return 0.95 if self.confidence is None else self.confidence

    @property
    def least_images(self) -> int:
        """Fewest images of a calibration set that can show the required value, if all of them are right.

        Positives; for a specificity negatives; for a precision predictions.
        """
        if self.confidence is None:
            return math.ceil(self.at_least / (1 - self.at_least) - 1e-9)
        shares = len(LOGIT_STARTS) if self.metric == "precision" else 1
        return math.ceil(math.log((1 - self.confidence) / shares) / math.log(self.at_least) - 1e-9)
