"""Options for a classifier's operating point and score calibration, and their description."""

from __future__ import annotations

from typing import Any

import click

from edgevision.cli.options.completion import complete_label_of_sets
from edgevision.cli.options.groups import option
from edgevision.errors import OptionError
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.prediction_sets import PredictionSetSpecification
from edgevision.metrics.formatting import in_unit, threshold_text
from edgevision.tasks.prediction_sets import LAC, METHODS
from edgevision.tasks.score_calibration import OPERATING_METRICS, OperatingPoint, ScoreCalibration

_CONFIDENCE = OperatingPointSpecification.confidence
_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
_HELP = {
    "sensitivity": "Required share of the positive images that are called positive.",
    "specificity": "Required share of the negative images that are called negative.",
    "precision": "Required share of positive calls that are right, at the set's class frequencies.",
}

SCORE_OPTIONS = (
    option(
        "--calibrate-scores",
        is_flag=True,
        help="Fit a temperature to each artifact's scores, on labelled calibration images.",
    ),
    option(
        "--positive",
        metavar="CLASS",
        shell_complete=complete_label_of_sets,
        help="Class of interest; it gets a threshold per artifact, set on labelled calibration images "
        "and verified on the evaluation images. Requires one --at-... option.",
    ),
    *(
        option(f"--at-{metric}", metavar="SHARE", type=_SHARE, help=_HELP[metric])
        for metric in OPERATING_METRICS
    ),
    option(
        "--confidence",
        metavar="SHARE",
        type=click.FloatRange(0.5, 1, max_open=True),
        help="Confidence with which the threshold keeps the required share, and with which the evaluation "
        f"images must show it. Default: {_CONFIDENCE:g}.",
    ),
    option(
        "--on-average",
        is_flag=True,
        help="Keep the required sensitivity or specificity on average over calibration sets instead "
        "(conformal risk control): on nearly every second set it is less.",
    ),
    option(
        "--prediction-sets",
        metavar="SHARE",
        type=_SHARE,
        help="Give each artifact sets of classes that contain the right one for this share of images, set "
        "on labelled calibration images; where that is not one class, it abstains.",
    ),
    option(
        "--set-method",
        type=click.Choice(METHODS),
        help="Of --prediction-sets. lac: the smallest sets; raps: sets of a more even size. Default: lac.",
    ),
)


def prediction_sets_of(arguments: dict[str, Any]) -> PredictionSetSpecification | None:
    """The specification of prediction sets, out of a command's arguments; `None` without one.

    Raises:
        OptionError: a method without a coverage.
    """
    coverage, method = arguments["prediction_sets"], arguments["set_method"]
    if coverage is not None:
        return PredictionSetSpecification(coverage, method or LAC)
    if method is not None:
        raise OptionError(f"--set-method {method}: there are no prediction sets; pass --prediction-sets 0.9")
    return None


def operating_point_of(arguments: dict[str, Any]) -> OperatingPointSpecification | None:
    """The specification of an operating point, out of a command's arguments; `None` without `--positive`.

    Raises:
        OptionError: a class without a requirement, a requirement without a class, several requirements, or a
            guarantee without a requirement, or two of them.
    """
    confidence, on_average = arguments["confidence"], arguments["on_average"]
    if on_average and confidence is not None:
        raise OptionError(
            f"--confidence {confidence:g} and --on-average: a threshold has one guarantee; remove one of them"
        )
    positive = arguments["positive"]
    requirements = {
        metric: arguments[f"at_{metric}"]
        for metric in OPERATING_METRICS
        if arguments[f"at_{metric}"] is not None
    }
    if not requirements:
        if positive is None:
            _refuse_guarantee(confidence, on_average)
            return None
        raise OptionError(
            f"--positive {positive}: no requirement for its threshold; pass --at-sensitivity 0.95, "
            "--at-specificity or --at-precision"
        )
    metric, at_least = next(iter(requirements.items()))
    if len(requirements) > 1:
        names = " and ".join(f"--at-{name}" for name in requirements)
        raise OptionError(f"{names}: one threshold can meet only one requirement; remove the others")
    if positive is None:
        raise OptionError(f"--at-{metric} {at_least:g}: no class of interest; pass --positive CLASS")
    if on_average:
        return OperatingPointSpecification(positive, metric, at_least, None)
    return OperatingPointSpecification(positive, metric, at_least, confidence or _CONFIDENCE)


def _refuse_guarantee(confidence: float | None, on_average: bool) -> None:
    if confidence is not None or on_average:
        option_name = "--on-average" if on_average else f"--confidence {confidence:g}"
        raise OptionError(
            f"{option_name}: there is no operating point; pass --positive CLASS and --at-sensitivity 0.95, "
            "--at-specificity or --at-precision"
        )


def describe_score_calibration(calibration: ScoreCalibration) -> str:
    """Such as ``temperature 1.3; 'cat' at a score of 0.21 or more (sensitivity at least 95.00 %)``."""
    parts = [] if calibration.temperature is None else [f"temperature {calibration.temperature:.4g}"]
    if calibration.operating_point is not None:
        parts.append(_describe_operating_point(calibration.operating_point))
    sets = calibration.prediction_sets
    if sets is not None:
        coverage = in_unit(sets.coverage, "share")
        parts.append(f"prediction sets with a coverage of {coverage} ({sets.method.upper()})")
    return "; ".join(parts)


def _describe_operating_point(point: OperatingPoint) -> str:
    return (
        f"'{point.positive}' at a score of {threshold_text(point.threshold)} or more "
        f"({point.metric} at least {in_unit(point.at_least, 'share')})"
    )
