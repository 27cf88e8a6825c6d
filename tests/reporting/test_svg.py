"""Scales end on round numbers, and charts escape and describe their content."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from edgevision.metrics.intervals import Interval
from edgevision.metrics.reliability import Reliability, ReliabilityBin
from edgevision.reporting.interval_charts import ChartAxis, Row, interval_chart
from edgevision.reporting.prediction_charts import confusion_chart, reliability_chart
from edgevision.reporting.svg import Scale, shortened


def _read(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)  # noqa: S314  # our own


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((96.52, 98.97), (96.5, 97.0, 97.5, 98.0, 98.5, 99.0)),
        ((0.0, 1.0), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ((-0.57, 0.97), (-1.0, -0.5, 0.0, 0.5, 1.0)),
        ((5.0, 5.0), (4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6)),
    ],
    ids=str,
)
def test_a_scale_covers_all_values_between_round_ticks(
    values: tuple[float, ...], ticks: tuple[float, ...]
) -> None:
    scale = Scale.over(values, 0, 100)
    assert scale.ticks == pytest.approx(ticks)
    assert scale(scale.low) == 0
    assert scale(scale.high) == 100


def test_ticks_have_as_many_decimals_as_their_step() -> None:
    scale = Scale.over((-0.02, 0.02), 0, 100)
    assert [scale.label(tick) for tick in scale.ticks] == ["-0.02", "-0.01", "0.00", "0.01", "0.02"]


def test_long_text_is_truncated() -> None:
    assert shortened("melanoma", 8) == "melanoma"
    assert shortened("keratosis", 8) == "keratos…"


def test_an_interval_chart_has_its_content_as_a_description() -> None:
    rows = [
        Row("a & <b>", 0.9, Interval(0.85, 0.95, "wilson"), "90 % (85 … 95)"),
        Row("c", 0.8, None, "80 %"),
    ]
    chart = _read(interval_chart("x", "Title", ChartAxis("accuracy, %", limit=0.7), rows))
    described = chart.findtext("desc")
    assert described == "accuracy, %. a & <b>: 90 % (85 … 95); c: 80 %. Limit: 70."
    assert [one.get("class") for one in chart.iter("line")].count("whisker") == 3
    assert [one.get("class") for one in chart.iter("line")].count("limit") == 1


def test_a_confusion_matrix_marks_the_cells_that_changed() -> None:
    before, after = np.array([[9, 1], [0, 10]]), np.array([[8, 2], [0, 10]])
    chart = _read(confusion_chart("x", "Title", after, ["cat", "dog"], before))
    assert [one.get("class") for one in chart.iter("rect")].count("cell changed") == 2
    texts = [one.text for one in chart.iter("text")]
    assert {"-1", "+1", "8", "2", "10"} <= set(texts)
    assert "0" not in texts, "empty cells have no number"
    assert chart.findtext("desc") == "18 of 20 images are on the diagonal: predicted correctly."


def test_a_reliability_diagram_draws_the_bins_that_have_predictions() -> None:
    reliability = Reliability.of(np.array([0.9, 0.95, 0.3], np.float32), np.array([True, False, False]))
    chart = _read(reliability_chart("x", "Title", reliability))
    filled = sum(1 for one in reliability.bins if one.count)
    kinds = [str(one.get("class")).split()[0] for one in chart.iter("rect")]
    assert kinds.count("bar") == filled
    assert f"{100 * reliability.ece:.2f} %" in str(chart.findtext("desc"))


def test_a_reliability_diagram_has_a_band_per_bin_and_marks_the_bins_outside() -> None:
    confidence = np.full(200, 0.9, np.float32)
    for right, outside in ((180, 0), (120, 1)):
        chart = _read(reliability_chart("x", "Title", Reliability.of(confidence, np.arange(200) < right)))
        bands = [one for one in chart.iter("line") if one.get("class") == "band"]
        assert len(bands) == 3, "a whisker and its two ends"
        assert [one.get("class") for one in chart.iter("rect")].count("bar outside") == outside
        assert "perfectly calibrated: 0.8" in str(chart.findtext("desc"))
    old = Reliability(0.1, (ReliabilityBin(10, 0.9, 0.8),))
    chart = _read(reliability_chart("x", "Title", old))
    assert not [one for one in chart.iter("line") if one.get("class") == "band"]
