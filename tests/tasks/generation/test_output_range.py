"""Images far from the stated range are an error that names it, not black and white alone."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import InferenceError
from edgevision.tasks.generation.images import check_range

IMAGE = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)


@pytest.mark.parametrize(
    ("values", "stated"),
    [(255 * IMAGE, (0.0, 1.0)), (255 * IMAGE, (-1.0, 1.0)), (-900 * IMAGE - 300, (0.0, 255.0))],
    ids=["0..255 as 0..1", "0..255 as -1..1", "below"],
)
def test_values_outside_of_the_range_are_refused(values, stated: tuple[float, float]) -> None:
    with pytest.raises(InferenceError, match=r"most of them outside of the range .* --output-range"):
        check_range(values, stated)


@pytest.mark.parametrize(
    ("values", "stated"),
    [
        (IMAGE, (0.0, 1.0)),
        (3 * IMAGE - 1, (0.0, 1.0)),  # an overshoot of a whole range on either side
        (np.where(IMAGE > 0.9, np.float32(50), IMAGE), (0.0, 1.0)),  # a few are wild
        (np.zeros_like(IMAGE), (0.0, 255.0)),
        (IMAGE[:0], (0.0, 1.0)),
    ],
    ids=["inside", "overshoot", "a few", "black", "none"],
)
def test_what_a_network_may_give_is_no_alarm(values, stated: tuple[float, float]) -> None:
    check_range(values, stated)
