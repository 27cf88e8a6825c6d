"""How the scores of one artifact are read, as a manifest says it: plain values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.errors import OptionError
from edgevision.numeric import is_real, is_share, is_whole, plain_fields

#: What the output of a classifier may hold.
SCORE_KINDS = ("softmax", "sigmoid", "logits")
#: What an operating point may keep: the share of images of the class that are decided for; of images of no
#: such class that are not; and of images that are decided for, those that are right.
FIGURES = ("sensitivity", "specificity", "precision")


@dataclass(frozen=True)
class OperatingPoint:
    """From which score on a class of interest is decided for.

    Attributes:
        positive: the class's name.
        class_id: its place among the labels.
        threshold: the class is decided for at this score or above, 0…1.
        figure: what the threshold keeps: ``sensitivity``, ``specificity`` or ``precision``.
        at_least: of that figure; above 0 and below 1.

    Raises:
        OptionError: a value is none of these; names the field.
    """

    positive: str
    class_id: int
    threshold: float
    figure: str
    at_least: float

    def __post_init__(self) -> None:
        plain_fields(self, "class_id", "threshold", "at_least")
        _check(isinstance(self.positive, str), "positive", "the name of a class", self.positive)
        _check(is_whole(self.class_id), "class_id", "0 or more", self.class_id)
        _check(is_share(self.threshold), "threshold", "0 to 1", self.threshold)
        check_specification(self.figure, self.at_least)


@dataclass(frozen=True)
class ScoreCalibration:
    """How the scores of one artifact are read: each artifact has scores of its own.

    Attributes:
        temperature: that its logits are divided by, above 0; `None` leaves its scores as they are.
        operating_point: on the scores at that temperature; `None` where no class is of interest.

    Raises:
        OptionError: the temperature is no number above 0.
    """

    temperature: float | None = None
    operating_point: OperatingPoint | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "temperature")
        valid = self.temperature is None or (is_real(self.temperature) and self.temperature > 0)
        _check(valid, "temperature", "a number above 0", self.temperature)

    def check_labels(self, labels: Sequence[str]) -> None:
        """Check that the class of interest is one of a network's.

        Raises:
            OptionError: it is not.
        """
        point = self.operating_point
        if point is not None and tuple(labels[point.class_id : point.class_id + 1]) != (point.positive,):
            raise OptionError(
                f"operating point: class {point.class_id} of the labels is not '{point.positive}'; "
                f"convert again"
            )


def score_calibration_from(document: Mapping[str, Any] | None) -> ScoreCalibration | None:
    """What `dataclasses.asdict` and JSON have made of a `ScoreCalibration`, or of none.

    Raises:
        OptionError: it is no such document; names the field.
    """
    if document is None:
        return None
    try:
        point = document["operating_point"]
        return ScoreCalibration(document["temperature"], None if point is None else OperatingPoint(**point))
    except (KeyError, TypeError) as error:
        raise OptionError(f"expected a temperature and an operating point: {error}") from error


def check_specification(figure: object, at_least: object) -> None:
    """Check what an operating point is to keep.

    Raises:
        OptionError: the figure is unknown, or the share is none that images can show.
    """
    _check(figure in FIGURES, "figure", f"one of {', '.join(FIGURES)}", figure)
    inside = is_share(at_least) and at_least not in (0, 1)
    _check(inside, f"{figure}", "above 0 and below 1", at_least)


def _check(valid: bool, name: str, expected: str, got: object) -> None:
    if not valid:
        raise OptionError(f"{name}: expected {expected}, got {got!r}")
