"""Specifications of operating points: what is accepted, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.evidence.operating_specification import OperatingPointSpecification


@pytest.mark.parametrize("number", [np.float32(0.75), np.float64(0.75), 0.75], ids=repr)
def test_a_required_value_may_be_a_number_of_numpy_and_is_kept_as_pythons(number: float) -> None:
    specification = OperatingPointSpecification("x", "sensitivity", number)
    assert specification == OperatingPointSpecification("x", "sensitivity", 0.75)
    assert type(specification.at_least) is float


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "recall", 0.9), "metric: expected one of sensitivity, specificity, precision, got 'recall'"),
        (("x", "sensitivity", 1.0), "sensitivity: expected above 0 and below 1, got 1"),
        (("x", "precision", 0), "precision: expected above 0 and below 1, got 0"),
        (("x", "specificity", True), "specificity: expected a number, got True"),
        (("x", "specificity", "0.9"), "specificity: expected a number, got '0.9'"),
        (("x", "sensitivity", float("nan")), "sensitivity: expected a number, got nan"),
        ((3, "sensitivity", 0.9), "positive: expected the name of a class, got 3"),
    ],
    ids=str,
)
def test_a_specification_that_no_threshold_can_meet_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(OptionError) as raised:
        OperatingPointSpecification(*arguments)
    assert str(raised.value) == message


def test_a_precision_is_not_kept_on_average() -> None:
    with pytest.raises(OptionError, match="precision: is no mean over images"):
        OperatingPointSpecification("x", "precision", 0.9, None)


@pytest.mark.parametrize("confidence", [0.0, 0.49, 1.0, float("nan"), "0.95", True])
def test_a_confidence_out_of_range_is_refused(confidence: object) -> None:
    with pytest.raises(OptionError, match="confidence"):
        OperatingPointSpecification("x", "sensitivity", 0.9, confidence)
