"""Options for how a classifier's scores are read, and such a reading in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from edgevision.errors import OptionError
from edgevision.evidence.operating_points import OperatingPointSpecification
from edgevision.metrics.formatting import in_unit
from edgevision.tasks.score_calibration import FIGURES, OperatingPoint, ScoreCalibration

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
_HELP = {
    "sensitivity": "Of images of this class, the least share that is to be decided for.",
    "specificity": "Of all other images, the least share that is not.",
    "precision": "Of images decided for, the least share that is right, where the class is as frequent.",
}
_OPTIONS = (
    click.option(
        "--positive",
        metavar="CLASS",
        help="Of a classifier: class of interest, with a threshold of its own on each artifact, found on the "
        "labelled calibration images and checked on the evaluation images. With one of --at-….",
    ),
    *(click.option(f"--at-{figure}", type=_SHARE, help=_HELP[figure]) for figure in FIGURES),
    click.option(
        "--calibrate-scores",
        is_flag=True,
        help="Of a classifier: find a temperature for each artifact's scores on labelled calibration images.",
    ),
)


def score_options(command: CommandT) -> CommandT:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given_specification(given: dict[str, Any]) -> OperatingPointSpecification | None:
    """What an operating point is to keep, of a command's arguments; `None` where none is asked for.

    Raises:
        OptionError: a class without a specification, a specification without a class, or several requirements.
    """
    positive = given["positive"]
    requirements = {figure: given[f"at_{figure}"] for figure in FIGURES if given[f"at_{figure}"] is not None}
    if not requirements:
        if positive is None:
            return None
        raise OptionError(f"--positive {positive}: what is its threshold to keep? type --at-sensitivity 0.95")
    figure, at_least = next(iter(requirements.items()))
    if len(requirements) > 1:
        told = " and ".join(f"--at-{name}" for name in requirements)
        raise OptionError(f"{told}: one threshold keeps one of them; leave out the others")
    if positive is None:
        raise OptionError(f"--at-{figure} {at_least:g}: of which class? type --positive CLASS")
    return OperatingPointSpecification(positive, figure, at_least)


def describe_score_calibration(reading: ScoreCalibration) -> str:
    """Such as ``temperature 1.3; 'cat' from a score of 0.21 on (sensitivity at least 95.00 %)``."""
    parts = [] if reading.temperature is None else [f"temperature {reading.temperature:.4g}"]
    if reading.operating_point is not None:
        parts.append(_in_words(reading.operating_point))
    return "; ".join(parts)


def _in_words(point: OperatingPoint) -> str:
    return (
        f"'{point.positive}' from a score of {point.threshold:.4g} on "
        f"({point.figure} at least {in_unit(point.at_least, 'share')})"
    )
