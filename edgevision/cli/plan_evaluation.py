"""``edgevision plan-evaluation``: how many images an evaluation set needs."""

from __future__ import annotations

import json
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.output.tables import echo_table
from edgevision.evaluation.sample_plan import POWER, EvaluationPlan, PlannedRequirement, plan_evaluation
from edgevision.evidence.requirements import CONFIDENCE
from edgevision.metrics.formatting import in_points, in_unit, level, limit_in_points, limit_in_unit

_SHARE = click.FloatRange(0, 1)


@click.command("plan-evaluation", cls=GroupedCommand)
@under(
    "Requirements",
    option(
        "--max-drop",
        type=click.FloatRange(0, 100, min_open=True),
        metavar="POINTS",
        help="Largest allowed drop of accuracy, in percentage points, as for convert.",
    ),
    option("--min-agreement", type=_SHARE, metavar="SHARE", help="Required agreement, as for convert."),
    option(
        "--sensitivity",
        type=_SHARE,
        metavar="SHARE",
        help="Required sensitivity for the class of interest, as --at-sensitivity for convert.",
    ),
)
@under(
    "Expectations",
    option(
        "--expected-flips",
        type=_SHARE,
        metavar="SHARE",
        help="Share of the images that artifact and source are expected to answer differently, such as 0.01: "
        "1 less the agreement of a trial conversion.",
    ),
    option(
        "--expected-drop",
        type=click.FloatRange(-100, 100),
        default=0.0,
        show_default=True,
        metavar="POINTS",
        help="Expected drop of accuracy, in percentage points.",
    ),
    option(
        "--expected-sensitivity",
        type=_SHARE,
        metavar="SHARE",
        help="True sensitivity at the threshold. Default: midway between the required one and 1.",
    ),
    option(
        "--positive-share",
        type=_SHARE,
        metavar="SHARE",
        help="Share of the images that are of the class of interest.",
    ),
)
@under(
    "Groups of images (patient, video, site)",
    option(
        "--images-per-group",
        type=click.FloatRange(min=1),
        default=1.0,
        show_default=True,
        metavar="N",
        help="Mean number of images that belong together.",
    ),
    option(
        "--correlation",
        type=_SHARE,
        default=1.0,
        show_default=True,
        metavar="SHARE",
        help="Correlation of the images of a group: 0 if they are independent, 1 if they are alike.",
    ),
)
@under(
    "Certainty",
    option(
        "--confidence",
        type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
        default=CONFIDENCE,
        show_default=True,
        metavar="SHARE",
        help="Confidence of the intervals that the requirements are judged by; 0.975 for the first candidate "
        "of a search (--precision auto).",
    ),
    option(
        "--power",
        type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
        default=POWER,
        show_default=True,
        metavar="SHARE",
        help="Probability that a set of this size shows a requirement, if the expectations are true.",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool, **arguments: Any) -> None:
    """Say how many images an evaluation set needs to show the requirements of a conversion.

    For example: edgevision plan-evaluation --max-drop 0.5 --expected-flips 0.01
    """
    plan = plan_evaluation(**arguments)
    if as_json:
        click.echo(json.dumps(plan.to_dict(), indent=2, allow_nan=False))
    else:
        _echo(plan)


def _echo(plan: EvaluationPlan) -> None:
    header = ("requirement", "limit", "expected", "needed")
    echo_table(header, [_row(one) for one in plan.requirements])
    if plan.images is not None:
        groups = f" in {plan.groups} groups" if plan.groups is not None else ""
        echo_line(f"evaluation set: {plan.images} images{groups}")
    if plan.calibration_positives is not None:
        echo_line(
            f"calibration set: {plan.calibration_positives} positives or more; with fewer, no threshold "
            "guarantees the sensitivity"
        )
    echo_line(
        f"a set of this size shows each requirement with a probability of {level(plan.power)} (power) at a "
        f"confidence of {level(plan.confidence)}, if the expectations are true"
    )


def _row(one: PlannedRequirement) -> tuple[str, ...]:
    if one.at_least:
        limit, expected = limit_in_unit(one.limit, "share"), in_unit(one.expected, "share", [one.limit])
    else:
        limit, expected = limit_in_points(one.limit, "share"), in_points(one.expected, "share", [one.limit])
    needed = "no number of images" if one.needed is None else f"{one.needed} {one.of}"
    if one.groups is not None:
        needed += f" in {one.groups} groups"
    if one.images is not None and one.images != one.needed:
        needed += f", in {one.images} images of all classes"
    return one.what, ("at least " if one.at_least else "at most ") + limit, expected, needed
