"""What the error of a requirement that is not met says."""

from __future__ import annotations

from edgevision.conversion.requirements import missed_requirement
from edgevision.datasets.image_sets import SetFacts
from edgevision.evidence.operating_points import Curve, OperatingEvidence, PointMetrics
from edgevision.metrics.comparison import Comparison, Metric
from measured_artifacts import measured_artifact


def test_a_sensitivity_that_is_not_shown_is_said_of_the_images_that_it_is_a_share_of() -> None:
    metric = Metric("sensitivity", 1.0, 1.0)
    point, curve = PointMetrics(0.5, (metric,), (metric,)), Curve((0.5,), (1.0,), (1.0,), (1.0,), 1.0)
    decided = OperatingEvidence(
        *("3", "sensitivity", 0.9, (54, 8), point, point, curve, curve),
        confidence=0.95,
        lower_limits=(0.6877, 0.6877),
        evaluation_images=552,
        counted=8,
        needed=29,
    )
    comparison = Comparison(552, 1.0, 0.0, 0.0, ())
    measured = measured_artifact(comparison, decided.requirement, operating_point=decided)
    text = missed_requirement(measured, SetFacts("images", 552, "1" * 64, labelled=True))
    assert "is 100.00 % on 8 of 552 images, which do not show" in text
    assert "with about 2001 images like these" in text
