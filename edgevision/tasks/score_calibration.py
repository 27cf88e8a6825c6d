"""The score calibration of one artifact, as stored in a manifest: plain values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevision.errors import OptionError
from edgevision.system.arguments import instance, one_of, sequence
from edgevision.system.numeric import is_real, is_share, is_whole, plain_fields
from edgevision.system.shown import shown

if TYPE_CHECKING:  # most models have none
    from edgevision.tasks.prediction_sets import PredictionSets

#: Kinds of output of a classifier.
SCORE_KINDS = ("softmax", "sigmoid", "logits")
#: Metrics that an operating point may guarantee, for the class of interest: sensitivity (recall),
#: specificity, or precision.
OPERATING_METRICS = ("sensitivity", "specificity", "precision")


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold of the class of interest.

    Attributes:
        positive: name of the class.
        class_id: its index in the labels.
        threshold: the class is predicted at this score or above, 0…1.
        metric: the metric that the threshold was chosen for: ``sensitivity``, ``specificity`` or
            ``precision``.
        at_least: the required value of that metric, above 0 and below 1.

    Raises:
        OptionError: a field has an invalid value; names the field.
    """

    positive: str
    class_id: int
    threshold: float
    metric: str
    at_least: float

    def __post_init__(self) -> None:
        plain_fields(self, "class_id", "threshold", "at_least")
        _check(isinstance(self.positive, str), "positive", "the name of a class", self.positive)
        _check(is_whole(self.class_id), "class_id", "0 or more", self.class_id)
        _check(is_share(self.threshold), "threshold", "0 to 1", self.threshold)
        check_specification(self.metric, self.at_least)


@dataclass(frozen=True)
class ScoreCalibration:
    """Temperature, operating point and prediction sets of one artifact: the scores of each artifact differ.

    Attributes:
        temperature: divisor of the logits, above 0; `None` leaves the scores unchanged.
        operating_point: for the scores at that temperature; `None` without a class of interest.
        prediction_sets: likewise; `None` for none.

    Raises:
        OptionError: the temperature is not a number above 0.
    """

    temperature: float | None = None
    operating_point: OperatingPoint | None = None
    prediction_sets: PredictionSets | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "temperature")
        valid = self.temperature is None or (is_real(self.temperature) and self.temperature > 0)
        _check(valid, "temperature", "a number above 0", self.temperature)
        if self.operating_point is not None:
            instance(self.operating_point, OperatingPoint, "operating_point")
        if self.prediction_sets is not None:
            from edgevision.tasks.prediction_sets import PredictionSets

            instance(self.prediction_sets, PredictionSets, "prediction_sets")

    def or_none(self) -> ScoreCalibration | None:
        """This calibration, or `None` if it changes nothing."""
        return None if self == ScoreCalibration() else self

    def check_labels(self, labels: Sequence[str]) -> None:
        """Check that the class of interest is among the labels.

        Raises:
            OptionError: it is not.
        """
        labels, point = sequence(labels, "labels", "names"), self.operating_point
        if point is not None and tuple(labels[point.class_id : point.class_id + 1]) != (point.positive,):
            raise OptionError(
                f"operating point: class {point.class_id} of the labels is not '{point.positive}'; "
                f"convert again"
            )


def score_calibration_from(document: Mapping[str, Any] | None) -> ScoreCalibration | None:
    """The score calibration from its `dataclasses.asdict` as JSON; `None` from `None`.

    Raises:
        OptionError: a field is missing, unknown or invalid; names the field.
    """
    if document is None:
        return None
    from edgevision.tasks.prediction_sets import prediction_sets_from

    try:
        point = document["operating_point"]
        return ScoreCalibration(
            document["temperature"],
            None if point is None else OperatingPoint(**point),
            prediction_sets_from(document.get("prediction_sets")),  # earlier releases had none
        )
    except (KeyError, TypeError) as error:
        raise OptionError(f"expected a temperature and an operating point: {error}") from error


def check_specification(metric: object, at_least: object) -> None:
    """Check the metric that an operating point must keep, and its required value.

    Raises:
        OptionError: the metric is unknown, or the value is not above 0 and below 1.
    """
    one_of(metric, OPERATING_METRICS, "metric")
    inside = is_share(at_least) and at_least not in (0, 1)
    _check(inside, f"{metric}", "above 0 and below 1", at_least)


def _check(valid: bool, name: str, expected: str, got: object) -> None:
    if not valid:
        raise OptionError(f"{name}: expected {expected}, got {shown(got)}")
