"""The tables of an evidence in words."""

from __future__ import annotations

import pytest

from edgevision.cli.output.evidence import _missed, _required
from edgevision.evidence.requirements import Requirement


@pytest.mark.parametrize(
    ("requirement", "required", "missed"),
    [
        (
            Requirement("agreement", True, 0.95, 0.9),
            "agreement at least 95.00 %",
            "agreement 90.00 %, limit 95.00 %",
        ),
        (
            Requirement("drop in accuracy", False, 0.02, 0.007),
            "drop in accuracy (upper 95 % limit) 0.70 percentage points, at most 2.00 percentage points",
            "drop in accuracy (upper 95 % limit) 0.70 percentage points, limit 2.00 percentage points",
        ),
    ],
)
def test_a_drops_value_is_called_the_limit_of_its_interval(
    requirement: Requirement, required: str, missed: str
) -> None:
    """The column beside it shows the drop itself, another number."""
    assert (_required(requirement), _missed(requirement)) == (required, missed)
