"""Charts of a classifier's predictions: confusion matrix, reliability diagram and ROC curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.metrics.calibration_texts import calibration_error
from edgevision.metrics.reliability import Reliability, ReliabilityBin
from edgevision.reporting.svg import LETTER, Drawing, shortened
from edgevision.system.decimals import decimals

#: With more classes than this, the report lists the most frequent confusions alone.
MOST_DRAWN_CLASSES = 40

_CountMatrix = NDArray[np.int64]
_SIDE = 400
_LONGEST = 14
_LEAST_FOR_COUNT, _LEAST_FOR_CHANGE = 17, 32


def confusion_chart(
    name: str, title: str, matrix: _CountMatrix, labels: Sequence[str], before: _CountMatrix | None = None
) -> str:
    """A confusion matrix; the darker a cell, the larger its share of the row.

    Args:
        name: unique on the page.
        title: title of the chart.
        matrix: int64 ``(classes, classes)``: one row per true class, one column per predicted class.
        labels: one name per class.
        before: the matrix of the source; cells that differ show the difference below their count.
    """
    side = max(9, min(44, _SIDE // len(labels)))
    names = [shortened(label, _LONGEST) for label in labels]
    left = LETTER * max(map(len, names)) + 34
    span = side * len(labels)
    correct = int(np.trace(matrix))
    description = f"{correct} of {int(matrix.sum())} images are on the diagonal: predicted correctly."
    drawing = Drawing(name, left + span + 8, left + span + 6, title, description)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    changes = matrix - (matrix if before is None else before)
    # Cells that changed come last, so that no neighbour covers their outline.
    for row, column in sorted(np.ndindex(*matrix.shape), key=lambda cell: bool(changes[cell])):
        corner, share = (left + side * column, left + side * row), float(shares[row, column])
        count, change = int(matrix[row, column]), int(changes[row, column])
        drawing.shade(corner, side, share)
        tooltip = f"{labels[row]} predicted as {labels[column]}: {count}"
        drawing.box(corner, (side, side), "cell changed" if change else "cell", tooltip)
        _write_count(drawing, corner, side, count, change, share > 0.5)
    for place, label in enumerate(names):
        middle = left + side * (place + 0.5) + 4
        drawing.text((left - 8, middle), label, "tick", "end")
        drawing.vertical_text((middle, left - 8), label)
    drawing.text((left + span / 2, 12), "predicted class →", "tick", "middle")
    drawing.vertical_text((12, left + span / 2 + 30), "← true class")
    return str(drawing)


def reliability_chart(name: str, title: str, reliability: Reliability) -> str:
    """A reliability diagram: accuracy by score. On the diagonal, scores match the accuracy.

    Whiskers round the diagonal are the consistency bands (Bröcker and Smith 2007): the accuracy of a
    perfectly calibrated model is within them for 95 % of sets of this size. Bins outside have another colour.

    Args:
        name: unique on the page.
        title: title of the chart.
        reliability: of one model.
    """
    left, top, side, below = 40, 10, 200, 34
    bottom = top + side
    description = f"Expected calibration error {calibration_error(reliability)}. " + _describe_bins(
        reliability
    )
    drawing = Drawing(name, left + side + 14, bottom + below + 52, title, description)
    _draw_square(drawing, left, top, side)
    width = side / len(reliability.bins)
    most = max([1, *(one.count for one in reliability.bins)])
    for place, one in enumerate(reliability.bins):
        if not one.count:
            continue
        x = left + width * place
        confidence, accuracy = _share(one.confidence), _share(one.accuracy)
        tooltip = f"{one.count} predictions, mean score {confidence}, accuracy {accuracy}{_band(one)}"
        high = side * one.accuracy
        kind = "bar outside" if _is_outside(one) else "bar"
        drawing.box((x + 1, bottom - high), (width - 2, high), kind, tooltip)
        deep = max(1.0, below * one.count / most)
        drawing.box((x + 1, bottom + 24), (width - 2, deep), "count", tooltip)
    drawing.line((left, bottom), (left + side, top), "zero")
    for place, one in enumerate(reliability.bins):
        if one.count and one.low is not None and one.high is not None:
            _draw_band(
                drawing, left + width * (place + 0.5), bottom - side * one.low, bottom - side * one.high
            )
    drawing.text((left + side / 2, bottom + below + 42), "score (below: predictions)", "tick", "middle")
    drawing.vertical_text((11, top + side / 2 + 40), "accuracy")
    return str(drawing)


def curve_chart(name: str, title: str, evidence: OperatingEvidence) -> str:
    """ROC curves of an artifact and its source: sensitivity over 1 - specificity.

    Args:
        name: unique on the page.
        title: title of the chart.
        evidence: operating point and curves of the artifact.
    """
    left, top, side = 40, 10, 220
    areas = evidence.source_curve.area, evidence.artifact_curve.area
    description = f"Areas under the ROC curves: source {_share(areas[0], 4)}, artifact {_share(areas[1], 4)}."
    drawing = Drawing(name, left + side + 14, top + side + 40, title, description)
    _draw_square(drawing, left, top, side)

    def place(sensitivity: float, specificity: float) -> tuple[float, float]:
        return left + side * (1 - specificity), top + side * (1 - sensitivity)

    drawing.line(place(0, 1), place(1, 0), "grid")
    for kind, curve in (("source", evidence.source_curve), ("artifact", evidence.artifact_curve)):
        points = zip(curve.sensitivity, curve.specificity, strict=True)
        drawing.path([place(0, 1), *(place(*point) for point in points)], f"curve-{kind}")
    metrics = {metric.name: metric for metric in evidence.point.evaluation}
    sensitivity, specificity = metrics["sensitivity"], metrics["specificity"]
    drawing.mark(place(sensitivity.source, specificity.source), "source")
    drawing.mark(place(sensitivity.artifact, specificity.artifact), "artifact", 3)
    drawing.text((left + side / 2, top + side + 34), "1 - specificity", "tick", "middle")
    drawing.vertical_text((11, top + side / 2 + 32), "sensitivity")
    return str(drawing)


def _write_count(
    drawing: Drawing, corner: tuple[float, float], side: int, count: int, change: int, on_dark: bool
) -> None:
    if side < _LEAST_FOR_COUNT or not (count or change) or len(str(count)) * LETTER > side:
        return
    x, y = corner[0] + side / 2, corner[1] + side / 2
    light = " on-dark" if on_dark else ""
    if change and side >= _LEAST_FOR_CHANGE:
        drawing.text((x, y + 1), str(count), f"count-text{light}", "middle")
        drawing.text((x, y + 13), f"{change:+d}", f"change-text{light}", "middle")
    else:
        drawing.text((x, y + 4), str(count), f"count-text{light}", "middle")


def _draw_square(drawing: Drawing, left: float, top: float, side: float) -> None:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = left + side * share, top + side * (1 - share)
        drawing.line((x, top), (x, top + side), "grid")
        drawing.line((left, y), (left + side, y), "grid")
        if share in (0.0, 0.5, 1.0):
            drawing.text((x, top + side + 15), f"{share:g}", "tick", "middle")
            drawing.text((left - 6, y + 4), f"{share:g}", "tick", "end")


def _draw_band(drawing: Drawing, x: float, low: float, high: float) -> None:
    drawing.line((x, low), (x, high), "band")
    for y in (low, high):
        drawing.line((x - 3, y), (x + 3, y), "band")


def _band(one: ReliabilityBin) -> str:
    if one.low is None or one.high is None:
        return ""
    return f" (perfectly calibrated: {_share(one.low)} to {_share(one.high)})"


def _is_outside(one: ReliabilityBin) -> bool:
    return one.low is not None and one.high is not None and not one.low <= one.accuracy <= one.high


def _share(value: float, digits: int = 3) -> str:
    return decimals(value, digits, (0, 1))


def _describe_bins(reliability: Reliability) -> str:
    rows = [
        f"mean score {_share(one.confidence)}: accuracy {_share(one.accuracy)} on {one.count} predictions"
        f"{_band(one)}"
        for one in reliability.bins
        if one.count
    ]
    return "; ".join(rows) + "."
