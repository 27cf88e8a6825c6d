"""A plan of an evaluation set, and the verdicts on sets that were drawn as planned."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import edgevision
from edgevision.cli.plan_evaluation import command
from edgevision.errors import OptionError
from edgevision.evidence.requirements import Budget
from edgevision.metrics.comparison import Comparison, pair
from edgevision.metrics.measures import share_of

DRAWS = 120


def _passed(images: int, lost: float, gained: float, budget: Budget) -> float:
    """How often a conversion's own verdict passes on sets of this size."""
    random = np.random.default_rng(images)
    passed = 0
    for _ in range(DRAWS):
        kind = random.choice(3, images, p=(lost, gained, 1 - lost - gained))
        source = np.where(kind == 2, random.random(images) < 0.8, kind == 0)
        artifact = np.where(kind == 2, source, kind == 1)
        metrics = pair((share_of("accuracy", source),), (share_of("accuracy", artifact),))
        flips = int((kind != 2).sum())
        agreement = share_of("agreement", kind == 2)
        comparison = Comparison(
            images, 1 - flips / images, 0.1, 0.01, metrics, agreement_interval=agreement.interval
        )
        passed += all(one.passed for one in budget.requirements(comparison, 0.0))
    return passed / DRAWS


@pytest.mark.parametrize(
    ("flips", "points"), [(0.01, 0.5), (0.05, 2.0), (0.002, 0.5)], ids=lambda value: str(value)
)
def test_a_set_of_the_planned_size_shows_the_drop_and_one_of_half_the_size_does_not(
    flips: float, points: float
) -> None:
    plan = edgevision.plan_evaluation(max_drop=points, expected_flips=flips)
    assert plan.images is not None
    assert _passed(plan.images, flips / 2, flips / 2, Budget(max_drop=points)) >= 0.7
    assert _passed(plan.images // 2, flips / 2, flips / 2, Budget(max_drop=points)) <= 0.65


def test_a_set_of_the_planned_size_shows_the_agreement_and_one_of_half_the_size_does_not() -> None:
    plan = edgevision.plan_evaluation(min_agreement=0.97, expected_flips=0.01, power=0.9)
    assert plan.images is not None
    assert _passed(plan.images, 0.005, 0.005, Budget(min_agreement=0.97)) >= 0.8
    assert _passed(plan.images // 2, 0.005, 0.005, Budget(min_agreement=0.97)) <= 0.7


def test_more_power_and_more_confidence_take_more_images() -> None:
    plain, sure, certain = (
        edgevision.plan_evaluation(max_drop=1.0, expected_flips=0.02, **more).images or 0
        for more in ({}, {"power": 0.95}, {"confidence": 0.99})
    )
    assert plain < min(sure, certain)


def _drawn_in_groups(images: int, groups: int, flips: float, correlation: float, seed: int) -> Comparison:
    """A set in which whole groups tend to flip: with a beta-binomial number of flips in each."""
    random = np.random.default_rng(seed)
    group = np.sort(np.arange(images) % groups)
    spread = (1 - correlation) / correlation
    flipped = random.random(images) < random.beta(flips * spread, (1 - flips) * spread, groups)[group]
    lost = flipped & (random.random(groups) < 0.5)[group]
    hits = random.random(images) < 0.8
    source, artifact = np.where(flipped, lost, hits), np.where(flipped, ~lost, hits)
    metrics = pair(
        (share_of("accuracy", source, groups=group),), (share_of("accuracy", artifact, groups=group),)
    )
    return Comparison(images, 1 - float(flipped.mean()), 0.1, 0.01, metrics)


def test_a_planned_set_of_groups_shows_the_drop_and_one_of_half_the_size_does_not() -> None:
    """Groups are no matter of the design effect alone: one more group could change as a whole."""
    plan = edgevision.plan_evaluation(
        max_drop=2.0, expected_flips=0.02, images_per_group=8, correlation=0.3, power=0.8
    )
    assert plan.images is not None
    assert plan.groups is not None
    (one,) = plan.requirements
    assert one.independent is not None
    assert plan.images > 1.5 * one.independent
    for size, least, most in ((1, 0.65, 1.0), (2, 0.0, 0.6)):
        drawn = [
            _drawn_in_groups(plan.images // size, plan.groups // size, 0.02, 0.3, seed) for seed in range(60)
        ]
        passed = np.mean([Budget(max_drop=2.0).requirements(one, 0.0)[0].passed for one in drawn])
        assert least <= passed <= most, size


def test_images_of_a_group_that_are_alike_are_worth_one() -> None:
    alone = edgevision.plan_evaluation(min_agreement=0.95, expected_flips=0.01)
    alike = edgevision.plan_evaluation(min_agreement=0.95, expected_flips=0.01, images_per_group=10)
    assert alone.images is not None
    assert alone.groups is None
    assert alike.groups == pytest.approx(alone.images, rel=0.25)
    sensitivity = edgevision.plan_evaluation(sensitivity=0.9, images_per_group=4, correlation=0.1)
    (one,) = sensitivity.requirements
    assert one.needed == 4 * (one.independent or 0), "at an operating point they count as copies"
    assert sensitivity.calibration_positives == 4 * 29


def test_positives_are_counted_and_turned_into_images() -> None:
    plan = edgevision.plan_evaluation(sensitivity=0.95, expected_sensitivity=1.0, positive_share=0.1)
    (one,) = plan.requirements
    assert (one.of, one.needed, plan.images, plan.calibration_positives) == ("positives", 59, 590, 59)
    assert edgevision.plan_evaluation(sensitivity=0.95).images is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing is required; pass --max-drop"),
        ({"max_drop": 0.5}, "pass --expected-flips, such as 0.01"),
        (
            {"max_drop": 0.5, "expected_flips": 0.01, "expected_drop": 0.5},
            "smaller --expected-drop or a larger --max-drop",
        ),
        (
            {"max_drop": 5.0, "expected_flips": 0.01, "expected_drop": 2.0},
            "cannot come from 1 % of the images",
        ),
        (
            {"min_agreement": 0.99, "expected_flips": 0.01},
            "99 % follows, which is not above the limit of 99 %",
        ),
        (
            {"sensitivity": 0.95, "expected_sensitivity": 0.95},
            "larger --expected-sensitivity or a lower --sensitivity",
        ),
        ({"sensitivity": 1.5}, "sensitivity: expected a share of 0 to 1, got 1.5"),
        ({"sensitivity": 0.9, "power": 1.0}, "power: expected above 0.5 and below 1, got 1"),
        ({"sensitivity": 0.9, "images_per_group": 0.5}, "images_per_group: expected 1 or more"),
        ({"max_drop": 0.0, "expected_flips": 0.01}, "max_drop: expected above 0"),
    ],
    ids=str,
)
def test_what_cannot_be_planned_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        edgevision.plan_evaluation(**arguments)


def test_the_command_prints_the_plan_as_a_table_and_as_json() -> None:
    words = [
        "--max-drop",
        "0.5",
        "--expected-flips",
        "0.002",
        "--sensitivity",
        "0.9",
        "--positive-share",
        "0.2",
    ]
    words += ["--images-per-group", "4", "--correlation", "0.5"]
    text = CliRunner().invoke(command, words, catch_exceptions=False).output
    document = json.loads(CliRunner().invoke(command, [*words, "--json"], catch_exceptions=False).output)
    drop, sensitivity = document["requirements"]
    assert f"at most 0.50 percentage points  0.00 percentage points  {drop['needed']} images" in text
    assert f"{sensitivity['needed']} positives in {sensitivity['groups']} groups" in text
    assert f"evaluation set: {document['images']} images in {document['groups']} groups" in text
    assert "with a probability of 80 % (power) at a confidence of 95 %" in text
    assert document["images"] == max(drop["images"], sensitivity["images"])
